"""What a run watches: declared edges made concrete, and one edge for every pair of workloads and Service port.

Pure.  Also decides which watched edges a declared expectation covers, so that collateral means what people mean.
It does not sample (:mod:`chaosnet.engine.watch` reads samples) and does not judge.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from chaosnet.engine.experiment import Ceiling, Spec
from chaosnet.errors import InputError, Refused
from chaosnet.model.change import Change, DaemonState
from chaosnet.model.edge import Edge
from chaosnet.model.endpoint import Endpoint
from chaosnet.model.inventory import Inventory, Site, find

_MOST_EDGES = 5000


@dataclass(frozen=True, slots=True)
class Watched:
    """One concrete edge; ``declared`` is the name it was declared under, empty for one that we watch by ourselves.

    ``any`` marks one that came in by ``port: any``: a crowd, of which those that are shut anyway prove and break nothing.
    """

    edge: Edge
    declared: str
    expected: str
    any: bool = False


def concrete(site: Site) -> Endpoint:
    """The endpoint that names exactly this site."""
    if site.kind == "address":
        return Endpoint("ip", name=site.name)
    kind = {"router": "node"}.get(site.kind, site.kind)
    return Endpoint(kind, site.cluster, site.namespace, site.name)


def expand(edge: Edge, inventory: Inventory, place: str = "") -> tuple[Edge, ...]:
    """The concrete edges of a declared one: every source to every destination, itself left out.

    A workload's name stands for its first pod (its replicas are alike); only ``*`` and labels fan out.  One alone keeps the
    edge's name; several are called ``name[source→destination]``.  InputError where it selects nothing.
    """
    sources = _ends(inventory, edge.source, f"{place}.from")
    destinations = _ends(inventory, edge.destination, f"{place}.to")
    pairs = [
        (a, b) for a in sources for b in destinations if (a.cluster, a.namespace, a.name) != (b.cluster, b.namespace, b.name)
    ]
    if not pairs:
        raise InputError(place, f"{edge.name!r} has no pair of different ends", "widen from or to")
    if len(pairs) == 1:
        a, b = pairs[0]
        return (replace(edge, source=concrete(a), destination=concrete(b)),)
    return tuple(
        replace(edge, name=f"{edge.name}[{a.name}→{b.name}]", source=concrete(a), destination=concrete(b)) for a, b in pairs
    )


def _ends(inventory: Inventory, endpoint: Endpoint, place: str) -> tuple[Site, ...]:
    sites = find(inventory, endpoint, place)
    if endpoint.kind == "node":
        sites = tuple(site for site in sites if site.kind == "node") or sites
    return sites if "*" in endpoint.name or endpoint.labels else sites[:1]


def watched(spec: Spec, inventory: Inventory, place: str = "edges") -> tuple[Watched, ...]:
    """Everything the run watches, declared edges first, none twice."""
    crowds = {
        name: tuple(
            {concrete(site) for site in find(inventory, end, f"{place}.{name}")} for end in (edge.source, edge.destination)
        )
        for name, edge in spec.edges.items()
        if edge.protocol == "any"
    }
    declared = [
        Watched(edge, name, spec.expected(name))
        for name, declared_edge in spec.edges.items()
        if name not in crowds
        for edge in expand(declared_edge, inventory, f"{place}.{name}")
    ]
    questions = {_question(item.edge) for item in declared}
    own = []
    for edge in _everything(inventory):
        if _question(edge) not in questions:
            covering = [item for item in declared if _covers(item.edge, edge)]
            expected = next((item.expected for item in covering if item.expected != "hold"), "")
            crowd = next((name for name, (a, b) in crowds.items() if edge.source in a and edge.destination in b), "")
            own.append(Watched(edge, crowd, expected or (spec.expected(crowd) if crowd else "hold"), bool(crowd)))
    for name in crowds:
        if not any(item.declared == name for item in own):
            raise InputError(f"{place}.{name}", "no watched edge lies between these ends", "widen from or to")
    if len(declared) + len(own) > _MOST_EDGES:
        own = own[: max(0, _MOST_EDGES - len(declared))]
    return (*declared, *own)


def _question(edge: Edge) -> tuple[object, ...]:
    return (edge.source, edge.destination, edge.protocol, edge.port, edge.send, edge.receive, edge.by_name, edge.query)


def _covers(declared: Edge, other: Edge) -> bool:
    """Whether what happens to ``declared`` announces the same for ``other``: same ends and port, and no smaller.

    A break of 3,000-byte requests says nothing of 100-byte ones; a break of bare connects takes everything larger along.
    """
    same = (declared.source, declared.destination, declared.port) == (other.source, other.destination, other.port)
    return same and not declared.by_name and other.send >= declared.send and other.receive >= declared.receive


def _everything(inventory: Inventory) -> Iterable[Edge]:
    """One edge per pair of workloads and Service port, one DNS edge per workload, one BGP edge per pair of speakers.

    Speakers pair along links and, inside a cluster, node with node; only the lab knows its links, so only there.
    """
    workloads: dict[tuple[str, str, str], Endpoint] = {}
    behind: dict[str, tuple[str, str, str]] = {}
    for pod in inventory.pods:
        key = (pod.cluster, pod.namespace, pod.workload or pod.name)
        if not pod.host_network:
            workloads.setdefault(key, Endpoint("pod", pod.cluster, pod.namespace, pod.name))
            behind.update(dict.fromkeys(pod.addresses, key))
    for (cluster, namespace, name), source in workloads.items():
        for service in inventory.services:
            if not service.addresses:
                continue
            owners = {behind.get(address) for address in service.backends}
            if owners == {(cluster, namespace, name)}:
                continue  # a workload to itself by its own Service: hairpin, which CNIs may treat as they like
            for port in service.ports:
                destination = Endpoint("service", service.cluster, service.namespace, service.name)
                if port.port == 53:
                    if port.protocol == "udp" and service.cluster == cluster:
                        query = f"{service.name}.{service.namespace}.svc.cluster.local"
                        label = f"{cluster}/{namespace}/{name} asks {service.name}"
                        yield Edge(label, source, destination, "dns", 53, query=query)
                    continue
                label = f"{cluster}/{namespace}/{name} → {service.cluster}/{service.name}:{port.port}"
                protocol = "udp" if port.protocol == "udp" else "http" if port.name.startswith("http") else "tcp"
                yield Edge(label, source, destination, protocol, port.port)
    nodes = {node.name: node for node in inventory.nodes}
    pairs = [(nodes[a], nodes[b]) for a, b in inventory.links if a in nodes and b in nodes]
    pairs += [
        (a, b)
        for index, a in enumerate(inventory.nodes if inventory.links else ())
        for b in inventory.nodes[index + 1 :]
        if a.cluster == b.cluster and a.role == b.role == "node"
    ]
    for a, b in pairs:
        ends = (Endpoint("node", a.cluster, "", a.name), Endpoint("node", b.cluster, "", b.name))
        yield Edge(f"bgp {a.name} – {b.name}", *ends, "bgp", 179)


def hit(changes: Sequence[Change]) -> tuple[set[str], set[str]]:
    """The pods and the nodes (by full name) at which the changes sit; routers count as nodes."""
    pods, nodes = set(), set()
    for change in changes:
        site: Site | None = getattr(change, "site", None)
        if site is None:
            continue
        if site.kind == "pod" and not isinstance(change, DaemonState):
            pods.add(f"{site.cluster}/{site.namespace}/{site.name}")
        elif site.kind in ("node", "router"):
            nodes.add(f"{site.cluster}/{site.name}")
        else:
            pods.add(str(site))
    return pods, nodes


def check_ceiling(ceiling: Ceiling, changes: Iterable[Sequence[Change]]) -> None:
    """Refused where all the changes of a run together touch more pods or nodes than ``ceiling`` allows."""
    pods: set[str] = set()
    nodes: set[str] = set()
    for some in changes:
        more_pods, more_nodes = hit(some)
        pods |= more_pods
        nodes |= more_nodes
    for what, found, most in (("pods", pods, ceiling.pods), ("nodes", nodes, ceiling.nodes)):
        if len(found) > most:
            raise Refused(
                f"the run would touch {len(found)} {what}, above its ceiling of {most}; "
                f"choose fewer, or raise extensions.chaosnet.ceiling.{what}"
            )


def group(items: Sequence[Watched], names: Iterable[str], edges: Mapping[str, Edge], place: str) -> tuple[Edge, ...]:
    """The concrete edges of declared names; InputError for a name that is not declared, or what is no list of names."""
    if not isinstance(names, list | tuple):
        raise InputError(place, f"{names!r} is not a list of edges", "write [name, name]")
    chosen: list[Edge] = []
    for name in names:
        found = [item.edge for item in items if item.declared == name or item.edge.name == name]
        if not found:
            raise InputError(place, f"there is no edge {name!r}", f"declared are {', '.join(edges) or 'none'}")
        chosen += found
    return tuple(chosen)
