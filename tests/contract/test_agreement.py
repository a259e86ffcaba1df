"""The lab and the in-memory network, asked the same questions about the same trouble, give the same reach table.

What the in-memory network is trusted with (plans, engine tests) rests on this: it is compared with real kernels, rule by rule.
"""

import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from itertools import product
from pathlib import Path

import pytest

from chaosnet.model.change import Change, DaemonState, DnsAnswer, Filter, LinkMtu, Match, Object, Rewrite, RouteMtu, Sysctl
from chaosnet.model.edge import Edge, State
from chaosnet.model.endpoint import Endpoint, parse_endpoint
from chaosnet.model.inventory import Inventory, Site, one
from chaosnet.model.place import parse_place, resolve
from chaosnet.model.question import (
    Bgp,
    BgpState,
    Daemons,
    DaemonsSeen,
    Dns,
    DnsReply,
    PathMtu,
    PathMtuFound,
    Reach,
    Reached,
    Routes,
    RouteTable,
    ServiceView,
)
from chaosnet.model.target import Target
from chaosnet.shipped import default_lab
from chaosnet.targets import open_target
from chaosnet.targets.memory import fresh, open_network

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Target, Target]]:
    """A lab, and a network in memory on the same real clock."""
    folder = tmp_path_factory.mktemp("agreement")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        lab, memory = open_target("lab"), fresh(path=folder / "network.json")
        try:
            lab.settle(60)
            yield lab, memory
        finally:
            lab.close()
            memory.close()


def edges(inventory: Inventory) -> tuple[Edge, ...]:
    """Every workload to every Service port, small and large, by address and by name; pings; a closed port; nobody."""
    workloads = {}
    for pod in inventory.pods:
        workloads.setdefault((pod.cluster, pod.namespace, pod.workload), Endpoint("pod", pod.cluster, pod.namespace, pod.name))
    found: dict[str, Edge] = {}

    def add(*parts: object, **more: object) -> None:
        edge = Edge("", *parts, **more)  # type: ignore[arg-type]
        name = f"{edge} {more or ''}".strip()
        found[name] = Edge(name, *parts, **more)  # type: ignore[arg-type]

    some = inventory.services[-1]
    for source, service in product(workloads.values(), inventory.services):
        there = Endpoint("service", service.cluster, service.namespace, service.name)
        for port in service.ports:
            if port.protocol == "tcp":
                add(source, there, "tcp", port.port)
            if port.name == "http":
                add(source, there, "http", port.port, send=3000)
                add(source, there, "http", port.port, receive=3000)
                add(source, there, "http", port.port, by_name=True)
            if port.name == "dns" and service.cluster == source.cluster:
                add(source, there, "dns", port.port, query=f"{some.name}.{some.namespace}.svc.{some.cluster}.clusterset.local")
    for source, target in product(workloads.values(), workloads.values()):
        if source != target:
            add(source, target, "icmp")
            add(source, target, "tcp", 81)
    nodes = [each for each in inventory.nodes if each.role == "node"]
    nobody = str(ip_network(nodes[-1].pod_ranges[0])[250])
    for source in workloads.values():
        add(source, Endpoint("ip", name=nobody), "tcp", 8080)
    routers = [each for each in inventory.nodes if each.role == "router"]
    for each, router in product(nodes, routers):
        add(Endpoint("node", each.cluster, "", each.name), Endpoint("node", router.cluster, "", router.name), "bgp", 179)
    return tuple(found.values())


def observed(target: Target, asked: tuple[Edge, ...], times: int) -> dict[str, dict[State, str]]:
    """Edge → every state that it was seen in, with a detail: a Service's backends may differ, and chance picks."""
    seen: dict[str, dict[State, str]] = {edge.name: {} for edge in asked}
    for _ in range(times):
        answer = target.ask(Reach(asked, 1.0))
        assert isinstance(answer, Reached)
        for one_try in answer.observations:
            seen[one_try.edge][one_try.state] = one_try.detail
    return seen


def differences(lab: dict[str, dict[State, str]], memory: dict[str, dict[State, str]]) -> list[str]:
    """Edge by edge: what the kernel did, and what memory has that do and why."""
    return [f"{edge}: lab {lab[edge]}, memory {memory[edge]}" for edge in lab if not lab[edge].keys() <= memory[edge].keys()]


Trouble = Callable[[Inventory], tuple[Change, ...]]


def node(inventory: Inventory, name: str) -> Site:
    return one(inventory, parse_endpoint(f"node:{name}", "at"), "at")


def pod(inventory: Inventory, name: str) -> Site:
    return one(inventory, parse_endpoint(name, "at"), "at")


def place(inventory: Inventory, text: str) -> tuple[Site, ...]:
    return resolve(parse_place(text, "at"), {}, inventory, "at")


def _policy(namespace: str, name: str, spec: dict[str, object]) -> str:
    metadata = {"name": name, "namespace": namespace}
    return json.dumps({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec})


WEB = Match(protocol="tcp", ports=(8080,))
PROD = ("10.1.0.0/16", "10.96.0.0/16")
TROUBLES: dict[str, Trouble] = {
    "nothing": lambda i: (),
    "drop at a node": lambda i: (Filter(node(i, "test/test-1"), "egress", WEB),),
    "reject at a node": lambda i: (Filter(node(i, "test/test-1"), "egress", WEB, "reject"),),
    "reject on the way back": lambda i: (
        Filter(node(i, "test/test-1"), "ingress", Match(protocol="tcp", ports=(8080,), side="source"), "reject"),
    ),
    "drop at a pod": lambda i: (Filter(pod(i, "prod/prod-ns/db"), "ingress", Match()),),
    "drop at a router": lambda i: (Filter(place(i, "transit:transit-prod")[0], "egress", WEB),),
    "drop at a link": lambda i: tuple(
        Filter(end, "egress", Match(protocol="icmp")) for end in place(i, "link:transit-test--transit-prod")
    ),
    "black hole": lambda i: (
        RouteMtu(node(i, "test/test-1"), PROD, 1400),
        Filter(node(i, "test/test-1"), "egress", Match(icmp="fragmentation-needed")),
    ),
    "narrow hop that says so": lambda i: (RouteMtu(node(i, "test/test-1"), PROD, 1400),),
    "narrow end": lambda i: (LinkMtu(pod(i, "test/shop/client"), 1300),),
    "no forwarding": lambda i: (Sysctl(node(i, "prod/prod-1"), "net.ipv4.ip_forward", "0"),),
    "default deny": lambda i: (
        Object("prod", "apply", "NetworkPolicy", "prod-ns", "deny",
               _policy("prod-ns", "deny", {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})),
    ),
    "deny lifted where nobody enforces": lambda i: (
        Object("prod", "apply", "NetworkPolicy", "prod-ns", "deny",
               _policy("prod-ns", "deny", {"podSelector": {}, "policyTypes": ["Ingress"]})),
        DaemonState(node(i, "prod/prod-1"), "policy"),
    ),
    "relabelled database": lambda i: (
        Object("prod", "patch", "Pod", "prod-ns", pod(i, "prod/prod-ns/db").name, '{"metadata": {"labels": {"app": "x"}}}'),
    ),
    "no such names": lambda i: (DnsAnswer(pod(i, "test/kube-system/kube-dns"), "nxdomain", "clusterset.local"),),
    "no DNS": lambda i: (DaemonState(pod(i, "prod/kube-system/kube-dns"), "dns"),),
    "rules missing": lambda i: tuple(
        Filter(node(i, f"{n.cluster}/{n.name}"), "ingress", Match(destinations=("10.96.1.123",)), "untrack")
        for n in i.nodes
        if n.role == "node"
    ),
    "source rewritten to nobody's": lambda i: (
        Rewrite(node(i, "test/test-1"), Match(destinations=PROD, protocol="tcp"), "203.0.113.9"),
    ),
    "source rewritten to the node's": lambda i: (
        Rewrite(node(i, "test/test-1"), Match(destinations=PROD, protocol="tcp"), node(i, "test/test-1").addresses[0]),
    ),
    "no backends": lambda i: (
        Object("prod", "patch", "Deployment", "prod-ns", "orders", '{"spec": {"replicas": 0}}'),
        Object("test", "patch", "Deployment", "shop", "cart", '{"spec": {"replicas": 0}}'),
    ),
    "selector that selects nobody": lambda i: (
        Object("test", "patch", "Service", "shop", "cart", '{"spec": {"selector": {"app": "nobody"}}}'),
    ),
    "controller late": lambda i: (
        DaemonState(node(i, "test/test-1"), "endpoints"),
        Object("test", "patch", "Service", "shop", "cart", '{"spec": {"selector": {"app": "nobody"}}}'),
    ),
    "proxy moved": lambda i: (
        Object("mixed", "patch", "Deployment", "ingress", "proxy",
               json.dumps({"spec": {"template": {"spec": {"nodeSelector": {"kubernetes.io/hostname": "kubenet-1"}}}}})),
    ),
    "node down": lambda i: (DaemonState(node(i, "prod/prod-1"), "node"),),
    "speaker stopped": lambda i: (DaemonState(node(i, "prod/prod-2"), "bird"),),
    "BGP blocked at the transit": lambda i: tuple(
        Filter(place(i, "transit:transit-test")[0], direction, Match(("192.168.100.0/30",), (), "tcp", (179,), "either"))
        for direction in ("egress", "ingress")
    ),
}  # fmt: skip


def answers(target: Target, inventory: Inventory) -> dict[str, object]:
    """What the other questions are answered with, less what no two networks have in common: times, interfaces, counts."""
    client, web = pod(inventory, "test/shop/client"), pod(inventory, "prod/prod-ns/web")
    found: dict[str, object] = {}
    bgp = target.ask(Bgp())
    assert isinstance(bgp, BgpState)
    found["sessions"] = {(s.speaker, s.neighbor, s.address, s.established, s.hold_time, s.keepalive) for s in bgp.sessions}
    for one_node in inventory.nodes:
        place_ = node(inventory, f"{one_node.cluster}/{one_node.name}")
        running = target.ask(Daemons(place_))
        assert isinstance(running, DaemonsSeen)
        found[f"roles of {one_node.name}"] = sorted(running.running)
        if one_node.role == "node" and dict(running.running)["bird"] and one_node.ready:
            table = target.ask(Routes(place_, "bird"))
            assert isinstance(table, RouteTable)
            # The underlay's own networks have no pods or Services in them.
            learned = {(r.destination, r.via) for r in table.routes if r.destination.startswith("10.")}
            found[f"routes of {one_node.name}"] = learned
    for name in ("prod-svc.prod-ns.svc.prod.clusterset.local", "cart.shop.svc.cluster.local", "nobody.shop.svc.cluster.local"):
        reply = target.ask(Dns(client, name, 1.0))
        assert isinstance(reply, DnsReply)
        found[name] = (reply.rcode, reply.addresses)
    for service in inventory.services:
        named = (service.cluster, service.namespace, service.name)
        found[f"view of {'/'.join(named)}"] = target.ask(ServiceView(*named))
    path = target.ask(PathMtu(client, web, 8080))
    assert isinstance(path, PathMtuFound)
    found["path MTU"] = path
    return found


@pytest.mark.parametrize(
    "name", ["nothing", "black hole", "narrow hop that says so", "no such names", "node down", "speaker stopped"]
)
def test_the_same_trouble_gives_the_same_answers(pair: tuple[Target, Target], name: str) -> None:
    lab, memory = pair
    with trouble(pair, name) as inventory:
        deadline, unlike = time.monotonic() + 20, {"nothing": "asked"}
        while unlike and time.monotonic() < deadline:
            mine, theirs = answers(lab, inventory), answers(memory, inventory)
            unlike = {what: (mine.get(what), theirs.get(what)) for what in mine | theirs if mine.get(what) != theirs.get(what)}
        assert unlike == {}


@contextmanager
def trouble(pair: tuple[Target, Target], name: str) -> Iterator[Inventory]:
    """The same trouble on both; the inventory before it."""
    lab, memory = pair
    lab.settle(60)
    memory.settle(60)
    inventory = lab.inventory()
    assert inventory == memory.inventory()
    changes = TROUBLES[name](inventory)
    ticket, records = "".join(secrets.choice("abcdefghijk") for _ in range(10)), []
    try:
        for target in pair:
            records.append([target.prepare(ticket, change) for change in changes])
            target.arm(ticket, records[-1], 120)
            for change, undo in zip(changes, records[-1], strict=True):
                target.do(ticket, change, undo)
        yield inventory
    finally:
        for target, record in zip(pair, records, strict=False):
            target.undo(ticket, record)
            target.forget([Site("pod", p.cluster, p.namespace, p.name, p.node, p.addresses) for p in inventory.pods])


def test_nodes_that_enforce_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network of Cilium nodes and one kubenet node, with its proxies: at rest, and with a proxy on the wrong node."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    file = str(default_lab().with_name("mixed-cni.yaml"))
    lab, memory = pair = open_target("lab", file), open_network(file)
    try:
        asked = edges(lab.inventory())
        with trouble(pair, "nothing"):
            assert differences(observed(lab, asked, 2), observed(memory, asked, 8)) == []
        with trouble(pair, "proxy moved"):
            asked = edges(lab.inventory())
            assert lab.inventory() == memory.inventory()
            deadline, unlike = time.monotonic() + 15, ["not asked"]
            while unlike and time.monotonic() < deadline:
                unlike = differences(observed(lab, asked, 2), observed(memory, asked, 8))
            assert unlike == []
    finally:
        lab.close()
        memory.close()


@pytest.mark.parametrize("name", [name for name in TROUBLES if name != "proxy moved"])
def test_the_same_trouble_gives_the_same_table(pair: tuple[Target, Target], name: str) -> None:
    lab, memory = pair
    with trouble(pair, name) as inventory:
        asked = edges(inventory)
        # Routes take the hold time to go, and some seconds more to settle.
        deadline, unlike = time.monotonic() + 20, ["not asked"]
        while unlike and time.monotonic() < deadline:
            unlike = differences(observed(lab, asked, 2), observed(memory, asked, 16))
        assert unlike == []
        assert lab.inventory() == memory.inventory()
