"""A two-cluster inventory as plain data: the model is tested without any other room."""

import pytest

from chaosnet.model.inventory import Inventory, Node, Pod, Service, ServicePort

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


def _nodes(cluster: str, network: str, pods: str) -> tuple[Node, ...]:
    return tuple(Node(cluster, f"{cluster}-{i}", (f"{network}.{10 + i}",), pod_ranges=(f"{pods}.{i}.0/24",)) for i in (1, 2, 3))


@pytest.fixture(scope="session")
def inventory() -> Inventory:
    """Two clusters of three nodes, joined by two transit routers; web and cart have two pods each."""
    test, prod = _nodes("test", "192.168.10", "10.0"), _nodes("prod", "192.168.20", "10.1")
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
    return Inventory(
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
