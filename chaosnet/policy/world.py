"""What policies are decided over: nodes, namespaces, pods and policies of every cluster, read from their objects.

Pure values.  Reads the objects that the lab's store or a cluster's API holds; places, addresses and readiness are taken as
they stand there and never worked out.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chaosnet.policy.kubernetes import API_VERSION, NetworkPolicy, parse_policy
from chaosnet.policy.semantics import KUBERNETES, SEMANTICS, Semantics

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

#: The annotation of a Node object that names its plugin: cilium, calico, kubernetes, kubenet or none.
CNI = "chaosnet.io/cni"
#: The API server puts this label on every namespace (Kubernetes, "Automatic labelling").
NAME_LABEL = "kubernetes.io/metadata.name"


@dataclass(frozen=True, slots=True)
class Node:
    """A node: its own addresses, and what its plugin makes of policies."""

    cluster: str
    name: str
    addresses: tuple[Address, ...]
    semantics: Semantics = KUBERNETES

    def __str__(self) -> str:
        return f"node:{self.cluster}/{self.name}"


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod with addresses.  ``ports`` are (name, protocol, number) of its containers' named ports."""

    cluster: str
    namespace: str
    name: str
    node: str
    addresses: tuple[Address, ...]
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    ports: tuple[tuple[str, str, int], ...] = ()
    host_network: bool = False

    def __str__(self) -> str:
        return "/".join(part for part in (self.cluster, self.namespace, self.name) if part)


#: One end of a connection.  An address stands for whatever is neither a pod nor a node of any cluster.
End = Pod | Node | Address


@dataclass(frozen=True, slots=True)
class World:
    """Everything that a decision depends on, by the names it is looked up with."""

    nodes: Mapping[tuple[str, str], Node]
    namespaces: Mapping[tuple[str, str], Mapping[str, str]]
    pods: tuple[Pod, ...]
    policies: Mapping[tuple[str, str], tuple[NetworkPolicy, ...]]
    _at: Mapping[Address, End] = field(default_factory=dict, compare=False)

    def end(self, address: str) -> End:
        """Who has ``address``: a pod, a node, or nobody here (the address itself)."""
        value = ipaddress.ip_address(address)
        return self._at.get(value, value)

    def labels(self, cluster: str, namespace: str) -> Mapping[str, str]:
        """The namespace's labels; one without an object has its name's label only."""
        return {NAME_LABEL: namespace} | dict(self.namespaces.get((cluster, namespace), {}))

    def node_of(self, pod: Pod) -> Node:
        """The pod's node; one that is not known enforces nothing."""
        return self.nodes.get((pod.cluster, pod.node)) or Node(pod.cluster, pod.node, (), SEMANTICS["none"])


def build(objects: Iterable[tuple[str, Mapping[str, Any]]], semantics: Mapping[str, Semantics] = SEMANTICS) -> World:
    """The world that pairs of cluster and object describe.  Kinds that do not matter here are passed over.

    A node's plugin is its annotation ``chaosnet.io/cni`` (default: kubernetes); InputError for a malformed NetworkPolicy.
    """
    nodes: dict[tuple[str, str], Node] = {}
    namespaces: dict[tuple[str, str], Mapping[str, str]] = {}
    pods: list[Pod] = []
    policies: dict[tuple[str, str], list[NetworkPolicy]] = {}
    for cluster, item in objects:
        kind, metadata = item.get("kind"), item.get("metadata", {})
        if kind == "Node":
            nodes[(cluster, metadata["name"])] = _node(cluster, item, semantics)
        elif kind == "Namespace":
            namespaces[(cluster, metadata["name"])] = metadata.get("labels") or {}
        elif kind == "Pod":
            pod = _pod(cluster, item)
            if pod is not None:
                pods.append(pod)
        elif kind == "NetworkPolicy" and item.get("apiVersion") == API_VERSION:
            policy = parse_policy(item, cluster, f"NetworkPolicy {metadata.get('namespace')}/{metadata.get('name')}")
            policies.setdefault((cluster, policy.namespace), []).append(policy)
    pods.sort(key=lambda pod: (pod.cluster, pod.namespace, pod.name))
    # A pod on the host's network has its node's address, and is seen as the node.
    at: dict[Address, End] = {address: pod for pod in pods for address in pod.addresses}
    at |= {address: node for node in nodes.values() for address in node.addresses}
    ordered = {key: tuple(sorted(found, key=lambda policy: policy.name)) for key, found in policies.items()}
    return World(nodes, namespaces, tuple(pods), ordered, at)


def _addresses(texts: Iterable[str]) -> tuple[Address, ...]:
    return tuple(dict.fromkeys(ipaddress.ip_address(text) for text in texts if text))


def _node(cluster: str, item: Mapping[str, Any], semantics: Mapping[str, Semantics]) -> Node:
    metadata, status = item["metadata"], item.get("status") or {}
    texts = [entry["address"] for entry in status.get("addresses") or () if entry.get("type") in ("InternalIP", "ExternalIP")]
    plugin = (metadata.get("annotations") or {}).get(CNI, "kubernetes")
    return Node(cluster, metadata["name"], _addresses(texts), semantics.get(plugin, SEMANTICS["none"]))


def _pod(cluster: str, item: Mapping[str, Any]) -> Pod | None:
    """A pod that has addresses.  One that ended has none any more: they may be somebody else's by now."""
    metadata, spec, status = item["metadata"], item.get("spec") or {}, item.get("status") or {}
    if status.get("phase") in ("Succeeded", "Failed"):
        return None
    texts = [entry.get("ip", "") for entry in status.get("podIPs") or ()] or [status.get("podIP", "")]
    addresses = _addresses(texts)
    if not addresses:
        return None
    ports = tuple(
        (port["name"], port.get("protocol") or "TCP", port["containerPort"])
        for container in spec.get("containers") or ()
        for port in container.get("ports") or ()
        if port.get("name")
    )
    return Pod(
        cluster=cluster,
        namespace=metadata.get("namespace") or "default",
        name=metadata["name"],
        node=spec.get("nodeName") or "",
        addresses=addresses,
        labels=dict(metadata.get("labels") or {}),
        ports=ports,
        host_network=bool(spec.get("hostNetwork")),
    )
