"""What the in-memory network is made of: an inventory and the few figures that an inventory does not hold.

:func:`two_clusters` is the network of the default lab as data: a test cluster and a prod cluster, three nodes each,
joined by two transit routers.  Nothing here moves, knows the time or knows of faults.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from chaosnet.model.inventory import Inventory, Node, Pod, Service, ServicePort, Site

DNS_NAMESPACE, DNS_SERVICE = "kube-system", "kube-dns"


@dataclass(frozen=True, slots=True)
class World:
    """One network at rest.  MTUs are bytes, BGP times seconds.

    ``ports`` says what pods listen on besides the ports that Services send to them: workload
    (``cluster/namespace/name``) → pairs of protocol and port.
    """

    inventory: Inventory
    mtu_pods: int = 1500
    mtu_underlay: int = 1550
    hold: float = 9.0
    keepalive: float = 3.0
    retry: float = 3.0
    ports: Mapping[str, tuple[tuple[str, int], ...]] = field(default_factory=dict)

    def listeners(self) -> dict[str, frozenset[tuple[str, int]]]:
        """Address → the (protocol, port) pairs that a pod at it answers on; nodes answer BGP."""
        found: dict[str, set[tuple[str, int]]] = {}
        for service in self.inventory.services:
            for address in service.backends:
                found.setdefault(address, set()).update((port.protocol, port.target) for port in service.ports)
        for pod in self.inventory.pods:
            more = self.ports.get(f"{pod.cluster}/{pod.namespace}/{pod.workload or pod.name}", ())
            for address in pod.addresses:
                found.setdefault(address, set()).update(more)
        for node in self.inventory.nodes:
            for address in node.addresses:
                found.setdefault(address, set()).add(("tcp", 179))
        return {address: frozenset(pairs) for address, pairs in found.items()}


def node_site(node: Node) -> Site:
    """The node or router as a site."""
    return Site(node.role, node.cluster, "", node.name, node.name, node.addresses)


def pod_site(pod: Pod) -> Site:
    """The pod as a site."""
    return Site("pod", pod.cluster, pod.namespace, pod.name, pod.node, pod.addresses)


def _nodes(cluster: str, cni: str, network: str, pods: str) -> tuple[Node, ...]:
    return tuple(
        Node(cluster, f"{cluster}-{i}", (f"{network}.{10 + i}",), cni=cni, pod_ranges=(f"{pods}.{i}.0/24",)) for i in (1, 2, 3)
    )


# Workload → the node and address of each of its pods.
_PODS = {
    "test/shop/client": (("test-1", "10.0.1.10"),),
    "test/shop/cart": (("test-2", "10.0.2.10"), ("test-3", "10.0.3.10")),
    "test/kube-system/kube-dns": (("test-2", "10.0.2.53"),),
    "prod/prod-ns/web": (("prod-1", "10.1.1.10"), ("prod-2", "10.1.2.10")),
    "prod/prod-ns/orders": (("prod-2", "10.1.2.11"),),
    "prod/prod-ns/db": (("prod-3", "10.1.3.10"),),
    "prod/kube-system/kube-dns": (("prod-3", "10.1.3.53"),),
}
_HTTP = (ServicePort(8080, 8080, "tcp", "http"),)
_DNS = (ServicePort(53, 53, "udp", "dns"), ServicePort(53, 53, "tcp", "dns-tcp"))
# Service → its address, its ports and the workload behind it.
_SERVICES = {
    "test/shop/cart": ("10.97.0.80", _HTTP, "test/shop/cart"),
    "test/kube-system/kube-dns": ("10.97.0.10", _DNS, "test/kube-system/kube-dns"),
    "prod/prod-ns/prod-svc": ("10.96.1.123", _HTTP, "prod/prod-ns/web"),
    "prod/prod-ns/orders": ("10.96.1.124", _HTTP, "prod/prod-ns/orders"),
    "prod/prod-ns/db": ("10.96.1.125", (ServicePort(5432, 5432, "tcp", "postgres"),), "prod/prod-ns/db"),
    "prod/kube-system/kube-dns": ("10.96.0.10", _DNS, "prod/kube-system/kube-dns"),
}


def two_clusters() -> World:
    """The default network: pods of 1,500 bytes over an underlay of 1,550, BGP hold 9 s, keepalive 3 s, retry 3 s."""
    test, prod = _nodes("test", "cilium", "192.168.10", "10.0"), _nodes("prod", "calico", "192.168.20", "10.1")
    pods, services = [], []
    for path, places in _PODS.items():
        cluster, namespace, name = path.split("/")
        pods += [
            Pod(cluster, namespace, f"{name}-{i}", node, (address,), (("app", name),), name)
            for i, (node, address) in enumerate(places, 1)
        ]
    for path, (address, ports, backend) in _SERVICES.items():
        cluster, namespace, name = path.split("/")
        services.append(Service(cluster, namespace, name, (address,), ports, tuple(a for _, a in _PODS[backend])))
    inventory = Inventory(
        clusters=("test", "prod"),
        nodes=(
            *test,
            Node("test", "transit-test", ("192.168.10.1", "192.168.100.1"), role="router", enforces=False),
            *prod,
            Node("prod", "transit-prod", ("192.168.20.1", "192.168.100.2"), role="router", enforces=False),
        ),
        pods=tuple(pods),
        services=tuple(services),
        links=(
            *((node.name, "transit-test") for node in test),
            *((node.name, "transit-prod") for node in prod),
            ("transit-test", "transit-prod"),
        ),
    )
    echo = (("udp", 9000),)
    return World(inventory, ports={"test/shop/client": (("tcp", 8080), *echo), "prod/prod-ns/web": echo})
