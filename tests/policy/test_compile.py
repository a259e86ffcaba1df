"""Compiled policies must decide as ``decide`` does: through an interpreter of their text, and on a real network."""

import ipaddress
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from chaosnet.policy.compile import clear, render
from chaosnet.policy.decide import decide
from chaosnet.policy.world import CNI, End, Node, Pod, World, build

# The network of conftest.py: three nodes, and a pod of namespace x and one of y on each.
ADDRESSES = {
    "n1": "192.168.7.1", "n2": "192.168.7.2", "n3": "192.168.7.3", "x/a": "10.7.1.2", "y/a": "10.7.1.3",
    "x/b": "10.7.2.2", "y/b": "10.7.2.3", "x/c": "10.7.3.2", "y/c": "10.7.3.3",
}  # fmt: skip
NODE_OF = {"x/a": "n1", "y/a": "n1", "x/b": "n2", "y/b": "n2", "x/c": "n3", "y/c": "n3"}
NODES = ("n1", "n2", "n3")
PROBES = (("TCP", 80), ("TCP", 81), ("UDP", 80), ("ICMP", 0))
PLUGINS = (
    ("kubernetes",) * 3, ("calico",) * 3, ("cilium",) * 3, ("cilium", "cilium", "kubenet"), ("calico", "kubenet", "calico"),
)  # fmt: skip

Json = dict[str, Any]


def world_of(labels: Mapping[str, Json], policies: list[Json], plugins: tuple[str, ...]) -> World:
    objects: list[Json] = [
        {
            "kind": "Node", "metadata": {"name": node, "annotations": {CNI: plugin}},
            "status": {"addresses": [{"type": "InternalIP", "address": ADDRESSES[node]}]},
        }
        for node, plugin in zip(NODES, plugins, strict=True)
    ]  # fmt: skip
    objects += [{"kind": "Namespace", "metadata": {"name": name, "labels": labels.get(name, {})}} for name in ("x", "y")]
    for path, node in NODE_OF.items():
        namespace, name = path.split("/")
        web = 81 if path == "x/b" else 80
        objects.append(
            {
                "kind": "Pod",
                "metadata": {"namespace": namespace, "name": name, "labels": labels.get(path, {})},
                "spec": {"nodeName": node, "containers": [{"ports": [{"name": "web", "containerPort": web}]}]},
                "status": {"podIP": ADDRESSES[path]},
            }
        )
    objects += policies
    return build(("c", item) for item in objects)


def policy(namespace: str, name: str, spec: Json) -> Json:
    return {
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"namespace": namespace, "name": name}, "spec": spec,
    }  # fmt: skip


def edges() -> list[tuple[str, str, str, int]]:
    return [(s, d, protocol, port) for s in ADDRESSES for d in NODE_OF if s != d for protocol, port in PROBES]


def decided(world: World) -> list[bool]:
    return [decide(world, world.end(ADDRESSES[s]), world.end(ADDRESSES[d]), p, n).allowed for s, d, p, n in edges()]


# --- what people may write -------------------------------------------------------------------------------------------------

LABELS = st.fixed_dictionaries({}, optional={"app": st.sampled_from("ab"), "tier": st.sampled_from(("front", "back"))})
REQUIREMENT = st.one_of(
    st.builds(
        lambda op, values: {"key": "app", "operator": op, "values": sorted(values)},
        st.sampled_from(("In", "NotIn")), st.sets(st.sampled_from("abz"), min_size=1),
    ),
    st.builds(
        lambda op, key: {"key": key, "operator": op},
        st.sampled_from(("Exists", "DoesNotExist")), st.sampled_from(("app", "tier", "team")),
    ),
)  # fmt: skip
SELECTOR = st.one_of(
    st.just({}),
    st.builds(lambda labels: {"matchLabels": labels}, LABELS),
    st.builds(lambda each: {"matchExpressions": each}, st.lists(REQUIREMENT, min_size=1, max_size=2)),
)
BLOCK = st.sampled_from(
    (
        {"cidr": "0.0.0.0/0"},
        {"cidr": "0.0.0.0/0", "except": ["10.7.2.0/24", "10.7.1.3/32"]},
        {"cidr": "10.7.1.0/24"},
        {"cidr": "10.7.3.3/32"},
        {"cidr": "192.168.7.0/30", "except": ["192.168.7.2/32"]},
        {"cidr": "fd00::/8"},
    )
)
PEER = st.one_of(
    st.builds(lambda s: {"podSelector": s}, SELECTOR),
    st.builds(lambda s: {"namespaceSelector": s}, SELECTOR),
    st.builds(lambda s, n: {"podSelector": s, "namespaceSelector": n}, SELECTOR, SELECTOR),
    st.builds(lambda b: {"ipBlock": b}, BLOCK),
)
PORT = st.sampled_from(
    (
        {"port": 80}, {"port": 81}, {"port": 80, "endPort": 90}, {"protocol": "UDP"}, {"protocol": "UDP", "port": 80},
        {"port": "web"}, {"protocol": "SCTP", "port": 80},
    )
)  # fmt: skip


def rules(peers: str) -> st.SearchStrategy[list[Json]]:
    rule = st.fixed_dictionaries(
        {}, optional={peers: st.lists(PEER, max_size=2), "ports": st.lists(PORT, min_size=1, max_size=2)}
    )
    return st.lists(rule, max_size=2)


SPEC = st.fixed_dictionaries(
    {"podSelector": SELECTOR},
    optional={
        "policyTypes": st.sampled_from((["Ingress"], ["Egress"], ["Ingress", "Egress"])),
        "ingress": rules("from"),
        "egress": rules("to"),
    },
)
POLICIES = st.lists(st.tuples(st.sampled_from("xy"), SPEC), min_size=1, max_size=4).map(
    lambda found: [policy(namespace, f"p{number}", spec) for number, (namespace, spec) in enumerate(found)]
)
LABELLING = st.fixed_dictionaries(dict.fromkeys((*NODE_OF, "x", "y"), LABELS))


# --- an interpreter of the text --------------------------------------------------------------------------------------------


class Rules:
    """The compiled text of one node, executed for a new connection."""

    def __init__(self, text: str) -> None:
        found: dict[str, str] = dict(re.findall(r"^\t(?:set|map|chain) (\w+) \{ (.*) \}$", text, re.M))
        self.chains = {name: body.split("; ") for name, body in found.items() if name.startswith("p_")}
        elements = {name: re.search(r"elements = \{ (.*?) \}", body) for name, body in found.items()}
        self.sets = {name: match.group(1).split(", ") for name, match in elements.items() if match and name.startswith("a_")}
        self.maps: dict[str, dict[str, str]] = {
            name: dict(entry.split(" : jump ") for entry in match.group(1).split(", "))
            for name, match in elements.items()
            if match and name in ("ingress4", "egress4")
        }

    def passes(self, source: str, destination: str, protocol: str, port: int, inward: bool) -> bool:
        chains = [self.maps.get("egress4", {}).get(source)]
        chains += [self.maps.get("ingress4", {}).get(destination)] if inward else []
        return all(self._chain(c, source, destination, protocol, port) for c in chains if c)

    def _chain(self, name: str, source: str, destination: str, protocol: str, port: int) -> bool:
        for rule in self.chains[name]:
            words = rule.rstrip(";")
            if words == "counter drop":
                return False
            assert words.endswith("return"), words
            if self._matches(words.removesuffix("return").strip(), source, destination, protocol, port):
                return True
        raise AssertionError("a chain ends without a drop")

    def _matches(self, words: str, source: str, destination: str, protocol: str, port: int) -> bool:
        if words.startswith("meta nfproto ipv6") or words.startswith("ip6 "):
            return False
        words = words.removeprefix("meta nfproto ipv4").strip()
        if match := re.match(r"ip (saddr|daddr) @(a_\d+) ?", words):
            value = ipaddress.IPv4Address(source if match.group(1) == "saddr" else destination)
            if not any(_holds(element, value) for element in self.sets[match.group(2)]):
                return False
            words = words[match.end() :]
        if match := re.fullmatch(r"(tcp|udp|sctp) dport \{ (.*) \}", words):
            numbers = [(int(a), int(b or a)) for a, _, b in (n.partition("-") for n in match.group(2).split(", "))]
            return match.group(1) == protocol.lower() and any(low <= port <= high for low, high in numbers)
        if words.startswith("meta l4proto "):
            return words.removeprefix("meta l4proto ") == protocol.lower()
        assert not words, words
        return True


def _holds(element: str, value: ipaddress.IPv4Address) -> bool:
    low, dash, high = element.partition("-")
    if dash:
        return ipaddress.IPv4Address(low) <= value <= ipaddress.IPv4Address(high)
    return value in ipaddress.IPv4Network(element)


def interpreted(world: World) -> list[bool]:
    tables = {node: Rules(render(world, "c", node)) for node in NODES}

    def passes(source: str, destination: str, protocol: str, port: int) -> bool:
        a, b = ADDRESSES[source], ADDRESSES[destination]
        # A node's own packets leave through output; everything else is forwarded, at the source's node too.
        path = [NODE_OF[source]] if source in NODE_OF else []
        path += [NODE_OF[destination]] if NODE_OF[destination] != source else []
        return all(tables[node].passes(a, b, protocol, port, True) for node in dict.fromkeys(path))

    return [passes(*edge) for edge in edges()]


def differing(left: list[bool], right: list[bool]) -> list[tuple[object, ...]]:
    return [(*edge, a, b) for edge, a, b in zip(edges(), left, right, strict=True) if a != b]


@settings(max_examples=150)
@given(LABELLING, POLICIES, st.sampled_from(PLUGINS))
def test_the_text_decides_as_decide_does(labels: Mapping[str, Json], found: list[Json], plugins: tuple[str, ...]) -> None:
    world = world_of(labels, found, plugins)
    assert differing(interpreted(world), decided(world)) == []


@settings(max_examples=60)
@given(LABELLING, POLICIES, st.sampled_from(PLUGINS), st.randoms())
def test_the_order_of_objects_never_matters(
    labels: Mapping[str, Json], found: list[Json], plugins: tuple[str, ...], random: Any
) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)
    one, other = world_of(labels, found, plugins), world_of(labels, shuffled, plugins)
    assert [render(one, "c", node) for node in NODES] == [render(other, "c", node) for node in NODES]
    assert decided(one) == decided(other)


@pytest.mark.parametrize("plugins", PLUGINS)
@pytest.mark.parametrize("pods", [None, {}, {"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}])
def test_selectors_of_absence_compile_as_they_are_decided(plugins: tuple[str, ...], pods: Json | None) -> None:
    # Rare among random worlds: what lacks every label is admitted, and known pods that have the label are not.
    absent = {"namespaceSelector": {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["a"]}]}}
    peer = absent if pods is None else absent | {"podSelector": pods}
    labels = {"y": {"app": "a"}, "x/b": {"tier": "front"}}
    world = world_of(labels, [policy("x", "p", {"podSelector": {}, "ingress": [{"from": [peer]}]})], plugins)
    assert differing(interpreted(world), decided(world)) == []
    assert (
        not decide(world, world.end(ADDRESSES["y/a"]), world.end(ADDRESSES["x/b"]), "TCP", 80).allowed or plugins[1] == "kubenet"
    )


# --- on a real network -----------------------------------------------------------------------------------------------------


def measured(wire: Any, world: World) -> list[bool]:
    for node in NODES:
        wire.nft(node, render(world, "c", node))
    asked = [[s, ADDRESSES[d], protocol, port] for s, d, protocol, port in edges()]
    return [answer == "open" for answer in wire.probe(asked, 0.25)]


@pytest.mark.lab
# A failing example takes seconds to measure: it is reported as it is found, not made smaller.
@settings(
    max_examples=20,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(LABELLING, POLICIES, st.sampled_from(PLUGINS))
def test_the_kernel_decides_as_decide_does(
    wire: Any, labels: Mapping[str, Json], found: list[Json], plugins: tuple[str, ...]
) -> None:
    world = world_of(labels, found, plugins)
    wrong = differing(measured(wire, world), decided(world))
    if wrong:
        # A busy machine may be late: those that differ are asked again with patience.
        asked = [[s, ADDRESSES[str(d)], protocol, port] for s, d, protocol, port, *_ in wrong]
        again = wire.probe(asked, 2.0)
        wrong = [each for each, answer in zip(wrong, again, strict=True) if (answer == "open") != each[-1]]
    assert wrong == []


DENY_ALL = {"podSelector": {}, "policyTypes": ["Ingress"]}


@pytest.mark.lab
@pytest.mark.parametrize(("plugin", "lives"), [("calico", True), ("kubernetes", True), ("cilium", False)])
def test_a_new_deny_and_a_live_flow(wire: Any, plugin: str, lives: bool) -> None:
    # Calico: calico#2759.  Cilium: bpf_lxc.c looks policy up for every packet that is no reply.
    flow = wire.open("x/a", ADDRESSES["x/b"], 5000)
    assert wire.talk(flow)
    world = world_of({}, [policy("x", "deny", DENY_ALL)], (plugin,) * 3)
    for node in NODES:
        wire.nft(node, render(world, "c", node))
    assert wire.talk(flow) is lives
    assert wire.probe([["x/a", ADDRESSES["x/b"], "TCP", 5000]], 0.3) == ["silence"]
    for node in NODES:
        wire.nft(node, clear())
    assert wire.probe([["x/a", ADDRESSES["x/b"], "TCP", 5000]], 2.0) == ["open"]


@pytest.mark.lab
@pytest.mark.parametrize("plugin", ["calico", "cilium"])
def test_icmp_errors_of_admitted_flows_pass(wire: Any, plugin: str) -> None:
    # RFC 1191: without "fragmentation needed" from a router on the way a sender never learns the path MTU.
    port = [{"ports": [{"port": 5000}, {"protocol": "UDP", "port": 80}]}]
    spec = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": port, "egress": port}
    world = world_of({}, [policy("x", "closed", spec)], (plugin,) * 3)
    for node in NODES:
        wire.nft(node, render(world, "c", node))
    wire.ip("n2", "link set p0 mtu 1300")
    try:
        # To the client, from the far node; and to the server, which is not the one who began.  What was learned is forgotten
        # first, or a later test would pass by what an earlier one found out.
        wire.ip("x/a", "route flush cache")
        assert wire.mtu("x/a", ADDRESSES["x/b"], 80, 1400)
        wire.ip("x/a", "route flush cache")
        assert wire.bulk(wire.open("x/b", ADDRESSES["x/a"], 5000), 20_000)
    finally:
        wire.ip("n2", "link set p0 mtu 1500")


@pytest.mark.lab
@pytest.mark.parametrize("plugin", ["calico", "cilium"])
def test_the_kernel_takes_rules_of_both_families(wire: Any, plugin: str) -> None:
    spec = {
        "podSelector": {}, "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [{"ipBlock": {"cidr": "2001:db8::/32", "except": ["2001:db8:1::/48"]}}, {"podSelector": {}}],
                     "ports": [{"port": 80}, {"port": 90, "endPort": 99}, {"protocol": "SCTP"}]}],
        "egress": [{"to": [{"ipBlock": {"cidr": "::/0"}}]}, {"ports": [{"protocol": "UDP", "port": 53}]}],
    }  # fmt: skip
    objects: list[Json] = [{"kind": "Node", "metadata": {"name": "n", "annotations": {CNI: plugin}}}, policy("x", "p", spec)]
    for number in (1, 2):
        objects.append(
            {
                "kind": "Pod", "metadata": {"namespace": "x", "name": f"p{number}"}, "spec": {"nodeName": "n"},
                "status": {"podIPs": [{"ip": f"10.9.0.{number}"}, {"ip": f"2001:db8:9::{number}"}]},
            }
        )  # fmt: skip
    wire.nft("n1", render(build(("c", item) for item in objects), "c", "n"))
    listed = wire.listing("n1", "list table inet lab_policy")["nftables"]
    maps = {entry["map"]["name"]: len(entry["map"]["elem"]) for entry in listed if "map" in entry}
    assert maps == {"ingress4": 2, "ingress6": 2, "egress4": 2, "egress6": 2}
    wire.nft("n1", clear())
    assert "lab_policy" not in json.dumps(wire.listing("n1", "list ruleset"))


@pytest.mark.lab
def test_a_node_reaches_its_own_pods_and_a_pod_itself(wire: Any) -> None:
    world = world_of({}, [policy("x", "deny", DENY_ALL | {"policyTypes": ["Ingress", "Egress"]})], ("cilium",) * 3)
    for node in NODES:
        wire.nft(node, render(world, "c", node))
    asked = [["n1", ADDRESSES["x/a"], "TCP", 80], ["n2", ADDRESSES["x/a"], "TCP", 80], ["x/a", ADDRESSES["n1"], "ICMP", 0]]
    assert wire.probe(asked, 0.3) == ["open", "silence", "silence"]


# --- the text --------------------------------------------------------------------------------------------------------------


def test_nothing_to_enforce_leaves_no_table() -> None:
    world = world_of({}, [policy("x", "deny", DENY_ALL)], ("calico", "kubenet", "calico"))
    assert render(world, "c", "n2") == clear()
    assert render(world, "other", "n1") == clear()


def test_two_hundred_pods_share_one_chain_and_two_lookups() -> None:
    objects: list[Json] = [{"kind": "Node", "metadata": {"name": "n", "annotations": {CNI: "calico"}}}]
    for number in range(200):
        objects.append(
            {
                "kind": "Pod", "metadata": {"namespace": "x", "name": f"p{number}", "labels": {"app": "ab"[number % 2]}},
                "spec": {"nodeName": "n"}, "status": {"podIP": f"10.9.{number // 250}.{number % 250 + 2}"},
            }
        )  # fmt: skip
    objects.append(policy("x", "p", {"podSelector": {}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "a"}}}]}]}))
    text = render(build(("c", item) for item in objects), "c", "n")
    assert text.count("\tchain p_") == 1
    assert text.count("\tset a_") == 1
    assert re.search(r"chain forward \{.*\}", text, re.M)[0].count("vmap") == 1  # type: ignore[index]
    assert text.count(": jump p_0") == 200


HOSTILE = ('x"; flush ruleset; #', "$(reboot)", "a\nb", "{ } ;", "<script>", "🙃")


@pytest.mark.parametrize("value", HOSTILE)
def test_what_users_write_never_reaches_the_rules(value: str) -> None:
    # World takes what a live API may hold; even then no label or name is in the text.
    objects: list[Json] = [
        {"kind": "Node", "metadata": {"name": "n", "annotations": {CNI: "calico"}}},
        {"kind": "Namespace", "metadata": {"name": "x", "labels": {"k": value}}},
        {
            "kind": "Pod",
            "metadata": {"namespace": "x", "name": value, "labels": {"app": value}},
            "spec": {"nodeName": "n", "containers": [{"ports": [{"name": value, "containerPort": 1}]}]},
            "status": {"podIP": "10.9.9.9"},
        },
        policy("x", "p", DENY_ALL),
    ]  # fmt: skip
    assert value not in render(build(("c", item) for item in objects), "c", "n")


def test_worlds_of_the_tests_are_not_trivial() -> None:
    # The properties above would hold over worlds in which nothing is ever denied.
    denied = 0

    @settings(max_examples=30, database=None)
    @given(LABELLING, POLICIES)
    def count(labels: Mapping[str, Json], found: list[Json]) -> None:
        nonlocal denied
        denied += decided(world_of(labels, found, ("kubernetes",) * 3)).count(False)

    count()
    assert denied > 500, json.dumps({"denied": denied})


def ends(world: World) -> Iterator[End]:
    yield from world.pods
    yield from world.nodes.values()


def test_every_end_is_found_by_its_address() -> None:
    world = world_of({}, [], ("calico",) * 3)
    for end in ends(world):
        assert isinstance(end, Pod | Node)
        assert world.end(str(end.addresses[0])) is end
