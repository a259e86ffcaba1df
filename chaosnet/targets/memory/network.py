"""The in-memory network at one moment: what is where, and which way packets go.

A way is the chain of stations that a packet passes: source pod, its node, routers, the other node, the other pod.
Nothing here draws lots, keeps time or changes: a Network is made for one set of changes and thrown away with it.  What a
packet meets on its way is :mod:`.journey`, attempts over edges are :mod:`.attempts`, BGP over time is :mod:`.sessions`.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeVar

from chaosnet.model.change import Change, DaemonState, DnsAnswer, Filter, Object, Rewrite, Sysctl
from chaosnet.model.inventory import Service, Site
from chaosnet.targets.memory.packets import Packet, matches, within
from chaosnet.targets.memory.present import Present
from chaosnet.targets.memory.state import Active
from chaosnet.targets.memory.world import World, key, node_site, pod_site

SOURCE_PORT = 40000
"""What every client port is here."""
DNS_PORT = 53

_Kind = TypeVar("_Kind", bound=Change)

Session = frozenset[str]
"""A BGP session: the :func:`key` of either speaker."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Packets between a source and a backend.  ``pairs`` are (source, destination) before and after each station.

    Address translation sits in the pairs: connection tracking makes the way back the same pairs turned round.
    ``rewrites`` are the changes that wrote another source, each with the number of its station.  A ``dead_end`` says why
    the way leads no further than its last station, and ``refused`` whether the sender is told.
    """

    way: tuple[Site, ...]
    pairs: tuple[tuple[tuple[str, str], tuple[str, str]], ...]
    protocol: str
    port: int
    rewrites: tuple[tuple[int, Active], ...] = ()
    replies_lost_at: str = ""
    dead_end: str = ""
    refused: bool = False

    @property
    def client(self) -> str:
        """The address that it is sent from."""
        return self.pairs[0][0][0]

    @property
    def server(self) -> str:
        """The address that it ends at, translated."""
        return self.pairs[-1][1][1]


def session(one: Site, other: Site) -> Session:
    """The BGP session of two speakers."""
    return frozenset((key(one), key(other)))


class Network:
    """The world with the changes ``active`` in force and the BGP sessions ``down``."""

    def __init__(
        self, world: World, present: Present, active: Sequence[Active] = (), down: frozenset[Session] = frozenset()
    ) -> None:
        self.world, self.present, self.inventory = world, present, present.inventory
        self.active, self.down = tuple(active), down
        self.nodes = {(node.cluster, node.name): node_site(node) for node in self.inventory.nodes}
        self.routers = {node.name: node_site(node) for node in self.inventory.nodes if node.role == "router"}
        self.sites = {key(site): site for site in (*self.nodes.values(), *map(pod_site, self.inventory.pods))}
        self._gateways = {router.cluster: router for router in self.routers.values() if router.cluster}
        self._at_address = {address: site for site in self.sites.values() for address in site.addresses}
        self._service_at = {address: service for service in self.inventory.services for address in service.addresses}
        self._programmed = {address: service for service in present.programmed for address in service.addresses}
        self._at_site: dict[str, list[Active]] = {}
        for one in active:
            if not isinstance(one.change, Object):
                self._at_site.setdefault(key(one.change.site), []).append(one)

    # -- what is where ---------------------------------------------------------------------------------------------

    def here(self, site: Site, kind: type[_Kind]) -> Iterator[tuple[Active, _Kind]]:
        """The changes of one kind that sit at ``site``."""
        for one in self._at_site.get(key(site), ()):
            if isinstance(one.change, kind):
                yield one, one.change

    def stopped(self, site: Site) -> frozenset[str]:
        """The roles that a change has stopped at ``site`` itself."""
        return frozenset(change.daemon for _, change in self.here(site, DaemonState))

    def running(self, site: Site, daemon: str) -> bool:
        """Whether the role ``daemon`` runs at ``site``; nothing does where the whole node is stopped."""
        stopped = self.stopped(site)
        if site.kind == "pod" and (node := self.nodes.get((site.cluster, site.node))):
            return daemon not in stopped and self.running(node, daemon)
        return not stopped & {daemon, "node"}

    def sysctl(self, site: Site, name: str) -> str:
        """What a change set the kernel setting ``name`` of ``site`` to, else empty."""
        return next((change.value for _, change in self.here(site, Sysctl) if change.key == name), "")

    def owner(self, address: str) -> Site | None:
        """The pod, node or router at ``address``."""
        return self._at_address.get(address)

    def service(self, address: str) -> Service | None:
        """The Service whose own address this is."""
        return self._service_at.get(address)

    def listens(self, address: str, protocol: str, port: int) -> bool:
        """Whether something answers there; ICMP always is, a DNS server only where it runs."""
        owner = self.owner(address)
        if port == DNS_PORT and owner is not None and not self.running(owner, "dns"):
            return False
        return protocol == "icmp" or (protocol, port) in self.present.listeners.get(address, ())

    def dns_troubles(self, server: Site, name: str) -> Iterator[DnsAnswer]:
        """What is wrong with the answers of the DNS server at ``server`` for ``name``."""
        for _, change in self.here(server, DnsAnswer):
            if f".{name.rstrip('.')}".endswith(f".{change.suffix.strip('.')}" if change.suffix else ""):
                yield change

    # -- ways --------------------------------------------------------------------------------------------------------

    def session_up(self, one: Site, other: Site) -> bool:
        """Whether the BGP session between two speakers is established."""
        return session(one, other) not in self.down

    def gateway(self, site: Site) -> Site | None:
        """The router that a node's cluster hangs on; a router itself."""
        return self.routers.get(site.name) if site.kind == "router" else self._gateways.get(site.cluster)

    def routers_between(self, one: Site, other: Site) -> tuple[Site, ...]:
        """The routers from the cluster of ``one`` to that of ``other``, by the links; empty where none join them."""
        start, goal = self.gateway(one), self.gateway(other)
        if start is None or goal is None:
            return ()
        neighbours: dict[str, set[str]] = {}
        for a, b in self.inventory.links:
            neighbours.setdefault(a, set()).add(b)
            neighbours.setdefault(b, set()).add(a)
        before: dict[str, str] = {start.name: ""}
        waiting = deque([start.name])
        while waiting and goal.name not in before:
            name = waiting.popleft()
            for following in sorted((neighbours.get(name, set()) & self.routers.keys()) - before.keys()):
                before[following] = name
                waiting.append(following)
        chain: list[Site] = []
        name = goal.name if goal.name in before else ""
        while name:
            chain.append(self.routers[name])
            name = before[name]
        return tuple(reversed(chain))

    def way(self, source: Site, target: Site) -> tuple[tuple[Site, ...], str]:
        """The stations from ``source`` to ``target``; where there is no route, those up to there, and why.

        Pods' ranges are known by BGP only: between the nodes of a cluster from the mesh, else from the router that is
        their gateway; across clusters from the routers.  Within a cluster nodes reach each other without it.
        """
        head, tail = self.node_of(source), self.node_of(target)
        before = (source,) if source.kind == "pod" else ()
        behind = (target,) if target.kind == "pod" else ()
        if key(head) == key(tail):
            return (*before, head, *behind), ""
        if head.cluster == tail.cluster:
            if not (before or behind) or self.session_up(head, tail):
                return (*before, head, tail, *behind), ""
            chain: tuple[Site, ...] = tuple(r for r in (self.gateway(head),) if r is not None)
        else:
            chain = self.routers_between(head, tail)
        if not chain:
            return (*before, head), f"no route from {head} to {tail}"
        stations = tuple({key(station): station for station in (head, *chain, tail)}.values())
        for i, (one, other) in enumerate(pairwise(stations)):
            # A node's own address is on a network that its router is connected to; a pod's range must be announced.
            own_network = (one is head and not before) or (other is tail and not behind)
            if not (own_network and "node" in (one.kind, other.kind)) and not self.session_up(one, other):
                return (*before, *stations[: i + 1]), f"no route: the BGP session of {one} and {other} is down"
        return (*before, *stations, *behind), ""

    def node_of(self, site: Site) -> Site:
        """The node that a pod is on; a node or router itself."""
        return self.nodes[(site.cluster, site.node)] if site.kind == "pod" else self.sites.get(key(site), site)

    def flow(self, source: Site, address: str, protocol: str, port: int, choose: float) -> Flow:
        """How packets from ``source`` to ``address`` go; ``choose`` (0 to 1) picks the backend of a Service."""
        source = source if source.addresses else self.sites.get(key(source), source)
        service, backend, target_port = self.service(address), address, port
        if service is not None:
            wanted = next((p for p in service.ports if p.port == port and p.protocol == protocol), None)
            backends = self.backends(service, source)
            if wanted is None or not backends:
                what = "endpoints" if wanted else f"port {port}/{protocol}"
                ours = wanted is not None and source.cluster == service.cluster
                return self._dead_end(source, address, protocol, port, f"the Service {service.name} has no {what}", ours)
            backend, target_port = backends[min(int(choose * len(backends)), len(backends) - 1)], wanted.target
        target = self.owner(backend) or self._room(backend)
        if target is None:
            return self._dead_end(source, address, protocol, port, f"nothing has the address {backend}", False)
        way, dead_end = ((source,), "") if target == source and service is None else self.way(source, target)
        if backend not in target.addresses:
            dead_end = dead_end or f"nothing has the address {backend}"
        # The node's rules translate: at the source in the Service's own cluster, else at the node with the backend.
        translate_at = -1
        if service is not None:
            nodes = [i for i, station in enumerate(way) if station.kind == "node"] or [0]
            translate_at = nodes[0] if source.cluster == service.cluster else nodes[-1]
            came = (source.addresses[0], address)
            if self._untracked(way[translate_at], came, protocol, port):
                dead_end = f"{way[translate_at]} did not translate {address}: it was told not to track it"
                way, translate_at = way[: translate_at + 1], -1
        flow = Flow(way, (), protocol, target_port, dead_end=dead_end)
        return self._addressed(flow, (source.addresses[0], address), port, translate_at, backend)

    def _dead_end(self, source: Site, address: str, protocol: str, port: int, why: str, refused: bool) -> Flow:
        """A flow that ends at the source's own node."""
        way, _ = self.way(source, self.node_of(source))
        flow = Flow(way, (), protocol, port, dead_end=why, refused=refused)
        return self._addressed(flow, (source.addresses[0], address), port, -1, address)

    def _addressed(self, flow: Flow, first: tuple[str, str], port: int, translate_at: int, backend: str) -> Flow:
        """The flow with its addresses before and after each station; ``first`` are those it is sent with, to ``port``."""
        pairs: list[tuple[tuple[str, str], tuple[str, str]]] = []
        rewrites: list[tuple[int, Active]] = []
        now, lost_at = first, ""
        for i, station in enumerate(flow.way):
            came = now
            if i == translate_at:
                now, port = (now[0], backend), flow.port
            if i < len(flow.way) - 1:
                packet = Packet(*now, flow.protocol, SOURCE_PORT, port)
                for active, rewrite in self.here(station, Rewrite):
                    if matches(rewrite.match, packet):
                        now = (rewrite.source, now[1])
                        rewrites.append((i, active))
                        lost_at = lost_at if rewrite.source in station.addresses else str(station)
            pairs.append((came, now))
        return replace(flow, pairs=tuple(pairs), rewrites=tuple(rewrites), replies_lost_at=lost_at)

    def _room(self, address: str) -> Site | None:
        """The node whose range a pod at ``address`` would be in."""
        for node in self.inventory.nodes:
            if node.pod_ranges and within(address, node.pod_ranges):
                return node_site(node)
        return None

    def backends(self, service: Service, source: Site) -> tuple[str, ...]:
        """Where the rules of the source's node send the Service's traffic: as they were, where kube-proxy is stopped."""
        if source.cluster == service.cluster and not self.running(self.node_of(source), "kube-proxy"):
            return self._programmed[service.addresses[0]].backends if service.addresses[0] in self._programmed else ()
        return service.backends

    def _untracked(self, station: Site, addresses: tuple[str, str], protocol: str, port: int) -> bool:
        packet = Packet(*addresses, protocol, SOURCE_PORT, port)
        return any(c.verdict == "untrack" and matches(c.match, packet) for _, c in self.here(station, Filter))
