"""What the in-memory network does with traffic: the outages that real networks have, by the same rules."""

from collections.abc import Callable

import pytest

from chaosnet.errors import TargetError
from chaosnet.model.change import (
    ConntrackPressure,
    DaemonState,
    DnsAnswer,
    Filter,
    LinkMtu,
    Match,
    Object,
    Rewrite,
    RouteMtu,
    Shape,
    Sysctl,
)
from chaosnet.model.edge import Edge, State, parse_edge
from chaosnet.model.endpoint import parse_endpoint
from chaosnet.model.inventory import find
from chaosnet.model.question import (
    Bgp,
    BgpState,
    Carried,
    Conntrack,
    ConntrackUse,
    Counted,
    Counters,
    Dns,
    DnsReply,
    Load,
    Loaded,
    PathMtu,
    PathMtuFound,
    Reach,
    Reached,
    ServiceSeen,
    ServiceView,
    Stream,
    Streamed,
    Throughput,
)
from chaosnet.shipped import default_lab
from chaosnet.targets.memory import Clock, MemoryTarget, open_network
from tests.memory.conftest import CLIENT, EDGES, WEB, at, broken, states


def test_at_rest_everything_is_open(memory: MemoryTarget) -> None:
    assert broken(memory) == set()


def test_a_silent_narrow_hop_is_the_black_hole(memory: MemoryTarget, do: Callable[..., str]) -> None:
    """Only what is large and goes that way hangs: health checks, answers and the peering stay green."""
    hop = at(memory, "hop:upload/source-node")
    ticket = do(RouteMtu(hop, hop.toward, 1400), Filter(hop, "egress", Match(icmp="fragmentation-needed")))
    assert broken(memory) == {"upload", "big-ping"}
    found = memory.ask(PathMtu(at(memory, CLIENT), at(memory, WEB), 8080))
    assert isinstance(found, PathMtuFound)
    assert (found.icmp, found.told) == (1400, 0)
    assert found.tcp_there < 1400 < found.tcp_back
    counted = memory.ask(Counters(ticket))
    assert isinstance(counted, Counted)
    assert counted.by_change[0] == 0
    assert counted.by_change[1] > 0


def test_a_narrow_hop_that_says_so_is_healed(memory: MemoryTarget, do: Callable[..., str]) -> None:
    hop = at(memory, "hop:upload/source-node")
    do(RouteMtu(hop, hop.toward, 1400))
    assert broken(memory) == {"big-ping"}
    found = memory.ask(PathMtu(at(memory, CLIENT), at(memory, WEB), 8080))
    assert isinstance(found, PathMtuFound)
    assert (found.icmp, found.told, found.tcp_there) == (1400, 1400, 60000)
    assert [words for words in memory.forget([at(memory, CLIENT)]) if "1400" in words or "path MTU" in words]
    assert memory.forget([at(memory, CLIENT)]) == ()


def test_a_narrow_end_is_no_outage(memory: MemoryTarget, do: Callable[..., str]) -> None:
    """Both ends agree on TCP's segment size; only pings of the old size notice."""
    do(LinkMtu(at(memory, CLIENT), 1300))
    assert broken(memory) == {"big-ping"}


def test_probing_gets_through_a_black_hole_late(memory: MemoryTarget, do: Callable[..., str]) -> None:
    hop, client = at(memory, "hop:upload/source-node"), at(memory, CLIENT)
    do(
        RouteMtu(hop, hop.toward, 1400),
        Filter(hop, "egress", Match(icmp="fragmentation-needed")),
        Sysctl(client, "net.ipv4.tcp_mtu_probing", "1"),
    )
    assert states(memory, "upload") == {"upload": State.TIMED_OUT}
    assert states(memory, "upload", timeout=5.0) == {"upload": State.OPEN}


def bgp(memory: MemoryTarget, speaker: str, neighbor: str) -> tuple[str, str]:
    """State and last error of one session as its speaker sees it."""
    answer = memory.ask(Bgp((at(memory, f"node:{speaker}"),)))
    assert isinstance(answer, BgpState)
    (found,) = [s for s in answer.sessions if s.neighbor.endswith(neighbor)]
    return found.state, found.last_error


@pytest.fixture
def port_179(memory: MemoryTarget) -> Callable[..., tuple[Filter, ...]]:
    """Rules against BGP between test-1 and its router, at test-1."""
    node, router = at(memory, "node:test/test-1"), at(memory, "transit:transit-test")

    def rules(side: str = "either", both: bool = True, **fields: object) -> tuple[Filter, ...]:
        there = Match((), router.addresses, "tcp", (179,), side)
        back = Match(router.addresses, (), "tcp", (179,), side)
        made = (Filter(node, "egress", there, **fields), Filter(node, "ingress", back, **fields))
        return made if both else made[:1]

    return rules


def test_a_block_is_felt_after_the_hold_time(memory, clock: Clock, do, port_179) -> None:
    do(*port_179())
    clock.advance(8.9)
    assert bgp(memory, "test/test-1", "transit-test") == ("Established", "")
    clock.advance(0.2)
    assert bgp(memory, "test/test-1", "transit-test") == ("Active", "Hold timer expired")
    # Its pods' range is known by BGP only, so the other cluster cannot answer; its neighbours can.
    assert broken(memory) == {"small", "upload", "answer", "ping", "big-ping", "named", "peering"}
    clock.advance(60)
    assert bgp(memory, "test/test-1", "transit-test")[0] == "Active"
    memory.undo("abcdefghij", ())
    clock.advance(3.1)
    assert bgp(memory, "test/test-1", "transit-test")[0] == "Established"
    assert broken(memory) == set()


def test_settling_waits_for_the_sessions(memory, clock: Clock, do, port_179) -> None:
    do(*port_179())
    clock.advance(20)
    with pytest.raises(TargetError, match=r"1 BGP sessions are not up after 5 s, among them that of node:test//test-1"):
        memory.settle(5)
    memory.undo("abcdefghij", ())
    assert broken(memory)
    memory.settle(5)
    assert broken(memory) == set()


def test_a_reset_is_felt_sooner(memory, clock: Clock, do, port_179) -> None:
    do(*port_179(verdict="reject"))
    clock.advance(3.1)
    assert bgp(memory, "test/test-1", "transit-test") == ("Active", "Connection reset")


def test_a_block_of_one_port_on_one_side_heals_itself(memory, clock: Clock, do, port_179) -> None:
    """The other side dials, and then the well-known port is on this side."""
    do(*port_179(side="destination", both=False))
    clock.advance(9.1)
    assert bgp(memory, "test/test-1", "transit-test")[0] == "Active"
    clock.advance(3.1)
    assert bgp(memory, "test/test-1", "transit-test")[0] == "Established"
    for _ in range(30):
        clock.advance(1)
        assert bgp(memory, "test/test-1", "transit-test")[0] == "Established"


def test_a_block_behind_established_accept_does_nothing(memory, clock: Clock, do, port_179) -> None:
    do(*port_179(after_established=True))
    clock.advance(120)
    assert bgp(memory, "test/test-1", "transit-test")[0] == "Established"


def test_a_block_shorter_than_the_hold_time_proves_nothing(memory, clock: Clock, do, port_179) -> None:
    do(*port_179(), seconds=8)
    clock.advance(60)
    assert bgp(memory, "test/test-1", "transit-test") == ("Established", "")


def test_a_stopped_speaker_takes_its_routes_along(memory, clock: Clock, do) -> None:
    do(DaemonState(at(memory, "node:prod/prod-1"), "bird"), DaemonState(at(memory, "node:prod/prod-2"), "bird"))
    clock.advance(0.1)
    assert broken(memory) >= {"small", "upload", "peering"}
    assert "near" not in broken(memory)


@pytest.mark.parametrize(("verdict", "state"), [("drop", State.TIMED_OUT), ("reject", State.REFUSED)])
def test_verdicts(memory, do, verdict: str, state: State) -> None:
    do(Filter(at(memory, "node:test/test-1"), "egress", Match(protocol="tcp", ports=(8080,)), verdict))
    assert states(memory, "small", "ping", "dns") == {"small": state, "ping": State.OPEN, "dns": State.OPEN}


def test_without_tracking_a_service_has_no_address(memory, do) -> None:
    ticket = do(Filter(at(memory, "node:test/test-1"), "ingress", Match(protocol="tcp"), "untrack"))
    assert states(memory, "near", "ping") == {"near": State.TIMED_OUT, "ping": State.OPEN}
    counted = memory.ask(Counters(ticket))
    assert isinstance(counted, Counted)
    assert counted.packets > 0


def test_a_rewritten_source_that_nobody_has_gets_no_answer(memory, do) -> None:
    do(Rewrite(at(memory, "node:test/test-1"), Match(protocol="tcp"), "203.0.113.9"))
    assert states(memory, "small", "ping") == {"small": State.TIMED_OUT, "ping": State.OPEN}


def test_pressure_lets_some_in(memory, do) -> None:
    node = at(memory, "hop:near/source-node")
    do(ConntrackPressure(node, 3, Match(protocol="tcp", ports=(8080,))))
    seen = [states(memory, "small")["small"] for _ in range(5)]
    assert seen == [State.OPEN] * 3 + [State.TIMED_OUT] * 2
    use = memory.ask(Conntrack(node))
    assert isinstance(use, ConntrackUse)
    assert (use.used, use.limit) == (3, 3)
    assert use.dropped >= 2
    assert use.stand_in


def stream(memory: MemoryTarget) -> Streamed:
    """Pings to prod for some seconds."""
    answer = memory.ask(Stream(EDGES["ping"], rate=500, seconds=2.0))
    assert isinstance(answer, Streamed)
    return answer


def test_shapes_of_a_stream(memory, do) -> None:
    whole = stream(memory)
    assert whole.sent == whole.forward == whole.received == 1000
    do(Shape(at(memory, "node:test/test-1"), "egress", Match(protocol="icmp"), 0, 0.1, 0.02, 0.3, 0.1, 0.05, 0.1))
    spoilt = stream(memory)
    assert 600 < spoilt.forward < 800
    assert spoilt.duplicates > 20
    assert spoilt.corrupted > 10
    assert spoilt.out_of_order > 20
    assert 0.08 < spoilt.p50 < 0.12
    assert spoilt.jitter > 0.005


def test_a_rate_is_what_gets_through(memory, do) -> None:
    edge = EDGES["near"]
    free = memory.ask(Throughput(edge))
    do(Shape(at(memory, "hop:near/source-node"), "egress", rate=10**7))
    shaped = memory.ask(Throughput(edge))
    assert isinstance(free, Carried)
    assert isinstance(shaped, Carried)
    assert free.bits_per_second > 10**8
    assert shaped.bits_per_second == pytest.approx(10**7)


def test_loss_costs_requests(memory, do) -> None:
    do(Filter(at(memory, "node:test/test-1"), "egress", Match(protocol="tcp"), share=0.3))
    loaded = memory.ask(Load(EDGES["small"], rate=50, seconds=4.0, timeout=0.15))
    assert isinstance(loaded, Loaded)
    assert loaded.requests == 200
    assert 20 < loaded.requests - loaded.succeeded < 180
    assert dict(loaded.outcomes)["open"] == loaded.succeeded


@pytest.mark.parametrize(
    ("mode", "rcode", "edge", "named"),
    [
        ("servfail", "SERVFAIL", State.UNRESOLVED, State.UNRESOLVED),
        ("nxdomain", "NXDOMAIN", State.UNRESOLVED, State.UNRESOLVED),
        ("drop", "TIMEOUT", State.TIMED_OUT, State.UNRESOLVED),
        ("slow", "TIMEOUT", State.TIMED_OUT, State.UNRESOLVED),
        ("wrong", "NOERROR", State.OPEN, State.TIMED_OUT),
    ],
)
def test_dns_goes_wrong(memory, do, mode: str, rcode: str, edge: State, named: State) -> None:
    server = find(memory.inventory(), parse_endpoint("test/kube-system/kube-dns", "at"))[0]
    do(DnsAnswer(server, mode, delay=3.0, answer="192.0.2.1"))
    reply = memory.ask(Dns(at(memory, CLIENT), "prod-svc.prod-ns.svc.prod.clusterset.local", 2.0))
    assert isinstance(reply, DnsReply)
    assert reply.rcode == rcode
    assert states(memory, "dns", "named", "small") == {"dns": edge, "named": named, "small": State.OPEN}


def test_dns_goes_wrong_for_some_names_only(memory, do) -> None:
    server = find(memory.inventory(), parse_endpoint("test/kube-system/kube-dns", "at"))[0]
    do(DnsAnswer(server, "nxdomain", "clusterset.local"))
    assert states(memory, "dns", "named") == {"dns": State.OPEN, "named": State.UNRESOLVED}


def test_a_stopped_dns_server_refuses(memory, do) -> None:
    do(DaemonState(at(memory, "test/kube-system/kube-dns"), "dns"))
    assert states(memory, "dns", "named", "small") == {
        "dns": State.REFUSED,
        "named": State.UNRESOLVED,
        "small": State.OPEN,
    }


def test_a_proxy_says_that_it_reaches_nobody() -> None:
    """The proxy itself answers: 503 is something else than silence."""
    target = open_network(str(default_lab().with_name("mixed-cni.yaml")))
    through = parse_edge("through", {"from": "mixed/debug/on-cilium", "to": "svc:mixed/ingress/proxy", "port": "8080/http"}, "e")
    direct = parse_edge(
        "direct", {"from": "mixed/ingress/proxy", "to": "svc:mixed/merchants/merchant-a", "port": "8080/http"}, "e"
    )
    before = target.ask(Reach((through, direct)))
    merchant = find(target.inventory(), direct.destination)[0]
    node = find(target.inventory(), parse_endpoint("mixed/ingress/proxy", "e"))[0]
    change = Filter(node, "egress", Match(destinations=merchant.addresses, protocol="tcp"))
    target.arm("abcdefghij", (undo := target.prepare("abcdefghij", change),), 60)
    target.do("abcdefghij", change, undo)
    after = target.ask(Reach((through, direct)))
    target.close()
    assert isinstance(before, Reached)
    assert isinstance(after, Reached)
    assert [seen.state for seen in before.observations] == [State.OPEN, State.OPEN]
    assert [seen.state for seen in after.observations] == [State.DEGRADED, State.TIMED_OUT]
    assert after.observations[0].detail.startswith("HTTP 503")


def test_policies_are_decided_by_the_policy_engine(memory, do) -> None:
    policy = '{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "deny", "namespace": "shop"},'
    policy += ' "spec": {"podSelector": {}, "policyTypes": ["Egress"]}}'
    do(Object("test", "apply", "NetworkPolicy", "shop", "deny", policy))
    assert broken(memory) == set(EDGES) - {"peering"}
    do(DaemonState(at(memory, "node:test/test-1"), "policy"), ticket="bcdefghijk")
    assert broken(memory) == set()


def test_a_dead_node_is_taken_out_unless_the_controller_is_too(memory, do) -> None:
    view = ServiceView("prod", "prod-ns", "prod-svc")
    whole = memory.ask(view)
    assert isinstance(whole, ServiceSeen)
    do(DaemonState(at(memory, "node:prod/prod-2"), "endpoints"))
    do(DaemonState(at(memory, "node:prod/prod-1"), "node"), ticket="bcdefghijk")
    late = memory.ask(view)
    assert isinstance(late, ServiceSeen)
    assert (late.ready, late.endpoints) == (whole.ready[1:], whole.endpoints)
    memory.undo("abcdefghij", ())
    told = memory.ask(view)
    assert isinstance(told, ServiceSeen)
    assert told.ready == told.endpoints == whole.endpoints[1:]
    assert dict(told.programmed)["prod-3"] == told.endpoints


def test_a_node_without_kube_proxy_sends_to_the_dead(memory, do) -> None:
    do(DaemonState(at(memory, "node:prod/prod-1"), "node"))
    do(DaemonState(at(memory, "node:prod/prod-3"), "kube-proxy"), ticket="bcdefghijk")
    view = memory.ask(ServiceView("prod", "prod-ns", "prod-svc"))
    assert isinstance(view, ServiceSeen)
    programmed = dict(view.programmed)
    assert len(programmed["prod-3"]) == 2
    assert programmed["prod-2"] == view.endpoints == programmed["prod-3"][1:]
    inside = {
        source: Edge(f"from {source}", parse_endpoint(f"prod/prod-ns/{source}", "at"), EDGES["small"].destination, "tcp", 8080)
        for source in ("db-0", "orders-0")
    }
    seen = {}
    for source, edge in inside.items():
        loaded = memory.ask(Load(edge, rate=50, seconds=1.0, timeout=0.1))
        assert isinstance(loaded, Loaded)
        seen[source] = loaded.succeeded
    nodes = {pod.name: pod.node for pod in memory.inventory().pods}
    assert (nodes["db-0"], nodes["orders-0"]) == ("prod-3", "prod-2")
    assert 5 < seen["db-0"] < 45
    assert seen["orders-0"] == 50


def test_it_answers_the_same_every_time(memory, do) -> None:
    do(Filter(at(memory, "node:test/test-1"), "egress", Match(), share=0.5))
    assert stream(memory) == stream(memory)
