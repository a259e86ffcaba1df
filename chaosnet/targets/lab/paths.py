"""From an edge to what must be tried: the namespace it starts in, the address it goes to, the attempt itself.

Endpoints are resolved against the inventory of the moment, once each; :meth:`Paths.refresh` forgets that when pods or
Services have moved.  Nothing here opens a socket: the attempts do, when they are run.
"""

from collections.abc import Callable
from dataclasses import dataclass

from chaosnet.errors import ChaosnetError
from chaosnet.model.edge import Edge, Observation, State
from chaosnet.model.endpoint import Endpoint
from chaosnet.model.inventory import Inventory, Site, one
from chaosnet.targets.lab import exchanges, resolver
from chaosnet.targets.lab.attempts import Steps
from chaosnet.targets.lab.namespaces import site_namespace
from chaosnet.targets.lab.sockets import Outcome, Spaces

DNS_PORT = 53
_DEFAULT_PORTS = {"http": 80, "dns": DNS_PORT}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the prober must be told about the lab it is in.

    inventory
        What exists now.
    resolver
        The address of the DNS server that the pod at a site asks.
    service_name
        The DNS name of a Service (second) as a pod (first) would write it: within its cluster, or across.
    bgp
        The state of a bgp edge: whether every session on its way is Established.
    """

    inventory: Callable[[], Inventory]
    resolver: Callable[[Site], str]
    service_name: Callable[[Site, Site], str]
    bgp: Callable[[Edge], Observation]


@dataclass(frozen=True, slots=True)
class Path:
    """One edge made concrete.  ``attempt`` makes a fresh attempt; it is None where ``problem`` says why there is none.

    ``far`` is the namespace of the destination, empty where that is a Service or an address.
    """

    edge: Edge
    namespace: str = ""
    address: str = ""
    far: str = ""
    attempt: Callable[[], Steps] | None = None
    problem: str = ""

    def steps(self) -> Steps:
        """A fresh attempt, or one that ends ``unknown`` at once."""
        return self.attempt() if self.attempt is not None else _nothing(self.problem)


def _nothing(problem: str) -> Steps:
    yield from ()  # makes this a generator
    return Outcome(State.UNKNOWN, problem)


class Paths:
    """Edges to paths, remembered until :meth:`refresh`."""

    def __init__(self, spaces: Spaces, surroundings: Surroundings) -> None:
        self._spaces = spaces
        self.surroundings = surroundings
        self._inventory: Inventory | None = None
        self._sites: dict[Endpoint, Site] = {}
        self._paths: dict[Edge, Path] = {}

    def refresh(self) -> None:
        """Forget what was resolved: something has moved."""
        self._inventory = None
        self._sites.clear()
        self._paths.clear()

    def site(self, endpoint: Endpoint) -> Site:
        """The one site an endpoint means now; ChaosnetError where there is none."""
        found = self._sites.get(endpoint)
        if found is None:
            if self._inventory is None:
                self._inventory = self.surroundings.inventory()
            found = self._sites[endpoint] = one(self._inventory, endpoint, str(endpoint))
        return found

    def path(self, edge: Edge) -> Path:
        """The path of ``edge`` now.  Never raises: what cannot be resolved is a path with a problem."""
        found = self._paths.get(edge)
        if found is None:
            try:
                found = self._make(edge)
            except ChaosnetError as error:
                found = Path(edge, problem=str(error))
            self._paths[edge] = found
        return found

    def _make(self, edge: Edge) -> Path:
        source, destination = self.site(edge.source), self.site(edge.destination)
        namespace, address = site_namespace(source), address_of(destination)
        if not address:
            return Path(edge, namespace, problem=f"{destination} has no address")
        if edge.by_name and destination.kind == "service":
            server = self.surroundings.resolver(source)
            name = self.surroundings.service_name(source, destination)

            def attempt() -> Steps:
                search = resolver.lookup(self._spaces, namespace, server, DNS_PORT, name)
                return resolver.by_name(search, lambda found: self._attempt(edge, namespace, found))

            return Path(edge, namespace, address, "", attempt)
        far = site_namespace(destination) if destination.kind in ("pod", "node", "router") else ""
        return Path(edge, namespace, address, far, lambda: self._attempt(edge, namespace, address))

    def _attempt(self, edge: Edge, namespace: str, address: str) -> Steps:
        port = edge.port or _DEFAULT_PORTS.get(edge.protocol, 0)
        match edge.protocol:
            case "tcp":
                return exchanges.tcp(self._spaces, namespace, (address, port), edge.send, edge.receive)
            case "http":
                host = edge.destination.name if edge.destination.kind == "service" else address
                return exchanges.http(self._spaces, namespace, (address, port), host, edge.send, edge.receive)
            case "udp":
                return exchanges.udp(self._spaces, namespace, (address, port), edge.send, edge.receive)
            case "icmp":
                return exchanges.icmp(self._spaces, namespace, address, edge.send)
            case "dns":
                return resolver.ask(self._spaces, namespace, address, port, edge.query)
            case "bgp":
                return self._bgp(edge)
        return _nothing(f"{edge.protocol!r} is not a protocol of an edge")

    def _bgp(self, edge: Edge) -> Steps:
        yield from ()
        seen = self.surroundings.bgp(edge)
        return Outcome(seen.state, seen.detail)


def address_of(site: Site) -> str:
    """The IPv4 address that traffic to a site goes to: of several the first; a Service's is its ClusterIP."""
    return next((address for address in site.addresses if ":" not in address), "")
