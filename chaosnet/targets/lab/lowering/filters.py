"""Filter, Rewrite and ConntrackPressure: rules in the ticket's own inet table, in the site's own namespace.

Where a rule sits follows from what it must be able to see.  Faults come before everything else of the lab (priority
-350), so they see addresses before Service translation on the way in and after it on the way out: a Match names both.
A node's outside is what lies beyond its uplink (and its VXLAN device): its egress leaves by them, its ingress comes in by
them, so that a packet meets a fault of both directions once.  ICMP errors are the exception: a node sends them to its
own pods.  What a Rewrite has translated stays so until the connection ends, as with every translation.  This module looks
at no packet and keeps no time: the kernel fuse is in ``tables``.
"""

from typing import TYPE_CHECKING

from chaosnet.errors import InputError, Refused, Unsupported
from chaosnet.model.change import ConntrackPressure, Filter, Rewrite
from chaosnet.model.fault import Reading
from chaosnet.model.inventory import Site
from chaosnet.model.ticket import Undo
from chaosnet.targets.lab import conntrack
from chaosnet.targets.lab.lowering import Deed, devices, match, tables
from chaosnet.targets.lab.namespaces import site_namespace

if TYPE_CHECKING:
    from chaosnet.targets.lab.lab import Lab

OPS = ("nft",)
Rule = Filter | Rewrite | ConntrackPressure

# Before connection tracking (-200) and whatever else the lab does; raw (-300) is where notrack belongs; -150 (mangle)
# is after tracking and before translation, where "established" and "new" mean something: nft(8), "priority".
_FIRST, _RAW, _TRACKED = -350, -300, -150
# Before srcnat (100): the first translation of a connection is the one that holds.
_BEFORE_SRCNAT = 90
_MILLION = 1_000_000
_IN, _OUT = ("prerouting",), ("forward", "output")


def prepare(lab: "Lab", deed: Deed, change: Rule) -> Undo:
    """The table that would go; Refused where one of its name is there, or the rule could match nothing."""
    namespace = site_namespace(change.site)
    tables.refuse_if_taken(lab, deed.ticket, namespace)
    outward = devices.outward(lab, change.site, change.match)
    limit = 0
    if isinstance(change, ConntrackPressure):
        limit = max(0, change.limit - conntrack.matching(lab, namespace, change.match))
    render(deed, change, outward, limit)
    return Undo(
        "nft",
        {"namespace": namespace, "ticket": deed.ticket, "index": deed.index, "devices": list(outward), "limit": limit},
        f"delete table inet {tables.table(deed.ticket)} at {namespace}",
    )


def do(lab: "Lab", deed: Deed, change: Rule, undo: Undo) -> None:
    """Add the rules, in one transaction."""
    text = render(deed, change, tuple(undo.arguments["devices"]), undo.arguments["limit"])
    lab.namespaces.nft(undo.arguments["namespace"]).run(text)


def take_back(lab: "Lab", undo: Undo) -> None:
    """Delete the ticket's table: all of the ticket's rules in that namespace at once."""
    tables.remove(lab, undo.arguments["ticket"], undo.arguments["namespace"], "inet")


def read_back(lab: "Lab", deed: Deed, change: Rule, undo: Undo) -> Reading:
    """Whether the kernel lists the rules and their fuse still burns."""
    namespace, name = undo.arguments["namespace"], tables.table(deed.ticket)
    rules, packets, octets = tables.counts(lab, deed.ticket, namespace).get(deed.index, (0, 0, 0))
    if not rules:
        return Reading(False, f"no rule of table inet {name} acts at {namespace}")
    plural = "rules" if rules > 1 else "rule"
    return Reading(
        True,
        f"table inet {name} at {namespace} has {rules} {plural} that matched {packets} packets",
        {"rules": rules, "packets": packets, "bytes": octets},
    )


def render(deed: Deed, change: Rule, outward: tuple[str, ...] = (), limit: int = 0) -> str:
    """The nftables text of the change, its table and its fuse; pure.

    ``outward`` are the site's outside devices (empty: any), ``limit`` what is left for new connections.
    """
    head = tables.fused(deed.ticket, deed.seconds)
    if isinstance(change, Filter):
        return head + _filter(deed, change, outward)
    if isinstance(change, Rewrite):
        return head + _rewrite(deed, change, outward)
    return head + _pressure(deed, change, limit)


def _filter(deed: Deed, change: Filter, outward: tuple[str, ...]) -> str:
    if change.direction not in ("ingress", "egress"):
        raise InputError("", f"{change.direction!r} is not a direction", "use ingress or egress")
    if not 0 < change.share <= 1:
        raise InputError("", f"a share of {change.share!r} is outside 0 to 1", "give a part of the packets, or all")
    if change.verdict not in ("drop", "reject", "untrack"):
        raise Unsupported(f"the verdict {change.verdict!r} is unknown here; use drop, reject or untrack")
    share = f"numgen random mod {_MILLION} < {round(change.share * _MILLION)} " if change.share < 1 else ""
    whats = match.expressions(change.match)
    if change.verdict == "untrack":
        # Tracking happens on arrival, whichever way the packet goes on: later hooks come too late for it.
        rules = [f"{what} {share}counter notrack".lstrip() for what in whats]
        hooks: tuple[str, ...] = ("output",) if _leaves_pod(change.site, change.direction) else ("prerouting", "output")
        return "".join(tables.chain(deed.ticket, deed.index, hook, "filter", hook, _RAW, rules) for hook in hooks)
    hooks = _IN if change.direction == "ingress" else ("output",) if change.site.kind == "pod" else _OUT
    word = "iifname" if change.direction == "ingress" else "oifname"
    where = "" if change.match.icmp or not outward else devices.named(word, outward) + " "
    rules = [
        " ".join(f"{where}{what} {only}{share}counter {verdict}".split())
        for what in whats
        for only, verdict in _verdicts(change)
    ]
    if change.after_established:
        rules.insert(0, "ct state established,related accept")
    priority = _TRACKED if change.after_established else _FIRST
    return "".join(tables.chain(deed.ticket, deed.index, hook, "filter", hook, priority, rules) for hook in hooks)


def _leaves_pod(site: Site, direction: str) -> bool:
    return site.kind == "pod" and direction == "egress"


def _verdicts(change: Filter) -> tuple[tuple[str, str], ...]:
    """Pairs of a further match and a verdict.  A rejection of TCP is a reset, of the rest an ICMP error (RFC 1812, 5.3.9)."""
    if change.verdict == "drop":
        return (("", "drop"),)
    reset = ("meta l4proto tcp ", "reject with tcp reset")
    prohibited = ("meta l4proto != tcp ", "reject with icmpx admin-prohibited")
    return {"tcp": (reset,), "": (reset, prohibited)}.get(change.match.protocol, (prohibited,))


def _rewrite(deed: Deed, change: Rewrite, outward: tuple[str, ...]) -> str:
    found = match.networks([change.source])
    version = 4 if found[4] else 6
    (source,) = found[version]
    if "/" in source:
        raise InputError("", f"{change.source!r} is a network where one address is needed", "give one address")
    word = {4: "ip", 6: "ip6"}[version]
    where = devices.named("oifname", outward) + " " if outward else ""
    rules = [
        f"{where}meta nfproto ipv{version} {what} counter snat {word} to {source}".replace("  ", " ")
        for what in match.expressions(change.match)
    ]
    return tables.chain(deed.ticket, deed.index, "postrouting", "nat", "postrouting", _BEFORE_SRCNAT, rules)


def _pressure(deed: Deed, change: ConntrackPressure, limit: int) -> str:
    """New connections are counted in one set that both hooks share.

    ``ct count`` counts connections whose first packet it saw, and forgets them when their entries go.  Those that were
    there before are no part of it (since Linux 6.18 a confirmed connection is not even added), so ``limit`` is what
    they left over when the fault was prepared.
    """
    if change.limit < 0:
        raise Refused(f"a limit of {change.limit} connections is below none")
    name = f"inet {tables.table(deed.ticket)}"
    rules = [
        f"{what} ct state new add @c{deed.index:d}_seen {{ meta nfproto ct count over {limit:d} }} counter drop".lstrip()
        for what in match.expressions(change.match)
    ]
    counted = f"add set {name} c{deed.index:d}_seen {{ typeof meta nfproto; size 4; flags dynamic; }}\n"
    hooks = ("prerouting", "output")
    return counted + "".join(
        tables.chain(deed.ticket, deed.index, hook, "filter", hook, _TRACKED, rules) for hook in hooks
    )
