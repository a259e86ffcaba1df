"""The in-memory network's answers to the questions of the model.

All are computed from the fates of packets; none waits, so that a stream of two seconds is answered at once.  Figures that
the network has no notion of (CPU, queues) are constants, and said to be where they stand.
"""

from collections import Counter
from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from itertools import pairwise
from math import sqrt
from random import Random

from chaosnet.errors import Unsupported
from chaosnet.model.change import ConntrackPressure, RouteMtu
from chaosnet.model.edge import Edge, State
from chaosnet.model.inventory import Inventory, Site
from chaosnet.model.question import (
    Answer,
    Bgp,
    BgpSession,
    BgpState,
    Carried,
    Conntrack,
    ConntrackUse,
    Counted,
    Counters,
    Daemons,
    DaemonsSeen,
    Dns,
    DnsReply,
    Load,
    Loaded,
    PathMtu,
    PathMtuFound,
    Question,
    Reach,
    Reached,
    RouteEntry,
    Routes,
    RouteTable,
    ServiceSeen,
    ServiceView,
    Stream,
    Streamed,
    Throughput,
)
from chaosnet.targets.memory.attempts import DATAGRAM_HEADERS, TCP_HEADERS, Attempts, Tally
from chaosnet.targets.memory.history import History
from chaosnet.targets.memory.network import Flow, Network
from chaosnet.targets.memory.sessions import facing, latest, speakers
from chaosnet.targets.memory.world import key

SWEPT = (100, 500, 1000, 1200, 1300, 1348, 1388, 1408, 1438, 1448, 1460, 3000, 60000)
"""Payload sizes of the TCP sweep, in bytes."""
_LINE_RATE = 1_000_000_000
_CONNTRACK_LIMIT = 262_144
DNS = "kube-dns"
"""What a pod that serves DNS is called after."""


class Answers:
    """Answers at one moment ``now`` of a history, counting into ``tally``."""

    def __init__(self, history: History, attempts: Attempts, now: float) -> None:
        self.history, self.attempts, self.now = history, attempts, now
        self.network: Network = attempts.network
        self.tally: Tally = attempts.tally

    def answer(self, question: Question, changes: Sequence[int] = ()) -> Answer:
        """The answer.  ``changes`` are the numbers of the changes of the ticket that Counters asks for."""
        match question:
            case Reach():
                return Reached(tuple(self.attempts.observe(edge, self.now, question.timeout) for edge in question.edges))
            case PathMtu():
                return self.path_mtu(question)
            case Bgp():
                return self.bgp(question.sites)
            case Routes():
                return self.routes(question.site, question.protocol)
            case Dns():
                lots = Random(f"{question.name} {self.now!r}")
                rcode, found, seconds, _ = self.attempts.resolve(question.source, question.name, "", question.timeout, lots)
                return DnsReply(rcode, found, seconds)
            case ServiceView():
                return self.service(question)
            case Conntrack():
                return self.conntrack(question.site)
            case Stream():
                return self.stream(question)
            case Throughput():
                return self.throughput(question.edge)
            case Load():
                return self.load(question)
            case Counters():
                packets = [self.tally.packets[question.ticket, number] for number in changes]
                size = sum(self.tally.bytes[question.ticket, number] for number in changes)
                return Counted(sum(packets), size, tuple(packets))
            case Daemons():
                return self.daemons(question.site)

    # -- the path ----------------------------------------------------------------------------------------------------

    def path_mtu(self, question: PathMtu) -> PathMtuFound:
        """DF pings of every size, and the TCP sweep each way."""
        address, lots = question.destination.addresses[0], Random(f"{self.now!r}")
        swept = SWEPT
        there = [s for s in swept if self._passes(question, address, s, 0)]
        back = [s for s in swept if self._passes(question, address, 0, s)]
        flow = self.network.flow(question.source, address, "icmp", 0, 0.0)

        def ping(size: int) -> bool:
            return all(self.attempts.roll(flow, forth, size, forth, lots).end == "arrived" for forth in (True, False))

        low, high = DATAGRAM_HEADERS - 1, question.ceiling
        told = self.attempts.fate(flow, True, high, True).mtu
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if ping(middle) else (low, middle - 1)
        found = low if low >= DATAGRAM_HEADERS else 0
        return PathMtuFound(found, told, max(there, default=0), max(back, default=0), swept)

    def _passes(self, question: PathMtu, address: str, send: int, receive: int) -> bool:
        lots = Random(f"{send} {receive} {self.now!r}")
        met = self.attempts.exchange(question.source, address, "tcp", question.port, send, receive, 1.0, lots)
        return met.state is State.OPEN

    def _flow(self, edge: Edge) -> Flow:
        source, destination = self.attempts.ends(edge)
        if not destination.addresses:
            raise Unsupported(f"{destination} has no address to send to")
        transport = {"http": "tcp", "dns": "udp"}.get(edge.protocol, edge.protocol)
        return self.network.flow(source, destination.addresses[0], transport, edge.port, 0.0)

    def stream(self, question: Stream) -> Streamed:
        """Every datagram one by one; a reordered one is counted, not delayed."""
        if question.edge.protocol not in ("udp", "icmp"):
            raise Unsupported(f"a stream goes over udp or icmp, and {question.edge.name} is {question.edge.protocol}")
        sent, flow = max(1, round(question.rate * question.seconds)), self._flow(question.edge)
        forward, back, odd, times = 0, 0, Counter[str](), list[float]()
        lots, size = Random(f"{question.edge.name} {self.now!r}"), question.size + DATAGRAM_HEADERS
        for _ in range(sent):
            there = self.attempts.roll(flow, True, size, True, lots)
            if there.end != "arrived":
                continue
            forward += 1
            again = self.attempts.roll(flow, False, size, False, lots)
            if again.end == "arrived":
                met = Counter((*there.odd, *again.odd))
                odd.update(met)
                if not met["corrupt"]:
                    back += 1
                    times.append(there.seconds + again.seconds)
        jitter = sum(abs(late - early) for early, late in pairwise(times)) / max(1, len(times) - 1)
        return Streamed(
            sent, forward, back, odd["duplicate"], odd["reorder"], odd["corrupt"],
            _percentile(times, 50), _percentile(times, 95), _percentile(times, 99), jitter,
        )  # fmt: skip

    def throughput(self, edge: Edge) -> Carried:
        """The narrowest shaper; where packets get lost, what TCP makes of it (Mathis et al. 1997)."""
        flow = self._flow(edge)
        lots = Random(f"{edge.name} {self.now!r}")
        source, destination = self.attempts.ends(edge)
        trial = self.attempts.exchange(source, destination.addresses[0], "tcp", edge.port, 1400, 0, 60.0, lots)
        if trial.state is not State.OPEN:
            return Carried(0.0)
        there, back = (self.attempts.fate(flow, forth, 1400, False) for forth in (True, False))
        rate = float(there.rate or _LINE_RATE)
        arrive = 1.0
        for met in there.encounters:
            arrive *= 1 - met.share if met.verdict in ("drop", "corrupt") else 1.0
        if arrive < 1:
            rate = min(rate, (1400 - TCP_HEADERS) * 8 * 1.22 / ((there.delay + back.delay) * sqrt(1 - arrive)))
        return Carried(rate)

    def load(self, question: Load) -> Loaded:
        """Requests at their intended times, one after the other."""
        requests = max(1, round(question.rate * question.seconds))
        seen = [
            self.attempts.observe(question.edge, self.now + number / question.rate, question.timeout)
            for number in range(requests)
        ]
        outcomes = Counter(one.state.value for one in seen)
        times = [one.seconds for one in seen if one.state.passes]
        return Loaded(
            requests,
            len(times),
            tuple(sorted(outcomes.items())),
            *(_percentile(times, share) for share in (50, 95, 99)),
        )

    # -- the control plane -------------------------------------------------------------------------------------------

    def bgp(self, sites: Sequence[Site]) -> BgpState:
        """Both ends of every session, of the speakers asked for."""
        wanted, world, found = {key(site) for site in sites}, self.network.world, list[BgpSession]()
        for pair in speakers(self.network):
            turn = latest(self.history.sessions[frozenset(map(key, pair))], self.now)
            for here, there in (pair, pair[::-1]):
                # A speaker that does not run has no sessions to tell of.
                if (wanted and key(here) not in wanted) or not self.network.running(here, "bird"):
                    continue
                since = 0.0 if turn.at == float("-inf") else self.now - turn.at
                found.append(
                    BgpSession(
                        speaker=f"{here.cluster}/{here.name}" if here.kind == "node" else here.name,
                        neighbor=there.name,
                        address=facing(there.addresses, here.addresses),
                        state="Established" if turn.up else "Active",
                        since=since,
                        imported=len(self._announced(here, there)) if turn.up else 0,
                        hold_time=world.hold,
                        keepalive=world.keepalive,
                        last_error=turn.why,
                    )
                )
        return BgpState(tuple(found))

    def _announced(self, here: Site, there: Site) -> tuple[str, ...]:
        """The ranges and Services that ``there`` tells ``here``: its own, or as a router those beyond it."""
        ranges: dict[str, None] = {}
        for node in self.network.inventory.nodes:
            member = self.network.nodes[node.cluster, node.name]
            if there.kind == "node":
                known = key(member) == key(there)
            elif here.kind == "node":
                chain = self.network.routers_between(there, member)
                known = member.cluster != here.cluster and all(
                    self.network.session_up(a, b) for a, b in zip(chain, (*chain[1:], member), strict=True)
                )
            else:
                known = member.cluster == there.cluster and self.network.session_up(there, member)
            if known:
                ranges |= dict.fromkeys((*node.pod_ranges, *self._originates(node.cluster, node.name)))
        return tuple(ranges)

    def _originates(self, cluster: str, node: str) -> tuple[str, ...]:
        """The Services that a node announces: those with a ready endpoint on it."""
        pods = [pod for pod in self.network.inventory.pods if (pod.cluster, pod.node) == (cluster, node)]
        here = {address for pod in pods for address in pod.addresses}
        services = (service for service in self.network.inventory.services if here & set(service.backends))
        return tuple(f"{address}/32" for service in services for address in service.addresses)

    def routes(self, site: Site, protocol: str) -> RouteTable:
        """Of a node or router: its pods, what BGP told it, its gateway; of a pod: its default.  MTUs as changed."""
        if site.kind == "pod":
            entries = [RouteEntry("0.0.0.0/0", "169.254.1.1", "eth0", "static")]
        else:
            entries = [
                RouteEntry(f"{address}/32", "", f"pod-{pod.name}", "static")
                for pod in self.network.inventory.pods
                if (pod.cluster, pod.node) == (site.cluster, site.name)
                for address in pod.addresses
            ]
            own = self._originates(site.cluster, site.name)
            for pair in speakers(self.network):
                if key(site) in map(key, pair) and self.network.session_up(*pair):
                    there = pair[1] if key(pair[0]) == key(site) else pair[0]
                    told = self._announced(self.network.nodes[site.cluster, site.name], there)
                    via = facing(there.addresses, site.addresses)
                    entries += [RouteEntry(range_, via, "eth0", "bird") for range_ in told if range_ not in own]
            router = self.network.gateway(site)
            if site.kind == "node" and router is not None:
                entries.append(RouteEntry("0.0.0.0/0", router.addresses[0], "eth0", "static"))
        for _, change in self.network.here(site, RouteMtu):
            entries += [
                RouteEntry(destination, "", "eth0", "chaosnet", change.mtu)
                for destination in (str(ip_network(text, strict=False)) for text in change.destinations)
            ]
        return RouteTable(tuple(entry for entry in entries if protocol in ("", entry.protocol)))

    def service(self, question: ServiceView) -> ServiceSeen:
        """Ready pods behind it, its endpoints, and what each node's rules would send traffic to."""
        named = (question.cluster, question.namespace, question.name)
        now, old = (
            next((s for s in services if (s.cluster, s.namespace, s.name) == named), None)
            for services in (self.network.inventory.services, self.network.present.programmed)
        )
        if now is None:
            raise Unsupported(f"there is no Service {'/'.join(named)} to look at")
        programmed = tuple(
            (node.name, _ordered(now.backends if self.network.running(site, "kube-proxy") else old.backends if old else ()))
            for node in self.network.inventory.nodes
            if node.cluster == question.cluster and node.role == "node"
            for site in (self.network.nodes[node.cluster, node.name],)
        )
        return ServiceSeen(_ordered(self.network.present.selected(named)), _ordered(now.backends), programmed)

    def conntrack(self, site: Site) -> ConntrackUse:
        """Only connections that a ConntrackPressure counts are tracked here."""
        used, refused, limit, stand_in = 0, 0, _CONNTRACK_LIMIT, ""
        for active, change in self.network.here(site, ConntrackPressure):
            number = (active.ticket, active.index)
            used, refused = used + self.tally.tracked[number], refused + self.tally.refused[number]
            limit, stand_in = min(limit, change.limit), "a count of this network's own"
        return ConntrackUse(used, limit, refused, stand_in)

    def daemons(self, site: Site) -> DaemonsSeen:
        """The roles that are there at all, and whether they run.  A node that is down takes only its speaker along."""
        stopped = self.network.stopped(site)
        off = stopped | ({"bird"} if "node" in stopped else set())
        return DaemonsSeen(tuple((role, role not in off) for role in roles(site, self.history.at_rest.inventory)))


def roles(site: Site, inventory: Inventory) -> tuple[str, ...]:
    """The roles that can be stopped at ``site``, in order: of a node also that of a DNS server on it."""
    if site.kind == "node":
        enforcing = any(node.enforces for node in inventory.nodes if (node.cluster, node.name) == (site.cluster, site.name))
        here = [pod for pod in inventory.pods if (pod.cluster, pod.node) == (site.cluster, site.name)]
        dns = any(pod.workload == DNS for pod in here)
        some = {"dns": dns, "policy": enforcing}
        return tuple(r for r in ("bird", "cni", "dns", "endpoints", "kube-proxy", "node", "policy") if some.get(r, True))
    if site.kind == "router":
        return ("bird", "node")
    return ("dns",) if site.kind == "pod" and DNS in site.name else ()


def _ordered(addresses: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(addresses, key=ip_address))


def _percentile(values: Sequence[float], share: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * share // 100)] if ordered else 0.0
