"""What exists where the run happens, and how endpoints and places resolve against it.

Targets make an :class:`Inventory`; selection, planning and reports read it.  A :class:`Site` is a place after
resolution: one concrete spot where a change can sit, or one concrete peer whose addresses a rule can name.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from fnmatch import fnmatchcase

from chaosnet.errors import InputError, Refused
from chaosnet.model.edge import Edge
from chaosnet.model.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class Node:
    """A node or, with ``role`` "router", a transit router (the lab only).  ``enforces`` is whether it applies policies."""

    cluster: str
    name: str
    addresses: tuple[str, ...]
    role: str = "node"
    cni: str = ""
    enforces: bool = True
    ready: bool = True
    pod_ranges: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pod:
    """A running pod.  ``workload`` is the Deployment (or other owner) it belongs to, or its own name."""

    cluster: str
    namespace: str
    name: str
    node: str
    addresses: tuple[str, ...]
    labels: tuple[tuple[str, str], ...] = ()
    workload: str = ""
    ready: bool = True
    host_network: bool = False


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a Service; ``target`` is the port its backends listen on."""

    port: int
    target: int
    protocol: str = "tcp"
    name: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """A Service and the addresses of its ready endpoints."""

    cluster: str
    namespace: str
    name: str
    addresses: tuple[str, ...]
    ports: tuple[ServicePort, ...] = ()
    backends: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Inventory:
    """Everything of one moment.  ``links`` are pairs of node or router names joined directly (the lab only)."""

    clusters: tuple[str, ...] = ()
    nodes: tuple[Node, ...] = ()
    pods: tuple[Pod, ...] = ()
    services: tuple[Service, ...] = ()
    links: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Site:
    """One concrete place or peer.

    kind
        ``pod``, ``node``, ``router`` (changes can sit there), ``service`` or ``address`` (peers only).
    toward, across
        For a hop: the addresses the edge goes to, and those it comes from, as text; for a link: empty.
    interface
        For a link: the far end's name, from which the target finds the interface; else empty, and the target chooses.
    """

    kind: str
    cluster: str = ""
    namespace: str = ""
    name: str = ""
    node: str = ""
    addresses: tuple[str, ...] = ()
    toward: tuple[str, ...] = ()
    across: tuple[str, ...] = ()
    interface: str = ""

    def speaks_as(self, speaker: str) -> bool:
        """Whether ``speaker``, as a BGP session names it, is this node: ``name`` or ``cluster/name``, with or without a kind."""
        return speaker.rpartition(":")[2] in (self.name, f"{self.cluster}/{self.name}")

    def __str__(self) -> str:
        path = "/".join(part for part in (self.cluster, self.namespace, self.name) if part)
        prefix = {"pod": "", "service": "svc:", "address": "ip:"}.get(self.kind, f"{self.kind}:")
        return f"{prefix}{path}" + (f" towards {self.interface}" if self.interface else "")


def _matches(endpoint: Endpoint, cluster: str, namespace: str, name: str, labels: Iterable[tuple[str, str]] = ()) -> bool:
    return (
        (not endpoint.cluster or fnmatchcase(cluster, endpoint.cluster))
        and (not endpoint.namespace or fnmatchcase(namespace, endpoint.namespace))
        and fnmatchcase(name, endpoint.name)
        and set(endpoint.labels) <= set(labels)
    )


def find(inventory: Inventory, endpoint: Endpoint, place: str = "") -> tuple[Site, ...]:
    """Every site that ``endpoint`` means, in the inventory's order.

    A pod's name also matches the workload it belongs to, so that ``test/shop/client`` finds the pods of the Deployment
    ``client``.  An endpoint that finds nothing is InputError (naming ``place`` and the nearest names), never an empty
    answer.
    """
    if endpoint.kind in ("ip", "entity"):
        return (Site("address", name=endpoint.name, addresses=(endpoint.name,)),)
    sites: list[Site] = []
    if endpoint.kind == "node":
        sites = [
            Site(node.role, node.cluster, "", node.name, node.name, node.addresses)
            for node in inventory.nodes
            if _matches(endpoint, node.cluster, "", node.name)
        ]
    elif endpoint.kind == "service":
        sites = [
            Site("service", svc.cluster, svc.namespace, svc.name, "", (*svc.addresses, *svc.backends))
            for svc in inventory.services
            if _matches(endpoint, svc.cluster, svc.namespace, svc.name)
        ]
    else:
        sites = [
            Site("pod", pod.cluster, pod.namespace, pod.name, pod.node, pod.addresses)
            for pod in inventory.pods
            if _matches(endpoint, pod.cluster, pod.namespace, pod.name, pod.labels)
            or (pod.workload and _matches(endpoint, pod.cluster, pod.namespace, pod.workload, pod.labels))
        ]
    if not sites:
        known = {
            "node": [f"node:{node.cluster}/{node.name}" for node in inventory.nodes],
            "service": [f"svc:{svc.cluster}/{svc.namespace}/{svc.name}" for svc in inventory.services],
            "pod": sorted({f"{pod.cluster}/{pod.namespace}/{pod.workload or pod.name}" for pod in inventory.pods}),
        }[endpoint.kind]
        known.sort(key=lambda name: -SequenceMatcher(None, str(endpoint), name).ratio())
        some = ", ".join(known[:6]) + (", ..." if len(known) > 6 else "")
        raise InputError(place, f"{str(endpoint)!r} selects nothing", f"there are {some}" if known else "there is none")
    if not endpoint.cluster and len({site.cluster for site in sites}) > 1:
        clusters = ", ".join(sorted({site.cluster for site in sites}))
        raise InputError(place, f"{str(endpoint)!r} is in several clusters ({clusters})", "put the cluster in front")
    return tuple(sites)


def one(inventory: Inventory, endpoint: Endpoint, place: str = "") -> Site:
    """The only site that ``endpoint`` means; where a workload has several pods, the first of them.

    Raises InputError where it selects nothing, Refused where it selects more than one workload or node.
    """
    sites = find(inventory, endpoint, place)
    if "*" in endpoint.name and len(sites) > 1 and not endpoint.labels:
        raise Refused(f"{place}: {endpoint} means {len(sites)} places where one is needed; name one of them")
    return sites[0]


@dataclass(frozen=True, slots=True)
class Sites:
    """The sites of a fault's places by argument name (``at``, ``source``, ``destination``), and the world they are in.

    ``hold_times`` are of BGP sessions, in seconds, by speaker.  ``announced`` are the concrete edges that the experiment
    says must break or open: for some faults (a policy, a label) nothing else on the wire shows what they did.
    """

    by_argument: dict[str, tuple[Site, ...]]
    inventory: Inventory
    hold_times: dict[str, float] = field(default_factory=dict)
    announced: tuple[Edge, ...] = ()

    def hold_time(self, site: Site, usual: float = 90.0) -> float:
        """The longest hold time of the site's BGP sessions; ``usual`` where none is known (RFC 4271 section 10 suggests 90 s)."""
        return max((hold for speaker, hold in self.hold_times.items() if site.speaks_as(speaker)), default=usual)

    def __getitem__(self, argument: str) -> tuple[Site, ...]:
        return self.by_argument.get(argument, ())

    def addresses(self, argument: str) -> tuple[str, ...]:
        """All addresses behind an argument, without repeats, in order."""
        return tuple(dict.fromkeys(a for site in self[argument] for a in site.addresses))
