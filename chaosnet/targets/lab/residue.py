"""What of ours is still there, how to remove it without any ticket, and what to flush after a fault.

Rules, routes and queueing disciplines bear our names in the kernel and are found there, whoever made them.  An MTU, a
setting, an object or a daemon bears no name: of those, what the executor's tickets still hold is given in.  Comparing
snapshots is the engine's.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from chaosnet.errors import ChaosnetError, TargetError
from chaosnet.model.inventory import Site
from chaosnet.model.ticket import Undo
from chaosnet.targets.lab import conntrack, qdiscs
from chaosnet.targets.lab.lowering import routes, shaping, tables
from chaosnet.targets.lab.namespaces import site_namespace
from chaosnet.targets.lab.netlink import PROTOCOL_CHAOSNET

if TYPE_CHECKING:
    from chaosnet.targets.lab.lab import Lab

# What the kernel itself names: rules, disciplines and routes are found by looking, not by asking tickets.
_NAMED = frozenset({"nft", "qdisc", "route mtu"})


def owned(lab: "Lab", held: Iterable[tuple[str, Undo, bool]] = ()) -> tuple[str, ...]:
    """Every thing of ours in words, each with the command that removes it.

    ``held`` are ticket, undo and "is it there" of changes not yet undone.
    """
    found: list[str] = []
    for namespace in lab.namespaces.names:
        for family, name in tables.present(lab, namespace):
            ticket = name.removeprefix(tables.PREFIX)
            found.append(f"table {family} {name} at {namespace}; remove it with: chaosnet undo {ticket}, or chaosnet panic")
        netlink = lab.namespaces.netlink(namespace)
        ours = [q.index for q in netlink.qdiscs() if q.handle == qdiscs.HANDLE]
        if ours:
            names = {link.index: link.name for link in netlink.links()}
            found += [
                f"qdisc {qdiscs.HANDLE >> 16:x}: of {names.get(index, index)} at {namespace}; remove it with: chaosnet panic"
                for index in ours
            ]
        found += [
            f"route {route.destination} protocol {PROTOCOL_CHAOSNET} at {namespace}; remove it with: chaosnet panic"
            for route in netlink.routes()
            if route.protocol == PROTOCOL_CHAOSNET
        ]
    found += [
        f"not yet done: {undo.say}; do it with: chaosnet undo {ticket}, or chaosnet panic"
        for ticket, undo, there in held
        if there and undo.op not in _NAMED
    ]
    return tuple(found)


def remove(lab: "Lab") -> tuple[str, ...]:
    """Remove all rules, disciplines and routes that bear our names, everywhere; what was removed, or why it was not."""
    removed: list[str] = []
    for namespace in lab.namespaces.names:
        try:
            removed += _remove_from(lab, namespace)
        except ChaosnetError as error:
            removed.append(f"not everything at {namespace} could be removed: {error}")
    return tuple(removed)


def _remove_from(lab: "Lab", namespace: str) -> list[str]:
    removed = []
    for family, name in tables.present(lab, namespace):
        lab.namespaces.nft(namespace).run(tables.gone(name.removeprefix(tables.PREFIX), family))
        removed.append(f"table {family} {name} at {namespace}")
    netlink = lab.namespaces.netlink(namespace)
    for link in netlink.links():
        if shaping.remove_qdisc(lab, namespace, link.name):
            removed.append(f"qdisc {qdiscs.HANDLE >> 16:x}: of {link.name} at {namespace}")
    removed += [f"route {destination} at {namespace}" for destination in routes.remove_all(netlink)]
    return removed


def forget(lab: "Lab", sites: Sequence[Site]) -> tuple[str, ...]:
    """Flush what these sites learned: path MTUs, and tracked connections that nobody uses.

    A TCP connection in use keeps its entry, for without it a translated connection would break.  The kernel lets only
    the machine's own root flush tcp_metrics, so those are named and not flushed.
    """
    flushed: list[str] = []
    for namespace in dict.fromkeys(site_namespace(site) for site in sites if site.kind in ("pod", "node", "router")):
        if namespace not in lab.namespaces:
            continue
        try:
            # ip-sysctl, "route/flush": drops cached routes and, with them, what path MTU discovery has learned.
            lab.namespaces.set_sysctl(namespace, "net.ipv4.route.flush", "1")
            flushed.append(f"path MTUs learned at {namespace}")
        except TargetError as error:
            flushed.append(f"path MTUs learned at {namespace} stay up to 10 minutes: {error}")
        idle = [entry for entry in conntrack.entries(lab, namespace) if not entry.live]
        if idle:
            number = conntrack.delete(lab, namespace, idle)
            flushed.append(f"{number} tracked connections not in use at {namespace}")
    return tuple(flushed)
