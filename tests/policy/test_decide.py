"""Decisions by hand, each with its source; and what must hold for any policies."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosnet.model.edge import State, parse_edge
from chaosnet.model.inventory import Inventory, Service, ServicePort
from chaosnet.model.inventory import Node as SiteNode
from chaosnet.model.inventory import Pod as SitePod
from chaosnet.policy.compile import render
from chaosnet.policy.decide import Decision, decide
from chaosnet.policy.reach import reach
from chaosnet.policy.semantics import CILIUM, SEMANTICS
from chaosnet.policy.world import CNI, World, build

Json = dict[str, Any]

# Two nodes of cluster c (and one of cluster d): web and db in namespace shop, tool in dev, and a stranger in the other cluster.
PODS = {
    "shop/web": ("n1", "10.0.1.2", {"app": "web"}, [("http", "TCP", 8080)]),
    "shop/db": ("n2", "10.0.2.2", {"app": "db"}, [("pg", "TCP", 5432)]),
    "shop/api": ("n2", "10.0.2.3", {"app": "api"}, [("http", "TCP", 8081)]),
    "dev/tool": ("n1", "10.0.1.3", {"app": "tool"}, []),
}
NAMESPACES = {"shop": {"team": "shop"}, "dev": {"env": "dev"}}


def world_of(*policies: Json, n1: str = "kubernetes", n2: str = "kubernetes", semantics: Any = SEMANTICS) -> World:
    objects: list[tuple[str, Json]] = []
    for cluster, name, plugin, address in (
        ("c", "n1", n1, "192.0.2.1"),
        ("c", "n2", n2, "192.0.2.2"),
        ("d", "far", n1, "192.0.2.9"),
    ):
        objects.append((cluster, {"kind": "Node", "metadata": {"name": name, "annotations": {CNI: plugin}},
                                  "status": {"addresses": [{"type": "InternalIP", "address": address}]}}))  # fmt: skip
    for name, labels in NAMESPACES.items():
        objects.append(("c", {"kind": "Namespace", "metadata": {"name": name, "labels": labels}}))
    for path, (node, address, labels, ports) in PODS.items():
        namespace, name = path.split("/")
        objects.append(("c", pod(namespace, name, node, address, labels, ports)))
    objects.append(("d", pod("shop", "web", "far", "10.9.0.2", {"app": "web"}, [])))
    return build([*objects, *(("c", item) for item in policies)], semantics)


def pod(namespace: str, name: str, node: str, address: str, labels: Json, ports: Any) -> Json:
    listed = [{"name": n, "protocol": p, "containerPort": number} for n, p, number in ports]
    return {
        "kind": "Pod", "metadata": {"namespace": namespace, "name": name, "labels": labels},
        "spec": {"nodeName": node, "containers": [{"ports": listed}]}, "status": {"podIP": address, "phase": "Running"},
    }  # fmt: skip


def policy(spec: Json, name: str = "p", namespace: str = "shop") -> Json:
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": name, "namespace": namespace}, "spec": spec}  # fmt: skip


def ask(world: World, source: str, destination: str, port: int = 8080, protocol: str = "TCP") -> Decision:
    address = {path: entry[1] for path, entry in PODS.items()} | {
        "n1": "192.0.2.1", "n2": "192.0.2.2", "far/web": "10.9.0.2", "internet": "203.0.113.7",
    }  # fmt: skip
    return decide(world, world.end(address[source]), world.end(address[destination]), protocol, port)


def allowed(world: World, source: str, destination: str, port: int = 8080, protocol: str = "TCP") -> bool:
    return ask(world, source, destination, port, protocol).allowed


DENY = {"podSelector": {}, "policyTypes": ["Ingress"]}
FROM_WEB = {
    "podSelector": {"matchLabels": {"app": "db"}},
    "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}],
}


def test_nothing_is_denied_before_a_policy_selects() -> None:
    world = world_of()
    assert allowed(world, "internet", "shop/db")
    assert ask(world, "dev/tool", "shop/db").ingress.policies == ()


def test_default_deny_names_the_policy_that_decided() -> None:
    answer = ask(world_of(policy(DENY, "default-deny")), "dev/tool", "shop/db", 5432)
    assert not answer.allowed
    assert answer.ingress.policies == ("NetworkPolicy c/shop/default-deny",)
    assert answer.sentence == ("no ingress rule of NetworkPolicy c/shop/default-deny on c/shop/db admits c/dev/tool (5432/TCP)")


def test_policies_add_up_and_the_admitting_rule_is_named() -> None:
    world = world_of(policy(DENY, "default-deny"), policy(FROM_WEB, "from-web"))
    assert ask(world, "shop/web", "shop/db").ingress.by == "NetworkPolicy c/shop/from-web ingress[0]"
    assert not allowed(world, "shop/api", "shop/db")
    assert not allowed(world, "shop/db", "shop/web"), "the other direction is another connection"


def test_a_connection_needs_both_sides() -> None:
    egress = policy({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Egress"]}, "shut")
    world = world_of(policy(FROM_WEB, "from-web"), egress)
    answer = ask(world, "shop/web", "shop/db")
    assert (answer.egress.allowed, answer.ingress.allowed, answer.allowed) == (False, True, False)


def test_peers_in_one_element_are_anded_and_elements_are_ored() -> None:
    both = {"namespaceSelector": {"matchLabels": {"env": "dev"}}, "podSelector": {"matchLabels": {"app": "web"}}}
    assert not allowed(world_of(policy({"podSelector": {}, "ingress": [{"from": [both]}]})), "dev/tool", "shop/db")
    either = [{key: value} for key, value in both.items()]
    world = world_of(policy({"podSelector": {}, "ingress": [{"from": either}]}))
    assert allowed(world, "dev/tool", "shop/db")
    assert allowed(world, "shop/web", "shop/db")


def test_a_namespace_is_known_by_its_name_without_being_labelled() -> None:
    # Kubernetes, "Automatic labelling".
    named = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "dev"}}}
    assert allowed(world_of(policy({"podSelector": {}, "ingress": [{"from": [named]}]})), "dev/tool", "shop/db")


def test_ports_protocols_ranges_and_icmp() -> None:
    world = world_of(policy({"podSelector": {}, "ingress": [{"ports": [{"port": 8000, "endPort": 8100}]}]}))
    assert allowed(world, "dev/tool", "shop/db", 8100)
    assert not allowed(world, "dev/tool", "shop/db", 8101)
    assert not allowed(world, "dev/tool", "shop/db", 8080, "UDP")
    assert not allowed(world, "dev/tool", "shop/db", 0, "ICMP"), "a rule with ports admits no ICMP"
    assert allowed(world_of(policy({"podSelector": {}, "ingress": [{}]})), "internet", "shop/db", 0, "ICMP")


def test_a_protocol_alone_means_all_of_its_ports() -> None:
    world = world_of(policy({"podSelector": {}, "ingress": [{"ports": [{"protocol": "UDP"}]}]}))
    assert allowed(world, "dev/tool", "shop/db", 53, "UDP")
    assert allowed(world, "dev/tool", "shop/db", 65535, "UDP")
    assert not allowed(world, "dev/tool", "shop/db", 53, "TCP")
    assert not allowed(world, "dev/tool", "shop/db", 0, "ICMP")


def test_a_port_name_is_each_pods_own() -> None:
    # test/e2e/network/netpol: "should allow ingress access on one named port".
    world = world_of(policy({"podSelector": {}, "ingress": [{"ports": [{"port": "http"}]}]}))
    assert allowed(world, "dev/tool", "shop/web", 8080)
    assert allowed(world, "dev/tool", "shop/api", 8081)
    assert not allowed(world, "dev/tool", "shop/api", 8080)
    assert not allowed(world, "dev/tool", "shop/db", 8080), "db has no port of that name"


NAMED_OUT = {"podSelector": {"matchLabels": {"app": "db"}}, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": "http"}]}]}


def test_egress_by_name_in_cilium_fails_where_pods_disagree() -> None:
    # cilium#24779: until 1.20 one name must be one number in the whole cluster.
    assert allowed(world_of(policy(NAMED_OUT)), "shop/db", "shop/api", 8081)
    assert not allowed(world_of(policy(NAMED_OUT), n1="cilium", n2="cilium"), "shop/db", "shop/api", 8081)
    newer = {**SEMANTICS, "cilium": replace(CILIUM, cluster_wide_names=False)}
    assert allowed(world_of(policy(NAMED_OUT), n1="cilium", n2="cilium", semantics=newer), "shop/db", "shop/api", 8081)


BLOCK = {"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.2.0/24"]}}]}]}


@pytest.mark.parametrize(("plugin", "pods"), [("kubernetes", True), ("calico", True), ("cilium", False)])
def test_an_ip_block_and_pods(plugin: str, pods: bool) -> None:
    # Kubernetes' own tests assert a match; Cilium's CIDR rules select the world only (cilium#9209).
    world = world_of(policy(BLOCK), n1=plugin, n2=plugin)
    assert allowed(world, "dev/tool", "shop/db") is pods
    assert not allowed(world, "shop/api", "shop/web"), "10.0.2.3 is excepted"
    assert allowed(world, "far/web", "shop/db"), "another cluster's pod is an address to both"


NODES = {"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}]}


@pytest.mark.parametrize(("plugin", "other"), [("calico", True), ("cilium", False)])
def test_an_ip_block_and_nodes(plugin: str, other: bool) -> None:
    world = world_of(policy(NODES), n1=plugin, n2=plugin)
    assert allowed(world, "n1", "shop/db") is other
    assert allowed(world_of(policy(DENY), n1=plugin, n2=plugin), "n2", "shop/db"), "a node always reaches its own pods"
    assert not allowed(world_of(policy(DENY), n1=plugin, n2=plugin), "n1", "shop/db")


def test_selectors_select_in_their_own_cluster_only() -> None:
    everyone = {"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {}}]}]}
    assert not allowed(world_of(policy(everyone)), "far/web", "shop/db")
    assert not allowed(world_of(policy(FROM_WEB)), "far/web", "shop/db"), "same labels, other cluster"


FROM_DEV = {
    "podSelector": {"matchLabels": {"app": "db"}},
    "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"env": "dev"}}}]}],
}


def test_the_four_cases_of_a_mixed_cluster() -> None:
    # Cilium's agent watches the pods of its own node only (daemon/k8s/pods.go): pods on a kubenet node are "world" to it.
    # Only kubenet → policed pod on Cilium fails; the other three cases go on.
    world = world_of(policy(FROM_DEV), n1="kubenet", n2="cilium")
    assert not allowed(world, "dev/tool", "shop/db"), "kubenet → policed on Cilium, though its labels are admitted"
    assert allowed(world, "shop/db", "dev/tool"), "policed on Cilium → kubenet"
    assert allowed(world_of(n1="kubenet", n2="cilium"), "dev/tool", "shop/db"), "without the policy"
    assert allowed(world_of(n1="kubenet", n2="cilium"), "shop/db", "dev/tool"), "without the policy"
    assert allowed(world_of(policy(FROM_DEV), n1="cilium", n2="cilium"), "dev/tool", "shop/db"), "both on Cilium"
    assert allowed(world_of(policy(FROM_DEV), n1="kubenet", n2="calico"), "dev/tool", "shop/db"), "Calico knows every pod"
    remedy = policy({**FROM_DEV, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.1.0/24"}}]}]})
    assert allowed(world_of(remedy, n1="kubenet", n2="cilium"), "dev/tool", "shop/db"), "world is admitted by its range"


def test_a_node_that_enforces_nothing_protects_nobody() -> None:
    world = world_of(policy(DENY), n1="kubenet", n2="calico")
    assert allowed(world, "shop/db", "shop/web")
    assert not allowed(world, "shop/web", "shop/db")


UNLISTED = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}], "ingress": [{"from": [{"podSelector": {}}]}]}


@pytest.mark.parametrize(("plugin", "open_"), [("kubernetes", True), ("calico", True), ("cilium", False)])
def test_rules_of_a_direction_that_is_not_listed(plugin: str, open_: bool) -> None:
    # cilium#48703: rules isolate there whether or not policyTypes lists their direction.
    assert allowed(world_of(policy(UNLISTED), n1=plugin, n2=plugin), "dev/tool", "shop/db") is open_


NOT_DEV = {"namespaceSelector": {"matchExpressions": [{"key": "env", "operator": "NotIn", "values": ["dev"]}]}}


@pytest.mark.parametrize(("plugin", "world_too"), [("kubernetes", False), ("calico", False), ("cilium", True)])
def test_a_selector_of_absence_and_the_world(plugin: str, world_too: bool) -> None:
    # cilium#46949.
    world = world_of(policy({"podSelector": {}, "ingress": [{"from": [NOT_DEV]}]}), n1=plugin, n2=plugin)
    assert allowed(world, "internet", "shop/db") is world_too
    assert allowed(world, "shop/web", "shop/db")
    assert not allowed(world, "dev/tool", "shop/db")


def test_pods_that_ended_and_pods_on_the_hosts_network() -> None:
    ended = pod("shop", "old", "n1", "10.0.1.9", {"app": "web"}, [])
    ended["status"]["phase"] = "Succeeded"
    host = pod("shop", "host", "n1", "192.0.2.1", {"app": "web"}, [])
    host["spec"]["hostNetwork"] = True
    world = build([*_objects(world_of(policy(FROM_WEB))), ("c", ended), ("c", host)])
    answer = decide(world, world.end("10.0.1.9"), world.end("10.0.2.2"), "TCP", 80)
    assert not answer.allowed, "its address is nobody's now"
    assert str(world.end("192.0.2.1")) == "node:c/n1", "a pod on the host's network is seen as its node"
    found = next(each for each in world.pods if each.host_network)
    shut = build([*_objects(world_of()), ("c", host), ("c", policy(DENY))])
    assert decide(shut, shut.end("10.9.0.2"), found, "TCP", 80).allowed, "and no policy applies to it"
    assert "192.0.2.1" not in render(shut, "c", "n1")


def _objects(world: World) -> list[tuple[str, Json]]:
    found: list[tuple[str, Json]] = [
        ("c", {"kind": "Node", "metadata": {"name": n.name}, "status": {"addresses": [
            {"type": "InternalIP", "address": str(n.addresses[0])}]}}) for n in world.nodes.values()
    ]  # fmt: skip
    found += [(p.cluster, pod(p.namespace, p.name, p.node, str(p.addresses[0]), dict(p.labels), p.ports)) for p in world.pods]
    return [*found, ("c", policy(FROM_WEB))]


# --- the reach table -------------------------------------------------------------------------------------------------------

INVENTORY = Inventory(
    clusters=("c", "d"),
    nodes=(SiteNode("c", "n1", ("192.0.2.1",)), SiteNode("c", "n2", ("192.0.2.2",))),
    pods=(
        *(SitePod("c", *path.split("/"), entry[0], (entry[1],), tuple(entry[2].items())) for path, entry in PODS.items()),
        SitePod("d", "shop", "web", "far", ("10.9.0.2",)),
    ),
    services=(
        Service("c", "shop", "back", ("10.96.0.9",), (ServicePort(80, 5432),), ("10.0.2.2", "10.0.2.3")),
        Service("c", "shop", "none", ("10.96.0.8",), (ServicePort(80, 80),), ()),
        Service("d", "shop", "web", ("10.97.0.7",), (ServicePort(80, 8080),), ("10.9.0.2",)),
    ),
)  # fmt: skip


def table(world: World, **edges: Json) -> dict[str, State]:
    parsed = [parse_edge(name, fields, "edges") for name, fields in edges.items()]
    return dict(reach(world, INVENTORY, parsed).states)


def test_reach_through_services() -> None:
    to = {"from": "c/dev/tool", "port": "80/tcp"}
    edges = {
        "back": {**to, "to": "svc:c/shop/back"},
        "none": {**to, "to": "svc:c/shop/none"},
        "far": {**to, "to": "svc:d/shop/web"},
    }
    assert table(world_of(), **edges) == {"back": State.OPEN, "none": State.REFUSED, "far": State.OPEN}
    assert table(world_of(policy(FROM_WEB)), **edges)["back"] == State.DEGRADED, "one of two backends is closed"
    assert table(world_of(policy(DENY)), **edges)["back"] == State.TIMED_OUT


def test_egress_to_another_clusters_service_meets_its_cluster_ip() -> None:
    # The other cluster's node translates, long after the source's policies have looked.
    edge = {"far": {"from": "c/dev/tool", "to": "svc:d/shop/web", "port": "80/tcp"}}

    def out(cidr: str, port: int) -> World:
        spec = {"podSelector": {}, "policyTypes": ["Egress"],
                "egress": [{"to": [{"ipBlock": {"cidr": cidr}}], "ports": [{"port": port}]}]}  # fmt: skip
        return world_of(policy(spec, namespace="dev"))

    assert table(out("10.97.0.7/32", 80), **edge) == {"far": State.OPEN}
    assert table(out("10.9.0.2/32", 8080), **edge) == {"far": State.TIMED_OUT}


# --- what must always hold -------------------------------------------------------------------------------------------------

SELECTORS = st.sampled_from([{}, {"matchLabels": {"app": "db"}}, {"matchLabels": {"app": "web"}}])
RULES = st.lists(
    st.sampled_from(
        [{}, {"from": [{"podSelector": {}}]}, {"ports": [{"port": 8080}]}, {"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]
    ),
    max_size=2,
)
INGRESS = st.builds(lambda s, r: {"podSelector": s, "policyTypes": ["Ingress"], "ingress": r}, SELECTORS, RULES)
ALL = [(s, d) for s in (*PODS, "internet", "n1") for d in PODS if s != d]


@settings(max_examples=100)
@given(st.lists(INGRESS, min_size=1, max_size=3), INGRESS, st.sampled_from(["kubernetes", "calico", "cilium"]))
def test_one_more_policy_never_closes_an_edge_of_an_isolated_pod(specs: list[Json], more: Json, plugin: str) -> None:
    isolating = [*specs, {"podSelector": {}, "policyTypes": ["Ingress"]}]
    policies = [policy(spec, f"p{number}") for number, spec in enumerate(isolating)]
    before = world_of(*policies, n1=plugin, n2=plugin)
    after = world_of(*policies, policy(more, "more"), n1=plugin, n2=plugin)
    closed = [edge for edge in ALL if allowed(before, *edge) and not allowed(after, *edge)]
    assert closed == []


@settings(max_examples=60)
@given(st.lists(INGRESS, max_size=3))
def test_ingress_policies_never_touch_a_pod_of_another_namespace(specs: list[Json]) -> None:
    world = world_of(*(policy(spec, f"p{number}") for number, spec in enumerate(specs)))
    assert all(allowed(world, source, "dev/tool") for source in ("shop/web", "shop/db", "internet"))
