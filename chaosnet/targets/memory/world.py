"""What the in-memory network is made of, at rest: a lab's topology and objects, as plain values that can be written down.

:func:`furnished` makes it of a topology file, by the same rooms that furnish a real lab: the same pods, names and
addresses.  What exists while changes are in force is :mod:`.present`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from chaosnet.lab.furnish import furnish
from chaosnet.lab.objects import canonical
from chaosnet.lab.topology import Topology
from chaosnet.model.inventory import Node, Pod, Site


@dataclass(frozen=True, slots=True)
class World:
    """One network at rest.  MTUs are bytes (``mtu_pods`` by cluster), BGP times seconds.

    ``objects`` are pairs of cluster and an API object's JSON text; ``resolvers`` maps a cluster to its DNS Service's address,
    ``domains`` to the domain that its own names are under.
    """

    name: str
    nodes: tuple[Node, ...]
    links: tuple[tuple[str, str], ...]
    objects: tuple[tuple[str, str], ...]
    resolvers: Mapping[str, str] = field(default_factory=dict)
    domains: Mapping[str, str] = field(default_factory=dict)
    mtu_pods: Mapping[str, int] = field(default_factory=dict)
    mtu_underlay: int = 1550
    hold: float = 9.0
    keepalive: float = 3.0
    retry: float = 3.0


def furnished(topology: Topology) -> World:
    """The world that a topology and its manifests describe.  InputError names the file and object that cannot be loaded."""
    nodes = [Node(n.cluster, n.name, (n.address,), "node", n.cni, n.enforces, True, (n.pods,)) for n in topology.nodes]
    nodes += [
        Node(router.cluster, router.name, topology.router_addresses(router.name), "router", enforces=False)
        for router in topology.routers
    ]
    clusters = topology.clusters
    return World(
        name=topology.name,
        nodes=tuple(nodes),
        links=topology.pairs(),
        objects=tuple((cluster, canonical(item)) for cluster, item in furnish(topology).items()),
        resolvers={cluster.name: cluster.dns for cluster in clusters},
        domains={cluster.name: cluster.domain for cluster in clusters},
        mtu_pods={cluster.name: cluster.mtu for cluster in clusters},
        mtu_underlay=topology.underlay,
        hold=float(topology.bgp.hold),
        keepalive=float(topology.bgp.keepalive),
        retry=float(topology.bgp.retry),
    )


def node_site(node: Node) -> Site:
    """The node or router as a site."""
    return Site(node.role, node.cluster, "", node.name, node.name, node.addresses)


def pod_site(pod: Pod) -> Site:
    """The pod as a site."""
    return Site("pod", pod.cluster, pod.namespace, pod.name, pod.node, pod.addresses)


def key(site: Site) -> str:
    """A site's identity, whatever it is turned towards."""
    return f"{site.kind}:{site.cluster}/{site.namespace}/{site.name}"
