"""The Services' rules of a node on a real network: where connections really go, and what is read back."""

from typing import Any

import pytest

from chaosnet.lab import controllers, placement, services
from chaosnet.lab.objects import Store

NODES = {"n1": ("192.168.7.1", "10.7.1.0/24"), "n2": ("192.168.7.2", "10.7.2.0/24"), "n3": ("192.168.7.3", "10.7.3.0/24")}
PODS = {"x/a": ("n1", "10.7.1.2"), "y/a": ("n1", "10.7.1.3"), "x/b": ("n2", "10.7.2.2"), "y/b": ("n2", "10.7.2.3")}
FRONT, EMPTY = "10.96.0.10", "10.96.0.11"


def store_of(*ready: str, affinity: str = "None") -> Store:
    """Nodes n1 and n2 are the cluster; n3 and its pods are elsewhere.  The Service ``front`` has the pods ``ready``."""
    store = Store()
    for name in ("n1", "n2"):
        store.apply("c", placement.node_manifest(name, *NODES[name], "none"))
    store.apply("c", placement.range_manifest("10.96.0.0/16"))
    for path, (node, address) in PODS.items():
        labels = {"app": "front"} if path in ready else {}
        store.apply(
            "c",
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": path.replace("/", "-"), "namespace": "x", "labels": labels},
             "spec": {"nodeName": node, "containers": [{"name": "c"}]}, "status": {"podIP": address}},
        )  # fmt: skip
    for name, address in (("front", FRONT), ("empty", EMPTY)):
        ports = [{"name": "t", "port": 8000, "targetPort": 80}, {"name": "u", "port": 53, "targetPort": 80, "protocol": "UDP"}]
        spec = {"selector": {"app": name}, "clusterIP": address, "ports": ports, "sessionAffinity": affinity}
        store.apply("c", {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "x"}, "spec": spec})
    controllers.run(store, "c")
    return store


def program(wire: Any, store: Store) -> None:
    for node in ("n1", "n2"):
        wire.nft(node, services.render(store, "c", node))


def behind(wire: Any, source: str, port: int = 5000) -> set[str]:
    """The pods that live connections from ``source`` to the Service arrive at."""
    return {wire.peer(wire.open(source, FRONT, 8000)) for _ in range(24)}


def test_the_text_has_only_what_we_generate() -> None:
    text = services.render(store_of("x/a"), "c", "n1")
    assert "front" not in text
    assert "empty" not in text


def test_only_ready_backends_are_programmed() -> None:
    store = store_of("x/a", "x/b")
    store.patch("c", "Pod", "x", "x-a", {"status": {"conditions": [{"type": "Ready", "status": "False"}]}})
    controllers.run(store, "c")
    found = {front: {each.address for each in backends} for front, _, backends in services.fronts(store, "c")}
    assert found[(FRONT, "tcp", 8000)] == {"10.7.2.2"}


def test_services_without_a_ready_backend_are_announced_by_nobody() -> None:
    store = store_of("x/a", "x/b")
    assert services.announced(store, "c", "n1") == (FRONT,)
    assert services.announced(store_of("x/b"), "c", "n1") == ()


@pytest.mark.lab
def test_pods_and_nodes_reach_every_backend(wire: Any) -> None:
    program(wire, store_of("x/a", "x/b"))
    assert behind(wire, "y/a") == {"10.7.1.2", "10.7.2.2"}
    assert behind(wire, "n1") == {"10.7.1.2", "10.7.2.2"}
    assert wire.probe([["y/a", FRONT, "UDP", 53], ["y/b", FRONT, "UDP", 53], ["n2", FRONT, "UDP", 53]], 2.0) == ["open"] * 3


@pytest.mark.lab
def test_a_client_keeps_its_backend_with_affinity(wire: Any) -> None:
    program(wire, store_of("x/a", "x/b", affinity="ClientIP"))
    assert len(behind(wire, "y/a")) == 1


@pytest.mark.lab
def test_a_service_without_backends_is_refused_and_never_silent(wire: Any) -> None:
    program(wire, store_of("x/a"))
    asked = [
        [source, EMPTY, protocol, port] for source in ("y/a", "n1", "x/b") for protocol, port in (("TCP", 8000), ("UDP", 53))
    ]
    assert wire.probe(asked, 2.0) == ["refused"] * 6


@pytest.mark.lab
def test_a_pod_reaches_itself_through_its_service(wire: Any) -> None:
    program(wire, store_of("x/a"))
    assert wire.probe([["x/a", FRONT, "TCP", 8000]], 2.0) == ["open"]


@pytest.mark.lab
def test_what_comes_from_elsewhere_goes_to_local_backends_only(wire: Any) -> None:
    # n3 knows nothing of the Service but a route, as another cluster's router does.
    wire.ip("n3", f"route replace {FRONT}/32 via {NODES['n1'][0]}")
    try:
        program(wire, store_of("x/a", "y/a", "x/b"))
        assert behind(wire, "x/c") == {"10.7.1.2", "10.7.1.3"}
        # Nobody passes it on to another node, though this one knows the way.
        wire.ip("n1", f"route replace {FRONT}/32 via {NODES['n2'][0]}")
        program(wire, store_of("x/b"))
        assert wire.probe([["x/c", FRONT, "TCP", 8000]], 0.3) == ["silence"]
    finally:
        wire.ip("n1", f"route flush {FRONT}/32")
        wire.ip("n3", f"route del {FRONT}/32")


@pytest.mark.lab
def test_a_live_connection_keeps_its_backend(wire: Any) -> None:
    program(wire, store_of("x/a"))
    flow = wire.open("y/a", FRONT, 8000)
    program(wire, store_of())
    assert wire.talk(flow)
    assert wire.probe([["y/a", FRONT, "TCP", 8000]], 2.0) == ["refused"]


@pytest.mark.lab
def test_what_is_programmed_is_read_back(wire: Any) -> None:
    for ready in (("x/a", "x/b"), ("y/b",), ()):
        program(wire, store_of(*ready))
        found = services.programmed(wire.listing("n1", f"list table inet {services.TABLE}"))
        addresses = {PODS[path][1] for path in ready}
        assert {front: set(each) for front, each in found.items()} == {
            (FRONT, "tcp", 8000): addresses, (FRONT, "udp", 53): addresses,
            (EMPTY, "tcp", 8000): set(), (EMPTY, "udp", 53): set(),
        }  # fmt: skip
    wire.nft("n1", services.clear())
    assert services.programmed(wire.listing("n1", "list ruleset")) == {}
