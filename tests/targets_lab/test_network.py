"""The network of a lab: what reaches what, what is announced, and that roles come back exactly as they were."""

import json
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chaosnet.errors import InputError
from chaosnet.model.change import Change, DaemonState, Object
from chaosnet.model.edge import Edge, State
from chaosnet.model.endpoint import parse_endpoint
from chaosnet.model.inventory import Site
from chaosnet.model.question import Daemons, DaemonsSeen, Reach, Reached, Routes, RouteTable
from chaosnet.targets.lab.client import LabTarget
from chaosnet.targets.lab.recording import record

pytestmark = pytest.mark.lab
Start = Callable[..., LabTarget]


def edge(source: str, destination: str, protocol: str = "http", port: int = 8080, **more: int) -> Edge:
    return Edge(
        f"{source}→{destination}",
        parse_endpoint(source, "source"),
        parse_endpoint(destination, "destination"),
        protocol,
        port,
        **more,
    )


def states(lab: LabTarget, *edges: Edge) -> list[State]:
    reached = lab.ask(Reach(edges, 1.0))
    assert isinstance(reached, Reached)
    return [one.state for one in reached.observations]


@contextmanager
def made(lab: LabTarget, ticket: str, change: Change) -> Iterator[None]:
    """The change is in force inside the block and undone after it; nothing of it is left."""
    before, owned = lab.snapshot(), lab.owned()
    undo = lab.prepare(ticket, change)
    lab.arm(ticket, [undo], 60.0)
    lab.do(ticket, change, undo)
    assert lab.in_force(ticket, change).ok
    try:
        yield
    finally:
        lab.undo(ticket, [undo])
    assert not lab.in_force(ticket, change).ok
    lab.settle(30.0)
    after = lab.snapshot()
    assert {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)} == set()
    assert lab.owned() == owned


def output(lab: LabTarget, place: str, *argv: str) -> tuple[int, str]:
    reading, writing = os.pipe()
    with open("/dev/null") as nothing:
        try:
            status = lab.run(place, argv, (nothing.fileno(), writing, writing))
        finally:
            os.close(writing)
    with os.fdopen(reading, errors="replace") as said:
        return status, said.read()


# --- reach -------------------------------------------------------------------------------------------------------------


def test_everything_reaches_everything_it_should(shared: LabTarget) -> None:
    edges = [
        edge("west/apps/web-0", "east/apps/web-0"),
        edge("west/apps/web-0", "svc:east/apps/web"),
        edge("west/apps/web-1", "svc:west/apps/web"),
        edge("node:west/w-1", "svc:west/apps/web"),
        edge("node:west/w-1", "node:east/e-2", "icmp", 0),
        edge("west/apps/web-0", "east/apps/web-1", "icmp", 0, send=1472),
        edge("node:west/w-1", "node:east/e-2", "bgp", 179),
        edge("west/apps/web-0", "svc:east/apps/web"),
    ]
    assert states(shared, *edges) == [State.OPEN] * len(edges)


def test_a_packet_larger_than_the_pods_mtu_does_not_fit(shared: LabTarget) -> None:
    status, said = output(shared, "west/apps/web-0", "ping", "-M", "do", "-s", "1473", "-c1", "-W1", "10.1.1.2")
    assert status != 0
    assert "message too long, mtu=1500" in said


def test_routers_lie_on_the_way(shared: LabTarget) -> None:
    _, said = output(shared, "west/apps/web-0", "ping", "-c1", "-W2", "-t", "3", "10.1.1.2")
    assert "From 192.168.100.2 " in said and "Time to live exceeded" in said


def test_names_resolve_by_the_pods_own_resolver(shared: LabTarget) -> None:
    service = next(s for s in shared.inventory().services if (s.cluster, s.name) == ("east", "web"))
    status, said = output(shared, "west/apps/web-0", "getent", "hosts", "web.apps.svc.east.clusterset.local")
    assert (status, said.split()[0]) == (0, service.addresses[0])
    status, said = output(shared, "east/apps/web", "getent", "hosts", "web")
    assert (status, said.split()) == (0, [service.addresses[0], "web.apps.svc.cluster.local"])


def test_services_are_announced_where_a_backend_is(shared: LabTarget) -> None:
    service = next(s for s in shared.inventory().services if (s.cluster, s.name) == ("east", "web"))
    answer = shared.ask(Routes(Site("router", "east", "", "r-east", "r-east"), "bird"))
    assert isinstance(answer, RouteTable)
    hops = {route.via for route in answer.routes if route.destination == f"{service.addresses[0]}/32"}
    nodes = {n.name: n.addresses[0] for n in shared.inventory().nodes}
    assert hops == {nodes[pod.node] for pod in shared.inventory().pods if (pod.cluster, pod.workload) == ("east", "web")}


# --- commands inside ---------------------------------------------------------------------------------------------------


def test_a_command_has_the_callers_stdio_and_status(shared: LabTarget, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("to be read")
    with open(tmp_path / "in") as source, open(tmp_path / "out", "w") as out, open(tmp_path / "err", "w") as err:
        script = "cat; echo to be said >&2; pwd; exit 7"
        status = shared.run("west/apps/web-0", ["sh", "-c", script], (source.fileno(), out.fileno(), err.fileno()))
    assert status == 7
    assert (tmp_path / "out").read_text() == f"to be read{os.getcwd()}\n"
    assert (tmp_path / "err").read_text() == "to be said\n"


def test_a_command_can_be_signalled(shared: LabTarget) -> None:
    status = -1

    def started(send_signal: Callable[[int], None]) -> None:
        send_signal(15)

    with open("/dev/null", "r+") as nothing:
        status = shared.run("west/apps/web-0", ["sleep", "60"], (nothing.fileno(),) * 3, started)
    assert status == 128 + 15


def test_what_cannot_run_is_a_sentence(shared: LabTarget) -> None:
    assert output(shared, "west/apps/web-0", "no-such-command") == (
        127,
        "chaosnet: there is no command 'no-such-command' on this machine\n",
    )
    assert output(shared, "west/apps/web-0", "/etc/passwd")[0] == 126
    with pytest.raises(InputError, match=r"there is no pod, node or router 'west/apps/wbe' .*; did you mean west/apps/web\?"):
        output(shared, "west/apps/wbe", "true")


@pytest.mark.parametrize("place", ["west/apps/web-0", "west/apps/web", "apps/web-1", "west/w-1", "w-1", "r-east"])
def test_places_have_short_names(shared: LabTarget, place: str) -> None:
    assert output(shared, place, "true") == (0, "")


# --- roles -------------------------------------------------------------------------------------------------------------


def role(lab: LabTarget, site: Site, name: str) -> bool:
    answer = lab.ask(Daemons(site))
    assert isinstance(answer, DaemonsSeen)
    return dict(answer.running)[name]


E2 = Site("node", "east", "", "e-2", "e-2")
E1 = Site("node", "east", "", "e-1", "e-1")


def test_bird_stops_and_comes_back(shared: LabTarget) -> None:
    away, near = edge("west/apps/web-0", "east/apps/web-1"), edge("east/apps/web-0", "east/apps/web-0")
    on = {pod.name: pod.node for pod in shared.inventory().pods if pod.cluster == "east"}
    site = E2 if on["web-1"] == "e-2" else E1
    with made(shared, "birdstop00", DaemonState(site, "bird")):
        assert not role(shared, site, "bird")
        # Said goodbye, so nobody waits for a hold time.
        assert eventually_state(shared, away, lambda state: not state.passes)
        assert states(shared, edge("node:west/w-1", f"node:east/{site.name}", "bgp", 179)) == [State.TIMED_OUT]
        assert states(shared, near) == [State.OPEN]
    assert states(shared, away) == [State.OPEN]
    assert role(shared, site, "bird")


def eventually_state(lab: LabTarget, one: Edge, wanted: Callable[[State], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if wanted(states(lab, one)[0]):
            return True
        time.sleep(0.05)
    return False


def test_a_node_stops_and_comes_back(shared: LabTarget) -> None:
    pods = {pod.name: pod for pod in shared.inventory().pods if pod.cluster == "east"}
    neighbour = next(pod for pod in pods.values() if pod.workload == "kube-dns")
    dead = neighbour.node
    here = next(pod for pod in pods.values() if pod.workload == "web" and pod.node == dead)
    other = next(pod for pod in pods.values() if pod.workload == "web" and pod.node != dead)
    site = Site("node", "east", "", dead, dead)
    with made(shared, "nodestop00", DaemonState(site, "node")):
        assert states(shared, edge(f"east/apps/{other.name}", f"east/apps/{here.name}")) == [State.TIMED_OUT]
        # Pods on it do not even reach each other: there is nobody who would carry their packets.
        assert states(shared, edge(f"east/kube-system/{neighbour.name}", f"east/apps/{here.name}")) == [State.TIMED_OUT]
        assert [n.ready for n in shared.inventory().nodes if n.name == dead] == [False]
        service = next(s for s in shared.inventory().services if (s.cluster, s.name) == ("east", "web"))
        assert service.backends == other.addresses
        assert states(shared, *[edge(f"east/apps/{other.name}", "svc:east/apps/web")] * 5) == [State.OPEN] * 5
    assert states(shared, edge("west/apps/web-0", "east/apps/web-0")) == [State.OPEN]


def test_dns_stops_and_comes_back(shared: LabTarget) -> None:
    asked = Edge("asked", parse_endpoint("west/apps/web-0", ""), parse_endpoint("svc:west/kube-system/kube-dns", ""), "dns", 53, query="web.apps.svc.cluster.local")  # fmt: skip
    pod = next(p for p in shared.inventory().pods if (p.cluster, p.workload) == ("west", "kube-dns"))
    assert states(shared, asked) == [State.OPEN]
    with made(shared, "dnsstop000", DaemonState(Site("pod", "west", pod.namespace, pod.name, pod.node, pod.addresses), "dns")):
        assert states(shared, asked)[0] in (State.REFUSED, State.TIMED_OUT)
    assert states(shared, asked) == [State.OPEN]


def test_without_cni_new_pods_have_no_network(shared: LabTarget) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "late", "namespace": "apps", "labels": {"app": "late"}},
        "spec": {"nodeName": "w-1", "containers": [{"name": "c", "image": "x", "ports": [{"containerPort": 7000}]}]},
    }
    site = Site("node", "west", "", "w-1", "w-1")
    there = edge("west/apps/web-0", "west/apps/late", "tcp", 7000)
    with made(shared, "cnistop000", DaemonState(site, "cni")):
        with made(shared, "latepod000", Object("west", "apply", "Pod", "apps", "late", json.dumps(pod))):
            assert not states(shared, there)[0].passes
            assert output(shared, "west/apps/late", "ls", "/sys/class/net")[0] == 0
    with made(shared, "latepod001", Object("west", "apply", "Pod", "apps", "late", json.dumps(pod))):
        assert states(shared, there) == [State.OPEN]


def test_without_kube_proxy_rules_grow_stale(shared: LabTarget) -> None:
    site = Site("node", "west", "", "w-1", "w-1")
    gone = {"spec": {"selector": {"app": "nobody"}}}
    through = [edge("node:west/w-1", "svc:west/apps/web"), edge("node:west/w-2", "svc:west/apps/web")]
    with made(shared, "proxystop0", DaemonState(site, "kube-proxy")):
        with made(shared, "scaledown0", Object("west", "patch", "Service", "apps", "web", json.dumps(gone))):
            stale, fresh = states(shared, *through)
            assert fresh == State.REFUSED
            assert stale == State.OPEN


def test_a_role_that_a_site_has_not_is_refused(shared: LabTarget) -> None:
    with pytest.raises(Exception, match=r"has no role|no role") as caught:
        shared.prepare("norole0000", DaemonState(Site("router", "west", "", "r-west", "r-west"), "kube-proxy"))
    assert getattr(caught.value, "exit", 0) == 2


# --- pods come, go and move --------------------------------------------------------------------------------------------


def test_a_moved_pod_answers_from_its_new_node(shared: LabTarget) -> None:
    before = next(p for p in shared.inventory().pods if (p.cluster, p.name) == ("west", "web-0"))
    other = "w-2" if before.node == "w-1" else "w-1"
    patch = json.dumps({"spec": {"nodeName": other}})
    with made(shared, "movepod000", Object("west", "patch", "Pod", "apps", "web-0", patch)):
        now = next(p for p in shared.inventory().pods if (p.cluster, p.name) == ("west", "web-0"))
        assert (now.node, now.addresses != before.addresses) == (other, True)
        assert states(shared, edge("east/apps/web-0", "west/apps/web-0")) == [State.OPEN]
    assert states(shared, edge("east/apps/web-0", "west/apps/web-0")) == [State.OPEN]


def test_a_moved_dns_server_answers_from_its_new_node(shared: LabTarget) -> None:
    pod = next(p for p in shared.inventory().pods if (p.cluster, p.workload) == ("west", "kube-dns"))
    patch = json.dumps({"spec": {"nodeName": "w-2" if pod.node == "w-1" else "w-1"}})
    asked = ("west/apps/web-0", "getent", "hosts", "web.apps.svc.cluster.local")
    with made(shared, "movedns000", Object("west", "patch", "Pod", "kube-system", pod.name, patch)):
        shared.settle(30.0)
        assert output(shared, *asked)[0] == 0
    assert output(shared, *asked)[0] == 0


# --- captures ----------------------------------------------------------------------------------------------------------


def test_a_capture_sees_a_packet_at_every_point(shared: LabTarget, tmp_path: Path) -> None:
    one = edge("west/apps/web-0", "east/apps/web-0")
    points = shared.capture_points(one)
    assert [name for name, _, _ in points] == [
        "source-pod", "source-node", "transit:r-west", "transit:middle", "transit:r-east", "destination-node", "destination-pod",
    ]  # fmt: skip
    address = next(p.addresses[0] for p in shared.inventory().pods if (p.cluster, p.name) == ("east", "web-0"))

    def while_recording(seconds: float) -> None:
        assert output(shared, "west/apps/web-0", "ping", "-c3", "-i0.2", "-W2", address)[0] == 0

    counted = record(shared, points, tmp_path / "x.pcapng", 0.0, "icmp", while_recording)
    assert counted == {name: 6 for name, _, _ in points}
    data = (tmp_path / "x.pcapng").read_bytes()
    kinds = []
    position = 0
    while position < len(data):
        kind, length = struct.unpack_from("=II", data, position)
        assert struct.unpack_from("=I", data, position + length - 4) == (length,)
        kinds.append(kind)
        position += length
    assert (kinds.count(0x0A0D0D0A), kinds.count(1), kinds.count(6)) == (1, len(points), 6 * len(points))


def test_a_filter_that_is_none_is_tcpdumps_own_sentence(shared: LabTarget, tmp_path: Path) -> None:
    points = shared.capture_points(edge("west/apps/web-0", "east/apps/web-0"))[:1]
    with pytest.raises(InputError, match=r"'no such thing' is no filter \(tcpdump: .*syntax error"):
        record(shared, points, tmp_path / "x.pcapng", 0.0, "no such thing", lambda seconds: None)


# --- other shapes ------------------------------------------------------------------------------------------------------


def test_an_overlay_carries_pods_between_nodes(start: Start, wrapped: Path) -> None:
    lab = start(wrapped)
    lab.settle(30.0)
    pods = {pod.name: pod for pod in lab.inventory().pods if pod.cluster == "west" and pod.workload == "web"}
    assert {pod.node for pod in pods.values()} == {"w-1", "w-2"}
    a, b = edge("west/apps/web-0", "west/apps/web-1", "icmp", 0, send=1472), edge("west/apps/web-0", "east/apps/web-0")
    assert states(lab, a, b) == [State.OPEN, State.OPEN]
    _, said = output(lab, f"west/{pods['web-0'].node}", "ip", "route", "get", pods["web-1"].addresses[0])
    assert "dev vxlan0" in said
