"""A ticket's own nftables tables: their names, their kernel fuse, the text that adds to them and removes them.

One table ``chaosnet_<ticket>`` a ticket and namespace, in the family inet (and netdev for what is done at a device).
Every rule begins with a look into the set ``fuse``, whose elements the kernel drops when their time is up: with the
keeper hung, the rules stay and match nothing.  What the rules do is the other files' business.
"""

import re
from typing import TYPE_CHECKING

from chaosnet.errors import Refused
from chaosnet.targets.lab.lowering.devices import quote

if TYPE_CHECKING:
    from chaosnet.targets.lab.lab import Lab

PREFIX = "chaosnet_"
OWNED = re.compile(r"chaosnet_[a-z0-9]{10}", re.ASCII)
_TICKET = re.compile(r"[a-z0-9]{10}", re.ASCII)
# The same question, "which protocol is it", in the words of each family.
_FUSE = {
    "inet": ("meta nfproto", ("ipv4", "ipv6")),
    "netdev": ("meta protocol", ("ip", "ip6")),
}


def table(ticket: str) -> str:
    """The name of the ticket's tables; Refused for an id that is not ten of a-z0-9, for it becomes part of a command."""
    if not _TICKET.fullmatch(ticket):
        raise Refused(f"{ticket!r} is not a ticket's id; one is ten characters of a-z and 0-9")
    return PREFIX + ticket


def chain(
    ticket: str, index: int, name: str, kind: str, hook: str, priority: int, rules: list[str], device: str = ""
) -> str:
    """Text that adds base chain ``c<index>_<name>`` with ``rules``; each gets the fuse in front."""
    family = "netdev" if device else "inet"
    key, _ = _FUSE[family]
    where = f"{hook} device {quote(device)}" if device else hook
    head = f"{family} {table(ticket)} c{index:d}_{name}"
    lines = [f"add chain {head} {{ type {kind} hook {where} priority {priority:d}; policy accept; }}", f"flush chain {head}"]
    return "\n".join(lines + [f"add rule {head} {key} @fuse {rule}" for rule in rules]) + "\n"


def fused(ticket: str, seconds: float, family: str = "inet") -> str:
    """Text that adds the ticket's table and its fuse; a fuse already burning keeps its time."""
    key, values = _FUSE[family]
    name, left = f"{family} {table(ticket)}", f"{max(1, round(seconds * 1000)):d}ms"
    return (
        f"add table {name}\n"
        f"add set {name} fuse {{ typeof {key}; flags timeout; }}\n"
        f"add element {name} fuse {{ {', '.join(f'{value} timeout {left}' for value in values)} }}\n"
    )


def gone(ticket: str, family: str = "inet") -> str:
    """Text that removes the ticket's table whether or not it is there (``destroy`` came with nft 1.0.7 only)."""
    return f"add table {family} {table(ticket)}\ndelete table {family} {table(ticket)}\n"


def present(lab: "Lab", namespace: str) -> tuple[tuple[str, str], ...]:
    """Family and name of every table in ``namespace`` that is named as a ticket's."""
    return tuple((family, name) for family, name in lab.namespaces.nft(namespace).tables() if OWNED.fullmatch(name))


def refuse_if_taken(lab: "Lab", ticket: str, namespace: str) -> None:
    """Refused where a table of the ticket's name is there before the ticket has done anything."""
    if table(ticket) in {name for _, name in present(lab, namespace)}:
        raise Refused(f"{namespace}: a table {table(ticket)} is there already, and this fault did not make it; remove it first")


def remove(lab: "Lab", ticket: str, namespace: str, *families: str) -> None:
    """Remove the ticket's tables from ``namespace``; nothing happens where they, or the namespace, are gone."""
    if namespace in lab.namespaces:
        lab.namespaces.nft(namespace).run("".join(gone(ticket, family) for family in families))


def counts(lab: "Lab", ticket: str, namespace: str, family: str = "inet") -> dict[int, tuple[int, int, int]]:
    """By change index: how many rules the kernel has, and the packets and bytes they matched.

    Empty where the table, or the namespace, is gone, and where the kernel's fuse has burnt down.
    """
    if namespace not in lab.namespaces or (family, table(ticket)) not in present(lab, namespace):
        return {}
    listed = lab.namespaces.nft(namespace).list(f"list table {family} {table(ticket)}")["nftables"]
    if not any(item["set"].get("elem") for item in listed if item.get("set", {}).get("name") == "fuse"):
        return {}
    found: dict[int, tuple[int, int, int]] = {}
    for rule in (item["rule"] for item in listed if "rule" in item):
        index = int(rule["chain"][1:].partition("_")[0])
        counters = [part["counter"] for part in rule["expr"] if "counter" in part]
        rules, packets, octets = found.get(index, (0, 0, 0))
        found[index] = (
            rules + 1,
            packets + sum(c["packets"] for c in counters),
            octets + sum(c["bytes"] for c in counters),
        )
    return found
