"""The closed list of reversible changes: what a fault may ask of a target.

A fault says *what* (drop what goes from these addresses to those); a target decides *how* (nftables in the lab; a
NetworkChaos, an agent or a policy object in a cluster).  Widening this list is meant to be rare: each new kind must be
understood, or refused with a sentence, by every target.  Nothing here knows how anything is done.
"""

from dataclasses import dataclass

from chaosnet.model.inventory import Site


@dataclass(frozen=True, slots=True)
class Match:
    """Which packets: every given field must match.  Addresses are text, single or with a prefix; empty is any.

    ports
        TCP or UDP ports, on the side that ``side`` says: ``destination``, ``source`` or ``either``.  A session such as BGP
        has its well-known port on one side only, and which side depends on who dialled: faults on it need ``either``.
    icmp
        ``"fragmentation-needed"`` (ICMPv4 type 3 code 4, RFC 1191; ICMPv6 packet-too-big), or empty.
    """

    sources: tuple[str, ...] = ()
    destinations: tuple[str, ...] = ()
    protocol: str = ""
    ports: tuple[int, ...] = ()
    side: str = "destination"
    icmp: str = ""


@dataclass(frozen=True, slots=True)
class Filter:
    """Packets that pass ``site`` in ``direction`` (ingress: coming in; egress: going out) and match get ``verdict``.

    verdict
        ``drop`` (silence), ``reject`` (TCP reset, else ICMP administratively prohibited) or ``untrack`` (no connection
        tracking, so no address translation: as if the Service's rules were missing).
    share
        Fraction of the matching packets, 0 to 1, chosen at random.
    after_established
        Place the rule behind an ``established accept``, as a firewall added by hand often is: live flows go on.
    """

    site: Site
    direction: str
    match: Match
    verdict: str = "drop"
    share: float = 1.0
    after_established: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """What leaves (egress) or reaches (ingress) ``site`` towards ``match`` is slowed or spoiled.

    ``rate`` is bits a second (0: unlimited), ``delay`` and ``jitter`` seconds; the shares are fractions of packets.
    """

    site: Site
    direction: str
    match: Match = Match()
    rate: int = 0
    delay: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    duplicate: float = 0.0
    corrupt: float = 0.0
    reorder: float = 0.0

    @property
    def needs_netem(self) -> bool:
        """Whether only netem can do it; a rate alone is a token bucket."""
        return any((self.delay, self.jitter, self.loss, self.duplicate, self.corrupt, self.reorder))


@dataclass(frozen=True, slots=True)
class LinkMtu:
    """The MTU of the site's own interface (a pod's eth0, a node's uplink, a link's end), in bytes.  It cuts both ways."""

    site: Site
    mtu: int


@dataclass(frozen=True, slots=True)
class RouteMtu:
    """At ``site``, routes towards ``destinations`` carry ``mtu`` bytes; nothing else there changes."""

    site: Site
    destinations: tuple[str, ...]
    mtu: int


@dataclass(frozen=True, slots=True)
class Rewrite:
    """At ``site``, matching packets that leave get the source address ``source``: SNAT where there should be none."""

    site: Site
    match: Match
    source: str


@dataclass(frozen=True, slots=True)
class Sysctl:
    """One kernel setting of the site, by its dotted name."""

    site: Site
    key: str
    value: str


@dataclass(frozen=True, slots=True)
class ConntrackPressure:
    """At ``site``, no more than ``limit`` tracked connections to ``match``; the next new one is dropped."""

    site: Site
    limit: int
    match: Match = Match()


@dataclass(frozen=True, slots=True)
class DaemonState:
    """A role at ``site`` stops.

    ``daemon`` is bird, dns, kube-proxy, cni (new pods get no network), policy (the node enforces none), endpoints (the
    controller, at any node of its cluster) or node (all of it).
    """

    site: Site
    daemon: str
    state: str = "stopped"


@dataclass(frozen=True, slots=True)
class DnsAnswer:
    """Answers of the DNS server at ``site`` for names ending in ``suffix`` (empty: all names) go wrong.

    ``mode`` is slow (after ``delay`` seconds), wrong (``answer`` instead), servfail, nxdomain or drop.
    """

    site: Site
    mode: str
    suffix: str = ""
    delay: float = 0.0
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Object:
    """An API object of ``cluster``.  ``action`` is apply (create or replace), patch (JSON merge patch, RFC 7386) or delete.

    ``manifest`` is JSON text: the object (apply), the patch, or empty; the rest is its reference.
    """

    cluster: str
    action: str
    kind: str
    namespace: str
    name: str
    manifest: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {'/'.join(p for p in (self.cluster, self.namespace, self.name) if p)}"


Change = Filter | Shape | LinkMtu | RouteMtu | Rewrite | Sysctl | ConntrackPressure | DaemonState | DnsAnswer | Object

CHANGES: dict[str, type[Change]] = {
    kind.__name__: kind
    for kind in (
        Filter, Shape, LinkMtu, RouteMtu, Rewrite, Sysctl, ConntrackPressure, DaemonState, DnsAnswer, Object
    )
}  # fmt: skip


def say(change: Change) -> str:
    """The change in one line, for plans and reports."""
    match change:
        case Filter():
            share = f" {_percent(change.share)} of" if change.share < 1 else ""
            late = ", behind established accept" if change.after_established else ""
            return f"{change.verdict}{share} {change.direction} {say_match(change.match)} at {change.site}{late}"
        case Shape():
            parts = [
                f"{name} {value}" for name, value in (
                    ("rate", f"{change.rate} bit/s" if change.rate else ""),
                    ("delay", f"{change.delay * 1000:g} ms" if change.delay else ""),
                    ("jitter", f"{change.jitter * 1000:g} ms" if change.jitter else ""),
                    ("loss", _percent(change.loss) if change.loss else ""),
                    ("duplicate", _percent(change.duplicate) if change.duplicate else ""),
                    ("corrupt", _percent(change.corrupt) if change.corrupt else ""),
                    ("reorder", _percent(change.reorder) if change.reorder else ""),
                ) if value
            ]  # fmt: skip
            return f"{', '.join(parts)} on {change.direction} {say_match(change.match)} at {change.site}"
        case LinkMtu():
            return f"interface MTU {change.mtu} at {change.site}"
        case RouteMtu():
            return f"route MTU {change.mtu} towards {_few(change.destinations)} at {change.site}"
        case Rewrite():
            return f"source of {say_match(change.match)} rewritten to {change.source} at {change.site}"
        case Sysctl():
            return f"{change.key} = {change.value} at {change.site}"
        case ConntrackPressure():
            which = f" of {say_match(change.match)}" if change.match != Match() else ""
            return f"at most {change.limit} tracked connections{which} at {change.site}"
        case DaemonState():
            return f"{change.daemon} {change.state} at {change.site}"
        case DnsAnswer():
            names = f"names under {change.suffix}" if change.suffix else "all names"
            how = {"slow": f"after {change.delay:g} s", "wrong": f"with {change.answer}"}.get(change.mode, change.mode)
            return f"DNS answers {how} for {names} at {change.site}"
        case Object():
            return f"{change.action} {change}"


def _percent(share: float) -> str:
    return f"{share * 100:.3g}%"


def _few(texts: tuple[str, ...]) -> str:
    return ", ".join(texts[:3]) + (f" and {len(texts) - 3} more" if len(texts) > 3 else "")


def say_match(match: Match) -> str:
    """The match in words: ``"tcp port 179 (either side) from any to 10.1.0.0/16"``."""
    parts = [match.protocol or "packets"]
    if match.icmp:
        parts = [f"ICMP {match.icmp}"]
    if match.ports:
        side = " (either side)" if match.side == "either" else f" ({match.side})" if match.side != "destination" else ""
        parts.append(f"port {_few(tuple(map(str, match.ports)))}{side}")
    if match.sources:
        parts.append(f"from {_few(match.sources)}")
    if match.destinations:
        parts.append(f"to {_few(match.destinations)}")
    return " ".join(parts)
