"""Workloads become pods with nodes and addresses, and Services get their endpoints; the same ones every time."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosnet.errors import InputError
from chaosnet.lab import census, controllers, placement
from chaosnet.lab.objects import Store
from chaosnet.model.change import Object

Json = dict[str, Any]
RANGES = {"n1": "10.0.1.0/24", "n2": "10.0.2.0/24", "n3": "10.0.3.0/24"}


def nodes(**ranges: str) -> list[Json]:
    found = [
        placement.node_manifest(n, f"192.0.2.{i}", pods, "calico") for i, (n, pods) in enumerate((ranges or RANGES).items(), 1)
    ]
    return [*found, placement.range_manifest("10.96.0.0/16")]


def workload(
    name: str, replicas: int | None = 1, kind: str = "Deployment", annotations: Json | None = None, ports: Any = (), **spec: Any
) -> Json:
    container = {"name": "c", "ports": [{"containerPort": number, "name": port} for port, number in ports]}
    template = {
        "metadata": {"labels": {"app": name}, "annotations": annotations or {}},
        "spec": {"containers": [container]} | spec,
    }
    return {
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": "x"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template},
    }  # fmt: skip


def service(name: str, app: str = "", **spec: Any) -> Json:
    body = {"selector": {"app": app or name}, "ports": [{"port": 80, "targetPort": "http"}]} | spec
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "x"}, "spec": body}


def settled(*objects: Json, ranges: dict[str, str] | None = None) -> Store:
    store = Store()
    for item in (*nodes(**(ranges or {})), *objects):
        store.apply("c", item)
    controllers.run(store, "c")
    return store


def where(store: Store) -> dict[str, tuple[str, str]]:
    return {pod.name: (pod.node, pod.addresses[0]) for pod in census.pods(store, "c")}


def backends(store: Store, name: str = "web") -> tuple[str, ...]:
    return next(each.backends for each in census.services(store, "c") if each.name == name)


# --- placement -------------------------------------------------------------------------------------------------------------


def test_replicas_are_spread_and_addressed_from_their_nodes_range() -> None:
    assert where(settled(workload("web", 4))) == {
        "web-0": ("n1", "10.0.1.2"), "web-1": ("n2", "10.0.2.2"), "web-2": ("n3", "10.0.3.2"), "web-3": ("n1", "10.0.1.3"),
    }  # fmt: skip


def test_replicas_stay_apart_even_where_a_node_has_more_room() -> None:
    crowd = [workload(f"n{number}-crowd", 4, nodeName=f"n{number}") for number in (2, 3)]
    placed = where(settled(*crowd, workload("web", 2)))
    assert placed["web-0"][0] != placed["web-1"][0]


def test_those_who_name_a_node_are_counted_before_those_who_do_not() -> None:
    assert where(settled(workload("free"), workload("pinned", nodeName="n1")))["free-0"][0] == "n2"


def test_a_node_name_a_selector_and_a_fixed_address() -> None:
    store = settled(
        workload("named", nodeName="n3"),
        workload("chosen", nodeSelector={placement.HOSTNAME: "n2"}),
        workload("fixed", annotations={"chaosnet.io/address": "10.0.1.5"}),
    )
    assert where(store) == {"chosen-0": ("n2", "10.0.2.2"), "fixed-0": ("n1", "10.0.1.5"), "named-0": ("n3", "10.0.3.2")}


def test_a_fixed_address_is_kept_free_for_its_pod() -> None:
    store = settled(
        workload("a", 3, nodeName="n1"), workload("z", nodeName="n1", annotations={"chaosnet.io/address": "10.0.1.3"})
    )
    assert where(store) == {
        "a-0": ("n1", "10.0.1.2"), "a-1": ("n1", "10.0.1.4"), "a-2": ("n1", "10.0.1.5"), "z-0": ("n1", "10.0.1.3"),
    }  # fmt: skip


def test_a_daemon_set_has_a_pod_on_every_node_it_selects() -> None:
    assert set(where(settled(workload("agent", None, "DaemonSet")))) == {"agent-n1", "agent-n2", "agent-n3"}
    selected = workload("agent", None, "DaemonSet", nodeSelector={placement.HOSTNAME: "n2"})
    assert where(settled(selected)) == {"agent-n2": ("n2", "10.0.2.2")}


def test_a_pod_on_the_hosts_network_has_its_nodes_address() -> None:
    assert where(settled(workload("host", hostNetwork=True, nodeName="n2"))) == {"host-0": ("n2", "192.0.2.2")}


@pytest.mark.parametrize(
    ("objects", "said"),
    [
        ([workload("web", nodeName="nowhere")], "there is no node 'nowhere'; use one of n1, n2, n3"),
        ([workload("web", nodeSelector={"disk": "ssd"})], "no node has {'disk': 'ssd'}"),
        ([workload("web", annotations={"chaosnet.io/address": "10.9.9.9"})], "10.9.9.9 is in no range"),
        ([workload("web", nodeName="n2", annotations={"chaosnet.io/address": "10.0.1.5"})], "no pod's address on n2"),
        ([workload("web", annotations={"chaosnet.io/address": "10.0.1.1"})], "10.0.1.1 is no pod's address"),
        (
            [workload(n, annotations={"chaosnet.io/address": "10.0.1.5"}) for n in ("a", "b")],
            "its address 10.0.1.5 is that of x/a-0",
        ),
        ([workload("web", 300, nodeName="n1")], "no address is left in 10.0.1.0/24 of n1"),
        ([service("a", clusterIP="10.43.0.1")], "10.43.0.1 is outside 10.96.0.0/16"),
        ([service(n, clusterIP="10.96.0.1") for n in ("a", "b")], "10.96.0.1 is that of Service c/x/a"),
    ],
)
def test_what_cannot_be_placed_says_why(objects: list[Json], said: str) -> None:
    with pytest.raises(InputError) as caught:
        settled(*objects)
    assert said in str(caught.value)


@settings(max_examples=50)
@given(st.randoms(use_true_random=False), st.lists(st.integers(0, 4), min_size=1, max_size=5))
def test_the_order_of_objects_never_matters(order: random.Random, counts: list[int]) -> None:
    objects = [workload(f"w{number}", count) for number, count in enumerate(counts)] + [service("w0"), service("w1")]
    shuffled = list(objects)
    order.shuffle(shuffled)
    one, other = settled(*objects), settled(*shuffled)
    assert one.snapshot() == other.snapshot()
    addresses = [pod.addresses[0] for pod in census.pods(one)]
    assert len(set(addresses)) == len(addresses) == sum(counts)


def test_running_again_changes_nothing() -> None:
    store = settled(workload("web", 3), service("web"), workload("agent", None, "DaemonSet"))
    revision = store.revision
    controllers.run(store, "c")
    assert store.revision == revision


# --- pods that come, go and move -------------------------------------------------------------------------------------------

WEB = workload("web", 2, ports=[("http", 8080)])
CHANGES = {
    "move": Object("c", "patch", "Pod", "x", "web-0", '{"spec": {"nodeName": "n3"}}'),
    "delete": Object("c", "delete", "Pod", "x", "web-0"),
    "scale up": Object("c", "patch", "Deployment", "x", "web", '{"spec": {"replicas": 5}}'),
    "scale down": Object("c", "patch", "Deployment", "x", "web", '{"spec": {"replicas": 0}}'),
    "rollout": Object(
        "c", "patch", "Deployment", "x", "web", '{"spec": {"template": {"metadata": {"annotations": {"version": "2"}}}}}'
    ),
    "gone": Object("c", "delete", "Deployment", "x", "web"),
    "drift": Object("c", "patch", "Pod", "x", "web-1", '{"metadata": {"labels": {"app": "other"}}}'),
    "not ready": Object("c", "patch", "Pod", "x", "web-1", '{"status": {"conditions": [{"type": "Ready", "status": "False"}]}}'),
    "node not ready": Object(
        "c", "patch", "Node", "", "n1", '{"status": {"conditions": [{"type": "Ready", "status": "False"}]}}'
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_is_taken_back_whole(name: str) -> None:
    store = settled(WEB, service("web"))
    before, inverse = store.snapshot(), store.inverse(CHANGES[name])
    store.make(CHANGES[name])
    controllers.run(store, "c")
    assert backends(store) != ("10.0.1.2", "10.0.2.2"), "the Service follows"
    store.make(inverse)
    controllers.run(store, "c")
    assert store.snapshot() == before


def test_a_moved_pod_gets_an_address_of_its_new_node() -> None:
    store = settled(WEB)
    store.make(CHANGES["move"])
    controllers.run(store, "c")
    assert where(store)["web-0"] == ("n3", "10.0.3.2")


def test_a_deleted_pods_successor_has_another_name_and_address() -> None:
    store = settled(WEB)
    store.make(CHANGES["delete"])
    controllers.run(store, "c")
    assert where(store) == {"web-1": ("n2", "10.0.2.2"), "web-2": ("n1", "10.0.1.3")}


def test_a_stateful_sets_pod_comes_back_under_its_name() -> None:
    store = settled(workload("db", 2, "StatefulSet"))
    store.delete("c", "Pod", "x", "db-0")
    controllers.run(store, "c")
    assert where(store)["db-0"] == ("n1", "10.0.1.3")


def test_a_rollout_replaces_every_address() -> None:
    store = settled(WEB)
    store.make(CHANGES["rollout"])
    controllers.run(store, "c")
    assert where(store) == {"web-0": ("n1", "10.0.1.3"), "web-1": ("n2", "10.0.2.3")}


def test_exported_pods_are_counted_and_not_made_again() -> None:
    replica_set = workload("web-7d9f", 2, "ReplicaSet")
    replica_set["metadata"]["ownerReferences"] = [{"kind": "Deployment", "name": "web", "controller": True}]
    pods = [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {
            "name": f"web-7d9f-{suffix}", "namespace": "x", "labels": {"app": "web", "pod-template-hash": "7d9f"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "web-7d9f", "controller": True}]},
         "spec": {"containers": [{"name": "c"}], "nodeName": "n2"}, "status": {"phase": "Running", "podIP": address}}
        for suffix, address in (("aaaaa", "10.0.2.77"), ("bbbbb", "10.244.0.9"))
    ]  # fmt: skip
    for extra in ([replica_set], []):
        store = settled(WEB, *pods, *extra)
        assert where(store) == {"web-7d9f-aaaaa": ("n2", "10.0.2.77"), "web-7d9f-bbbbb": ("n2", "10.0.2.2")}
        assert {pod.workload for pod in census.pods(store)} == {"web"}


def test_pods_that_ended_are_left_alone() -> None:
    done = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "job", "namespace": "x"},
            "spec": {"containers": [{"name": "c"}], "nodeName": "a-node-long-gone"}, "status": {"phase": "Succeeded"}}  # fmt: skip
    assert where(settled(done)) == {}


# --- Services and endpoints ------------------------------------------------------------------------------------------------


def test_a_services_endpoints_are_its_ready_pods_on_their_own_ports() -> None:
    store = settled(WEB, service("web"))
    found = next(each for each in census.services(store, "c"))
    assert found.backends == ("10.0.1.2", "10.0.2.2")
    assert [(port.port, port.target, port.protocol) for port in found.ports] == [(80, 8080, "tcp")]
    assert found.addresses == ("10.96.1.0",), "above the part of the range that people choose from"
    store.make(CHANGES["not ready"])
    controllers.run(store, "c")
    assert backends(store) == ("10.0.1.2",)
    endpoints = store.want("c", "EndpointSlice", "x", "web")["endpoints"]
    assert [each["conditions"]["ready"] for each in endpoints] == [True, False]


def test_a_stopped_endpoints_controller_leaves_stale_endpoints() -> None:
    store = settled(WEB, service("web"))
    store.make(CHANGES["delete"])
    controllers.run(store, "c", endpoints=False)
    assert backends(store) == ("10.0.1.2", "10.0.2.2"), "10.0.1.2 is nobody's now"
    controllers.endpoint_slices(store, "c")
    assert set(backends(store)) == {"10.0.1.3", "10.0.2.2"}


def test_pods_that_give_a_port_another_number_are_in_another_slice() -> None:
    other = workload("other", 1, ports=[("http", 9090)])
    other["spec"]["template"]["metadata"]["labels"]["set"] = "both"
    web = workload("web", 1, ports=[("http", 8080)])
    web["spec"]["template"]["metadata"]["labels"]["set"] = "both"
    store = settled(
        web, other, service("both") | {"spec": {"selector": {"set": "both"}, "ports": [{"port": 80, "targetPort": "http"}]}}
    )
    behind = census.backends(store, "c", store.want("c", "Service", "x", "both"))[""]
    assert {(each.address, each.port) for each in behind} == {("10.0.2.2", 8080), ("10.0.1.2", 9090)}
    assert [item["metadata"]["name"] for item in store.list("c", "EndpointSlice")] == ["both", "both-1"]
    store.delete("c", "Deployment", "x", "other")
    controllers.run(store, "c")
    assert [item["metadata"]["name"] for item in store.list("c", "EndpointSlice")] == ["both"]


def test_services_without_a_selector_keep_what_was_written() -> None:
    bare = service("web", selector=None)
    by_hand = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
               "metadata": {"name": "mine", "namespace": "x", "labels": {"kubernetes.io/service-name": "web"}},
               "endpoints": [{"addresses": ["203.0.113.5"]}], "ports": [{"name": "", "port": 80}]}  # fmt: skip
    assert backends(settled(bare, by_hand)) == ("203.0.113.5",)
    old = {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "web", "namespace": "x"},
           "subsets": [{"addresses": [{"ip": "203.0.113.6"}], "notReadyAddresses": [{"ip": "203.0.113.7"}], "ports": [{"port": 80}]}]}  # fmt: skip
    assert backends(settled(bare, old)) == ("203.0.113.6",)


def test_a_headless_service_has_no_address_and_its_pods() -> None:
    found = census.services(settled(WEB, service("web", clusterIP="None")), "c")[0]
    assert (found.addresses, found.backends) == ((), ("10.0.1.2", "10.0.2.2"))


def test_a_service_that_selects_nothing_has_an_empty_slice() -> None:
    store = settled(service("web"))
    assert store.want("c", "EndpointSlice", "x", "web")["endpoints"] == []
    assert backends(store) == ()
