"""What the changes in force do to one packet on its way: the fate that awaits it, before any lot is drawn.

What it does not know: fragments, congestion, TCP windows, ARP.  It is a model to test engines with, not a simulator.
"""

from dataclasses import dataclass

from chaosnet.model.change import ConntrackPressure, Filter, LinkMtu, Match, RouteMtu, Shape
from chaosnet.model.inventory import Site
from chaosnet.policy.decide import decide
from chaosnet.targets.memory.network import SOURCE_PORT, Flow, Network
from chaosnet.targets.memory.packets import Packet, matches, within
from chaosnet.targets.memory.state import Active

STATION_SECONDS = 0.00005
"""What one station adds to a packet's way."""


@dataclass(frozen=True, slots=True)
class Encounter:
    """Where a packet meets a change, which acts on it with chance ``share``.

    ``verdict`` is drop, reject, untrack, rewrite, corrupt, duplicate, reorder, or count (one more tracked connection).
    """

    active: Active
    share: float
    verdict: str


@dataclass(frozen=True, slots=True)
class Fate:
    """What awaits one packet on one way: the encounters in their order, then ``end``.

    ``end`` is arrived, lost, refused or too big (then ``mtu`` is what an ICMP message, or the sender's own interface, told).
    ``delay`` is seconds on the way, ``rate`` bits a second of the narrowest shaper (0: none).
    """

    encounters: tuple[Encounter, ...]
    end: str
    why: str = ""
    mtu: int = 0
    delay: float = 0.0
    jitter: float = 0.0
    rate: int = 0


def interface_mtu(network: Network, station: Site, neighbour: Site) -> int:
    """The MTU of the station's interface towards its neighbour."""
    pods = "pod" in (station.kind, neighbour.kind)
    mtu = network.world.mtu_pods.get(station.cluster, 1500) if pods else network.world.mtu_underlay
    for _, change in network.here(station, LinkMtu):
        if _is_that_interface(change.site, neighbour):
            mtu = change.mtu
    return mtu


def route_mtu(network: Network, station: Site, neighbour: Site, destination: str) -> int:
    """The largest packet that the station sends to ``destination``."""
    routes = (c.mtu for _, c in network.here(station, RouteMtu) if within(destination, c.destinations))
    return min(interface_mtu(network, station, neighbour), *routes, 65535)


def ends_mtu(network: Network, flow: Flow) -> int:
    """The largest packet that both ends would send: what TCP's MSS option agrees on."""
    if len(flow.way) == 1:
        return 65535
    there = route_mtu(network, flow.way[0], flow.way[1], flow.pairs[0][1][1])
    back = route_mtu(network, flow.way[-1], flow.way[-2], flow.pairs[-1][0][0])
    return min(there, back)


def fate(network: Network, flow: Flow, forth: bool, size: int, new: bool = False) -> Fate:
    """What awaits a packet of ``size`` bytes of this flow, there or back; ``new`` where it opens a connection."""
    if not forth and flow.replies_lost_at:
        return Fate((), "lost", f"replies go to the address that {flow.replies_lost_at} wrote")
    way = flow.way if forth else flow.way[::-1]
    # On the way back each pair is turned round, and what was "after" a station comes before it.
    pairs = flow.pairs if forth else tuple((b[::-1], a[::-1]) for a, b in flow.pairs[::-1])
    ports = (SOURCE_PORT, flow.port) if forth else (flow.port, SOURCE_PORT)
    journey = _Journey(network)
    for i, station in enumerate(way):
        came, goes = (Packet(*pair, flow.protocol, *ports, size=size, new=new) for pair in pairs[i])
        if i > 0 and (end := journey.enter(station, way[i - 1], came)):
            return end
        if new and station.kind == "node" and (why := denied(network, way, i, goes)):
            return journey.end("lost", why)
        if i == len(way) - 1 and flow.dead_end and not network.running(station, "node"):
            return journey.end("lost", f"{station} is down")
        if i < len(way) - 1:
            journey.met += [Encounter(active, 1.0, "rewrite") for at, active in flow.rewrites if forth and at == i]
            if i > 0 and network.sysctl(station, "net.ipv4.ip_forward") == "0":
                return journey.end("lost", f"{station} forwards nothing")
            if size > (mtu := route_mtu(network, station, way[i + 1], goes.destination)):
                return journey.too_big(way[: i + 1], mtu, pairs[0][0][0])
            if end := journey.leave(station, way[i + 1], goes, i == 0):
                return end
    if flow.dead_end:
        return journey.end("refused" if flow.refused else "lost", flow.dead_end)
    return journey.end("arrived")


def denied(network: Network, way: tuple[Site, ...], i: int, packet: Packet) -> str:
    """Why the policies that the node at ``way[i]`` enforces forbid a new connection between pods of its own, or empty."""
    if not network.running(way[i], "policy"):
        return ""
    world = network.present.policies
    decision = decide(world, world.end(packet.source), world.end(packet.destination), packet.protocol, packet.destination_port)
    leaves, enters = i > 0 and way[i - 1].kind == "pod", i + 1 < len(way) and way[i + 1].kind == "pod"
    sides = ((leaves, decision.egress), (enters, decision.ingress))
    return "; ".join(side.reason for ours, side in sides if ours and not side.allowed)


def _is_that_interface(site: Site, neighbour: Site) -> bool:
    """Whether a change at ``site`` sits on the interface towards ``neighbour``: eth0, the uplink, or a link's end."""
    if site.kind == "node":
        return neighbour.kind != "pod"
    return site.kind == "pod" or not site.interface or site.interface == neighbour.name


class _Journey:
    """One packet on its way: what it has met so far."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.met: list[Encounter] = []
        self.delay, self.jitter, self.rate = 0.0, 0.0, 0

    def end(self, how: str, why: str = "", mtu: int = 0) -> Fate:
        return Fate(tuple(self.met), how, why, mtu, self.delay, self.jitter, self.rate)

    def enter(self, station: Site, previous: Site, packet: Packet) -> Fate | None:
        """Come in; a fate where the way ends here."""
        self.delay += STATION_SECONDS
        if not self.network.running(station, "node"):
            return self.end("lost", f"{station} is down")
        if packet.size > (mtu := interface_mtu(self.network, station, previous)):
            return self.end("lost", f"{packet.size} bytes do not fit through {station}'s interface of {mtu}")
        self._meet(station, previous, packet, "ingress", first=True)
        return None

    def leave(self, station: Site, following: Site, packet: Packet, first: bool) -> Fate | None:
        """Go out (``first``: it is sent here); a fate where the way ends here."""
        if not self.network.running(station, "node"):
            return self.end("lost", f"{station} is down")
        self._meet(station, following, packet, "egress", first)
        return None

    def too_big(self, so_far: tuple[Site, ...], mtu: int, sender: str) -> Fate:
        """The packet does not fit: the sender hears so, unless the ICMP message (RFC 1191) is lost on its own way."""
        if len(so_far) == 1:
            return self.end("too big", f"the sender's own limit is {mtu} bytes", mtu)
        back = so_far[::-1]
        packet = Packet(back[0].addresses[0], sender, "icmp", size=576, icmp="fragmentation-needed")
        message = _Journey(self.network)
        message.leave(back[0], back[1], packet, first=True)
        for i, station in enumerate(back[1:], 1):
            message.enter(station, back[i - 1], packet)
            if i < len(back) - 1:
                message.leave(station, back[i + 1], packet, first=False)
        self.met += message.met
        if any(met.verdict in ("drop", "reject") and met.share >= 1 for met in message.met):
            return self.end("lost", f"{back[0]} carries {mtu} bytes, and its message saying so is dropped")
        return self.end("too big", f"{back[0]} carries {mtu} bytes", mtu)

    def _meet(self, station: Site, neighbour: Site, packet: Packet, direction: str, first: bool) -> None:
        """The changes at one side of a station; ``first`` where the packet has not met the station before."""

        # A node's outside is its uplink; but the ICMP errors that it sends go to its own pods too.
        def means(site: Site, match: Match) -> bool:
            return (bool(match.icmp) or _is_that_interface(site, neighbour)) and matches(match, packet)

        for one, rule in self.network.here(station, Filter):
            late = rule.after_established and not packet.new
            if rule.verdict == "untrack":
                # Tracking happens on arrival, from wherever, and once.
                if first and matches(rule.match, packet):
                    self.met.append(Encounter(one, rule.share, rule.verdict))
            elif rule.direction == direction and not late and means(rule.site, rule.match):
                self.met.append(Encounter(one, rule.share, rule.verdict))
        for one, shape in self.network.here(station, Shape):
            if shape.direction == direction and means(shape.site, shape.match):
                self.delay += shape.delay
                self.jitter = max(self.jitter, shape.jitter)
                self.rate = min(filter(None, (self.rate, shape.rate)), default=0)
                self.met.append(Encounter(one, shape.loss, "drop"))
                odd = (("corrupt", shape.corrupt), ("duplicate", shape.duplicate), ("reorder", shape.reorder))
                self.met += [Encounter(one, share, verdict) for verdict, share in odd if share]
        if first and packet.new:
            for one, pressure in self.network.here(station, ConntrackPressure):
                if matches(pressure.match, packet):
                    self.met.append(Encounter(one, 1.0, "count"))
