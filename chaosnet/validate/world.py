"""The network that a lab file describes, built on paper: what an experiment's edges and places may name.

Reads the topology and its manifests and places pods as the lab does; starts nothing, and knows nothing of a live cluster.
"""

from functools import lru_cache

from chaosnet.lab import census, topology
from chaosnet.lab.furnish import furnish
from chaosnet.lab.topology import Topology
from chaosnet.model.inventory import Inventory, Node


@lru_cache(maxsize=8)
def inventory(path: str) -> Inventory:
    """What exists at the start in the lab of a topology file.  InputError names the file and the place of what is wrong."""
    network = topology.load(path)
    store = furnish(network)
    return Inventory(
        clusters=tuple(cluster.name for cluster in network.clusters),
        nodes=_nodes(network),
        pods=census.pods(store),
        services=census.services(store),
        links=network.pairs(),
    )


def _nodes(network: Topology) -> tuple[Node, ...]:
    nodes = [
        Node(node.cluster, node.name, (node.address,), cni=node.cni, enforces=node.enforces, pod_ranges=(node.pods,))
        for node in network.nodes
    ]
    routers = [Node(router.cluster, router.name, network.router_addresses(router.name), "router") for router in network.routers]
    return (*nodes, *routers)
