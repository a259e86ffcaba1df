"""Attempts over edges: what an application meets, from the fates of the packets it sends.

An attempt draws its lots (which backend, which packets of a lossy link) from a generator seeded with the edge's name and
the attempt's time: the same attempt always ends the same.  Nothing waits: times are computed, not spent.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import pairwise
from random import Random

from chaosnet.errors import ChaosnetError
from chaosnet.model.change import ConntrackPressure
from chaosnet.model.edge import Edge, Observation, State
from chaosnet.model.inventory import Site, one
from chaosnet.targets.memory.journey import Fate, ends_mtu, fate
from chaosnet.targets.memory.network import Flow, Network
from chaosnet.targets.memory.state import Active
from chaosnet.targets.memory.world import key

# An IPv4 header with TCP's and its timestamps; with UDP's or ICMP's.
TCP_HEADERS, DATAGRAM_HEADERS = 52, 28
_HTTP_REQUEST, _HTTP_ANSWER = 100, 150
# How long the lab's proxies wait for their Service before they answer 503.
_PROXY_CONNECT = 0.25
# Linux: first retransmission of a SYN after 1 s (RFC 6298), of data after 0.2 s; a black hole is noticed after some 3 s
# where net.ipv4.tcp_mtu_probing is 1, and probed with 1,024 bytes (tcp_base_mss).
_SYN_AGAIN, _DATA_AGAIN, _PROBING_SECONDS, _PROBING_SIZE = 1.0, 0.2, 3.0, 1024 + TCP_HEADERS


@dataclass(slots=True)
class Tally:
    """What one handle on the network has counted; it is not part of the network's state.

    ``packets`` and ``bytes`` by ticket and number of the change that matched, ``tracked`` and ``refused`` connections by
    the same, ``learned`` path MTUs by sender and destination.
    """

    packets: Counter[tuple[str, int]] = field(default_factory=Counter)
    bytes: Counter[tuple[str, int]] = field(default_factory=Counter)
    tracked: Counter[tuple[str, int]] = field(default_factory=Counter)
    refused: Counter[tuple[str, int]] = field(default_factory=Counter)
    learned: dict[tuple[str, str], int] = field(default_factory=dict)

    def count(self, active: Active, size: int) -> None:
        """One packet matched."""
        self.packets[active.ticket, active.index] += 1
        self.bytes[active.ticket, active.index] += size

    def track(self, active: Active, limit: int) -> bool:
        """One more connection; False where it is one too many."""
        number = (active.ticket, active.index)
        if self.tracked[number] >= limit:
            self.refused[number] += 1
            return False
        self.tracked[number] += 1
        return True


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one packet: arrived, dropped, rejected or too big; ``odd`` holds duplicate, reorder, corrupt."""

    end: str
    why: str = ""
    seconds: float = 0.0
    odd: tuple[str, ...] = ()
    certain: bool = True


@dataclass(frozen=True, slots=True)
class Met:
    """What an exchange met; ``server`` is the station that answered."""

    state: State
    seconds: float
    detail: str = ""
    server: Site | None = None


class Attempts:
    """Attempts in one network, counting into one tally."""

    def __init__(self, network: Network, tally: Tally) -> None:
        self.network, self.tally = network, tally
        self._fates: dict[tuple[Flow, bool, int, bool], Fate] = {}
        self._ends: dict[Edge, tuple[Site, Site]] = {}

    def ends(self, edge: Edge) -> tuple[Site, Site]:
        """The sites at the ends of the edge.  Raises InputError or Refused where it has none or several."""
        if edge not in self._ends:
            inventory = self.network.inventory
            self._ends[edge] = (one(inventory, edge.source, edge.name), one(inventory, edge.destination, edge.name))
        return self._ends[edge]

    def observe(self, edge: Edge, at: float, timeout: float) -> Observation:
        """One attempt over ``edge`` at ``at``; whatever takes longer than ``timeout`` is timed out."""
        lots = Random(f"{edge.name} {at!r}")
        try:
            met = self._attempt(edge, timeout, lots)
        except ChaosnetError as error:
            met = Met(State.UNKNOWN, 0.0, str(error))
        if met.state is State.TIMED_OUT or met.seconds > timeout:
            met = Met(State.TIMED_OUT, timeout, met.detail or f"took longer than {timeout:g} s")
        return Observation(edge.name, met.state, at, met.seconds, met.detail)

    def _attempt(self, edge: Edge, timeout: float, lots: Random) -> Met:
        source, destination = self.ends(edge)
        if edge.protocol == "bgp":
            return self._sessions_on_the_way(source, destination)
        if not destination.addresses:
            return Met(State.UNRESOLVED, 0.0, f"{destination} has no address")
        if edge.protocol == "dns":
            rcode, _, seconds, why = self.resolve(source, edge.query, destination.addresses[0], timeout, lots)
            states = {"NOERROR": State.OPEN, "TIMEOUT": State.TIMED_OUT, "REFUSED": State.REFUSED}
            return Met(states.get(rcode, State.UNRESOLVED), seconds, why or f"{edge.query}: {rcode}")
        address, before = destination.addresses[0], 0.0
        if edge.by_name:
            own = self.network.world.domains.get(source.cluster, "cluster.local")
            home = own if source.cluster == destination.cluster else f"{destination.cluster}.clusterset.local"
            name = f"{destination.name}.{destination.namespace}.svc.{home}"
            rcode, found, before, _ = self.resolve(source, name, "", timeout, lots)
            if not found:
                return Met(State.UNRESOLVED, before, f"{name}: {rcode}")
            address = found[0]
        transport, send, receive = edge.protocol, edge.send, edge.receive
        if edge.protocol == "http":
            transport, send, receive = "tcp", send + _HTTP_REQUEST, receive + _HTTP_ANSWER
        met = self.exchange(source, address, transport, edge.port, send, receive, timeout - before, lots)
        if edge.protocol == "http" and met.server and (behind := self.network.present.proxies.get(key(met.server))):
            onward = self.exchange(met.server, *behind, send, receive, timeout - before - met.seconds, lots)
            if onward.state is not State.OPEN:
                return Met(State.DEGRADED, before + met.seconds + _PROXY_CONNECT, f"HTTP 503: {onward.detail}")
            met = replace(met, seconds=met.seconds + onward.seconds)
        return Met(met.state, met.seconds + before, met.detail, met.server)

    def _sessions_on_the_way(self, source: Site, destination: Site) -> Met:
        nodes = [self.network.node_of(site) for site in (source, destination)]
        routers = self.network.routers_between(*nodes) if nodes[0].cluster != nodes[1].cluster else ()
        speakers = tuple({key(site): site for site in (nodes[0], *routers, nodes[1])}.values())
        for left, right in pairwise(speakers):
            speaking = self.network.running(left, "bird") and self.network.running(right, "bird")
            if not speaking or not self.network.session_up(left, right):
                return Met(State.TIMED_OUT, 0.0, f"the BGP session of {left} and {right} is not Established")
        return Met(State.OPEN, 0.0)

    # -- exchanges ---------------------------------------------------------------------------------------------------

    def exchange(
        self,
        source: Site,
        address: str,
        transport: str,
        port: int,
        send: int,
        receive: int,
        timeout: float,
        lots: Random,
    ) -> Met:
        """One connection (tcp) or one request and its answer (udp, icmp) with ``send`` and ``receive`` bytes of payload."""
        flow = self.network.flow(source, address, transport, port, lots.random())
        legs = [(True, send + DATAGRAM_HEADERS), (False, max(send, receive) + DATAGRAM_HEADERS)]
        if transport == "tcp":
            legs = [(True, 60), (False, 60)]
            legs += [(True, send + TCP_HEADERS)] if send else []
            legs += [(False, receive + TCP_HEADERS)] if receive else []
        answering = self.network.listens(flow.server, transport, flow.port)
        spent, server = 0.0, flow.way[-1]
        for number, (forth, size) in enumerate(legs):
            delivery = self._deliver(flow, forth, size, number == 0, timeout - spent, lots)
            spent += delivery.seconds
            if delivery.end == "rejected" and forth:
                state = State.RESET if transport == "tcp" and number > 0 else State.REFUSED
                return Met(state, spent, delivery.why)
            if delivery.end != "arrived":
                return Met(State.TIMED_OUT, spent, delivery.why)
            if number == 1 and not answering:
                return Met(State.REFUSED, spent, f"{server} does not listen on {flow.port}/{transport}")
        return Met(State.OPEN, spent, "", server)

    def _deliver(self, flow: Flow, forth: bool, payload: int, new: bool, left: float, lots: Random) -> Delivery:
        """One packet of at most the size that the path is known to take, sent again by TCP where it was lost by chance."""
        tcp = flow.protocol == "tcp"
        size = min(payload, ends_mtu(self.network, flow)) if tcp else payload
        sender = flow.way[0 if forth else -1]
        spent, pause = 0.0, _SYN_AGAIN if new else _DATA_AGAIN
        while True:
            what = self.roll(flow, forth, size, new, lots)
            spent += what.seconds
            if what.end == "arrived":
                rate = self.fate(flow, forth, size, new).rate
                return Delivery("arrived", "", spent + (payload * 8 / rate if rate else 0.0))
            if what.end == "too big" and flow.protocol != "icmp":
                size = self.fate(flow, forth, size, new).mtu
                self.tally.learned[key(sender), flow.server if forth else flow.client] = size
            elif tcp and size > _PROBING_SIZE and self.network.sysctl(sender, "net.ipv4.tcp_mtu_probing") == "1":
                spent, size = spent + _PROBING_SECONDS, _PROBING_SIZE
            elif tcp and not what.certain and spent + pause < left:
                spent, pause = spent + pause, pause * 2
            else:
                return Delivery(what.end, what.why, spent)

    def fate(self, flow: Flow, forth: bool, size: int, new: bool) -> Fate:
        """The fate of such a packet, worked out once."""
        asked = (flow, forth, size, new)
        if asked not in self._fates:
            self._fates[asked] = fate(self.network, flow, forth, size, new)
        return self._fates[asked]

    def roll(self, flow: Flow, forth: bool, size: int, new: bool, lots: Random) -> Delivery:
        """Send one packet into its fate and see what comes of it."""
        awaits, odd = self.fate(flow, forth, size, new), []
        seconds = awaits.delay + (awaits.jitter * lots.uniform(-1, 1) if awaits.jitter else 0.0)
        for met in awaits.encounters:
            if met.verdict == "count":
                pressure = met.active.change
                if isinstance(pressure, ConntrackPressure) and not self.tally.track(met.active, pressure.limit):
                    self.tally.count(met.active, size)
                    return Delivery("dropped", f"no room to track it at {pressure.site}", seconds)
                continue
            if met.share < 1 and not (met.share and lots.random() < met.share):
                continue
            self.tally.count(met.active, size)
            if met.verdict in ("drop", "corrupt") and (met.verdict == "drop" or flow.protocol == "tcp"):
                return Delivery("dropped", "dropped on the way", seconds, certain=met.share >= 1)
            if met.verdict == "reject":
                return Delivery("rejected", "rejected on the way", seconds)
            odd.append(met.verdict)
        end = {"lost": "dropped", "refused": "rejected"}.get(awaits.end, awaits.end)
        return Delivery(end, awaits.why, max(seconds, 0.0), tuple(odd))

    # -- names -------------------------------------------------------------------------------------------------------

    def resolve(
        self, source: Site, name: str, server: str, timeout: float, lots: Random
    ) -> tuple[str, tuple[str, ...], float, str]:
        """Ask ``server`` (empty: the resolver of the source's cluster): rcode, addresses, seconds and why not."""
        address = server or self.network.world.resolvers.get(source.cluster, "")
        if not address:
            return "REFUSED", (), 0.0, f"the cluster {source.cluster} has no DNS Service"
        met = self.exchange(source, address, "udp", 53, len(name) + 18, len(name) + 34, timeout, lots)
        if met.state is State.TIMED_OUT:
            return "TIMEOUT", (), timeout, met.detail
        if met.server is None or not self.network.running(met.server, "dns"):
            return "REFUSED", (), met.seconds, met.detail or f"no DNS server runs at {met.server}"
        found, seconds = self.network.present.names.get(met.server.cluster, {}).get(name.rstrip(".").lower(), ()), met.seconds
        for trouble in self.network.dns_troubles(met.server, name):
            if trouble.mode == "slow":
                seconds += trouble.delay
            elif trouble.mode == "wrong":
                found = (trouble.answer,)
            elif trouble.mode == "drop":
                return "TIMEOUT", (), timeout, f"{met.server} answers nothing"
            else:
                return trouble.mode.upper(), (), seconds, f"{met.server} answers {trouble.mode}"
        if seconds > timeout:
            return "TIMEOUT", (), timeout, f"{met.server} is slow"
        return ("NOERROR" if found else "NXDOMAIN"), found, seconds, ""
