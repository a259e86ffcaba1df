"""The topology: clusters, nodes, ranges, routers and links, in the words of Kubernetes.

Frozen values only.  Files are read by :mod:`chaosnet.lab.topology_file`; pods and Services are manifests; how anything is
built is :mod:`chaosnet.lab.blueprint`.
"""

from dataclasses import dataclass, replace
from pathlib import Path

CNIS = ("cilium", "calico", "kubernetes", "kubenet", "none")
OVERLAYS = ("none", "vxlan")
#: RFC 7348 over IPv4: outer IP 20, UDP 8, VXLAN 8 and inner Ethernet 14 bytes.
VXLAN_OVERHEAD = 50
#: The lab's host side of every pod, as Calico's: link local, the same for all (RFC 3927).
POD_GATEWAY = "169.254.1.1"


@dataclass(frozen=True, slots=True)
class Bgp:
    """BGP timers in whole seconds (RFC 4271 section 10): hold, keepalive, connect retry."""

    hold: int = 9
    keepalive: int = 3
    retry: int = 3


@dataclass(frozen=True, slots=True)
class Node:
    """A node.  ``pods`` is its pod range, ``address`` its own on the cluster's network, ``cni`` what enforces policies on it."""

    name: str
    cluster: str
    pods: str
    address: str
    cni: str

    @property
    def namespace(self) -> str:
        """The name of its network namespace."""
        return f"{self.cluster}/{self.name}"

    @property
    def enforces(self) -> bool:
        """Whether it applies policies at all."""
        return self.cni not in ("kubenet", "none")


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster.  ``mtu`` is that of its pods; ``gateway`` its router's address; ``manifests`` are absolute paths."""

    name: str
    cni: str
    asn: int
    network: str
    services: str
    dns: str
    domain: str
    router: str
    gateway: str
    overlay: str
    mtu: int
    nodes: tuple[Node, ...]
    manifests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Router:
    """A router.  ``cluster`` is the one it serves, or empty for a transit router with an AS of its own."""

    name: str
    asn: int
    cluster: str


@dataclass(frozen=True, slots=True)
class Link:
    """A link between two routers; ``a_address`` and ``b_address`` are the ends'."""

    a: str
    b: str
    network: str
    mtu: int
    a_address: str
    b_address: str


@dataclass(frozen=True, slots=True)
class Topology:
    """The whole network.  ``underlay`` is the MTU of nodes and routers in bytes."""

    name: str
    underlay: int
    bgp: Bgp
    clusters: tuple[Cluster, ...]
    routers: tuple[Router, ...]
    links: tuple[Link, ...]
    file: str = ""

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Every node of every cluster, in the file's order."""
        return tuple(node for cluster in self.clusters for node in cluster.nodes)

    def cluster(self, name: str) -> Cluster:
        """The cluster of that name; KeyError where there is none."""
        for cluster in self.clusters:
            if cluster.name == name:
                return cluster
        raise KeyError(name)

    def node(self, cluster: str, name: str) -> Node:
        """A node; KeyError where there is none."""
        for node in self.cluster(cluster).nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    def router(self, name: str) -> Router:
        """A router; KeyError where there is none."""
        for router in self.routers:
            if router.name == name:
                return router
        raise KeyError(name)

    def router_addresses(self, name: str) -> tuple[str, ...]:
        """Every address of a router: the gateway of its cluster first, then its links' ends."""
        found = [cluster.gateway for cluster in self.clusters if cluster.router == name]
        for link in self.links:
            found += [address for end, address in ((link.a, link.a_address), (link.b, link.b_address)) if end == name]
        return tuple(found)

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Everything joined directly, by name: nodes to their router, and routers to each other."""
        ports = [(node.name, cluster.router) for cluster in self.clusters for node in cluster.nodes]
        return (*ports, *((link.a, link.b) for link in self.links))


def load(path: Path | str) -> Topology:
    """The topology in a file; InputError, with file, line, field and value, where it cannot be read or built."""
    from chaosnet.lab import topology_file

    return topology_file.load(path)


def parse(text: str | bytes, file: str) -> Topology:
    """The topology that YAML ``text`` writes; ``file`` is where it stands: manifests' paths are relative to it."""
    from chaosnet.lab import topology_file

    return topology_file.parse(text, file)


def rename(topology: Topology, name: str) -> Topology:
    """The same network under another name, so that two of them may run."""
    return replace(topology, name=name)
