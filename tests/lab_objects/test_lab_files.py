"""The lab files that are shipped: they load, and say what experiments rely on."""

import json
from pathlib import Path

import pytest

from chaosnet.lab import census, controllers, dns, services, topology
from chaosnet.lab.furnish import furnish
from chaosnet.lab.objects import Store
from chaosnet.model.change import Object
from chaosnet.policy.decide import decide
from chaosnet.policy.world import World, build

LABS = Path(__file__).parents[2] / "experiments" / "labs"


def lab(name: str) -> tuple[topology.Topology, Store]:
    loaded = topology.load(LABS / f"{name}.yaml")
    return loaded, furnish(loaded)


def reaches(world: World, store: Store, source: str, destination: str, port: int, protocol: str = "TCP") -> bool:
    address = {f"{pod.cluster}/{pod.namespace}/{pod.workload}": pod.addresses[0] for pod in census.pods(store)}
    return decide(world, world.end(address[source]), world.end(address[destination]), protocol, port).allowed


@pytest.mark.parametrize("file", sorted(LABS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_lab_loads_and_everything_in_it_is_placed(file: Path) -> None:
    store = furnish(topology.load(file))
    pods = census.pods(store)
    assert pods
    assert all(pod.node and pod.ready for pod in pods)
    assert all(service.backends for service in census.services(store))


def test_the_default_lab_is_the_first_field_reports_network() -> None:
    loaded, store = lab("two-clusters")
    pods = {f"{pod.cluster}/{pod.namespace}/{pod.name}": (pod.node, pod.addresses[0]) for pod in census.pods(store)}
    assert pods["test/shop/client-0"] == ("test-1", "10.0.1.5")
    assert pods["prod/prod-ns/db-0"] == ("prod-3", "10.1.3.10")
    assert {node for name, (node, _) in pods.items() if "/web-" in name} == {"prod-1", "prod-2"}
    assert len({node for name, (node, _) in pods.items() if "/cart-" in name}) == 2
    known = dict(dns.records(store, "test"))
    assert known["prod-svc.prod-ns.svc.prod.clusterset.local"] == "10.96.1.123"
    assert known["cart.shop.svc.cluster.local"] == "10.97.1.50"
    assert "prod-svc.prod-ns.svc.cluster.local" not in known, "that name is prod's own"
    assert known["kube-dns.kube-system.svc.cluster.local"] == loaded.cluster("test").dns


def test_every_namespace_in_use_exists_and_has_its_names_label(tmp_path: Path) -> None:
    # As the API server sees to it; a fault may patch its labels.
    pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: unsaid}\nspec: {containers: [{name: c}]}\n"
    (tmp_path / "pods.yaml").write_text(pod)
    text = (LABS / "two-clusters.yaml").read_text().replace("../manifests/test.yaml", "pods.yaml")
    store = furnish(topology.parse(text.replace("../manifests", str(LABS.parent / "manifests")), str(tmp_path / "lab.yaml")))
    for cluster, name in (("test", "unsaid"), ("prod", "prod-ns")):
        labels = store.want(cluster, "Namespace", "", name)["metadata"]["labels"]
        assert labels["kubernetes.io/metadata.name"] == name
    assert store.want("prod", "Namespace", "", "prod-ns")["metadata"]["labels"]["team"] == "payments"


def test_prods_address_is_announced_by_the_nodes_of_its_pods() -> None:
    _, store = lab("two-clusters")
    announcing = [node for node in ("prod-1", "prod-2", "prod-3") if "10.96.1.123" in services.announced(store, "prod", node)]
    assert announcing == ["prod-1", "prod-2"]


def test_the_database_hangs_on_two_labels() -> None:
    _, store = lab("two-clusters")
    world = build(store.items())
    assert reaches(world, store, "prod/prod-ns/orders", "prod/prod-ns/db", 5432)
    assert not reaches(world, store, "prod/prod-ns/web", "prod/prod-ns/db", 5432)
    assert not reaches(world, store, "test/shop/client", "prod/prod-ns/db", 5432)
    for label, pod in (("tier: backend", "db-0"), ("access: db", "web-0")):
        _, drifted = lab("two-clusters")
        key, value = label.split(": ")
        drifted.make(Object("prod", "patch", "Pod", "prod-ns", pod, json.dumps({"metadata": {"labels": {key: value}}})))
        controllers.run(drifted, "prod")
        after = build(drifted.items())
        address = {pod.name: pod.addresses[0] for pod in census.pods(drifted, "prod")}
        assert decide(after, after.end(address["web-0"]), after.end(address["db-0"]), "TCP", 5432).allowed, label


def test_the_second_field_reports_four_cases_and_its_proxies() -> None:
    _, store = lab("mixed-cni")
    world = build(store.items())
    app, plain, port = "mixed/merchants/merchant-a", "mixed/merchants/merchant-b", 8080
    assert not reaches(world, store, "mixed/debug/on-kubenet", app, port), "kubenet → policed on Cilium"
    assert reaches(world, store, app, "mixed/debug/on-kubenet", port), "policed on Cilium → kubenet"
    assert reaches(world, store, "mixed/debug/on-kubenet", plain, port), "kubenet → Cilium without a policy"
    assert reaches(world, store, plain, "mixed/debug/on-kubenet", port), "Cilium without a policy → kubenet"
    assert reaches(world, store, "mixed/debug/on-cilium", app, port), "among Cilium nodes the labels are known"
    assert reaches(world, store, "mixed/ingress/proxy", app, port)
    assert reaches(world, store, "mixed/ingress/proxy-b", plain, port)
    store.make(Object("mixed", "patch", "Pod", "ingress", "proxy-0", '{"spec": {"nodeName": "kubenet-1"}}'))
    controllers.run(store, "mixed")
    assert not reaches(build(store.items()), store, "mixed/ingress/proxy", app, port), "moved: world to Cilium, hence its 503"


@pytest.mark.parametrize(("name", "pods"), [("pods-20", 20), ("pods-60", 60), ("pods-200", 200)])
def test_the_benchmarks_have_as_many_pods_as_they_say(name: str, pods: int) -> None:
    loaded, store = lab(name)
    found = census.pods(store)
    assert len(found) == pods
    per_node = [sum(pod.node == node.name for pod in found) for node in loaded.nodes]
    assert max(per_node) - min(per_node) <= 1
