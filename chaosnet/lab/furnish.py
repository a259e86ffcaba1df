"""A topology's objects: its nodes and ranges, its manifests, and what the controllers make of them, in one store.

Reads the manifest files that the topology names; builds nothing.
"""

from chaosnet.lab import controllers, manifests, placement
from chaosnet.lab.objects import Store
from chaosnet.lab.topology import Topology
from chaosnet.policy.world import NAME_LABEL


def furnish(topology: Topology) -> Store:
    """The store of a lab before it starts: every pod placed, every Service addressed, every EndpointSlice made.

    InputError names the file and the object that cannot be loaded.
    """
    store = Store()
    for cluster in topology.clusters:
        own = [placement.node_manifest(node.name, node.address, node.pods, node.cni) for node in cluster.nodes]
        for manifest in (*own, placement.range_manifest(cluster.services)):
            store.apply(cluster.name, manifest, "the topology")
        store.load(cluster.name, manifests.load(cluster.manifests))
        _namespaces(store, cluster.name)
        controllers.run(store, cluster.name)
    return store


def _namespaces(store: Store, cluster: str) -> None:
    """Every namespace that is used exists and carries its name's label, as the API server sees to it."""
    used = {key.namespace for key in store if key.cluster == cluster and key.namespace}
    for name in used | {item["metadata"]["name"] for item in store.list(cluster, "Namespace")}:
        item = store.get(cluster, "Namespace", "", name) or {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        labels = (item["metadata"].get("labels") or {}) | {NAME_LABEL: name}
        store.apply(cluster, {**item, "metadata": {**item["metadata"], "labels": labels}})
