"""Every probe is shown a world in which it must say yes, and one in which it must say no."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chaosnet.engine.session import Session, make_current
from chaosnet.faults.bgp import block_bgp
from chaosnet.faults.dns import break_dns
from chaosnet.faults.mtu import shrink_mtu
from chaosnet.faults.partition import partition
from chaosnet.model.question import ConntrackUse, DnsReply, Loaded, PathMtuFound, ServiceSeen, Streamed
from chaosnet.probes import bgp, conntrack, dns, faults_in_force, load, path_mtu, reach, residue, services, stream
from chaosnet.targets import memory as memories

EDGES = {
    "shop": {"from": "test/shop/client", "to": "svc:prod/prod-ns/prod-svc", "port": "8080/http"},
    "upload": {"from": "test/shop/client", "to": "svc:prod/prod-ns/prod-svc", "port": "8080/http", "send": 3000},
    "intruder": {"from": "prod/prod-ns/web", "to": "svc:prod/prod-ns/db", "port": 5432},
    "ping": {"from": "test/shop/client", "to": "prod/prod-ns/web", "port": "icmp"},
}


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    target = memories.fresh()
    block = {"name": "chaosnet", "edges": EDGES, "shut": ["intruder"], "watch": {"interval": "20ms", "timeout": "60ms"}}
    made = Session.open(target, {"title": "t", "extensions": [block]}, "", tmp_path / "out")
    make_current(made)
    yield made
    made.undo()
    make_current(None)
    target.close()


def test_reach_residue_and_in_force(session: Session) -> None:
    healthy = (reach.edges_open(["shop"]), reach.edges_closed(["intruder"]), reach.edge_state("shop"), residue.clean())
    assert healthy == (True, True, "open", True)
    assert not reach.edges_open(["shop", "intruder"])
    assert not reach.edges_closed(["shop"])
    assert reach.matrix_open(["intruder"]) is False  # others may not reach the database either
    assert not faults_in_force.in_force()
    partition("test/shop/client", "prod/prod-ns/web", duration="60s")
    broken = (reach.edges_open(["shop"]), reach.edges_closed(["shop"]), reach.edge_state("shop"), residue.clean())
    assert broken == (False, True, "timed out", False)
    assert faults_in_force.in_force("partition")
    assert not faults_in_force.in_force("shrink_mtu")
    assert residue.residue()


def test_path_mtu(session: Session) -> None:
    ends = ("test/shop/client", "prod/prod-ns/web", 8080)
    assert path_mtu.path_carries(*ends)
    shrink_mtu("hop:upload/source-node", "1450", "drop", duration="60s")
    assert not path_mtu.path_carries(*ends)
    assert path_mtu.path_mtu(*ends)["icmp"] == 1450


def test_bgp(session: Session) -> None:
    assert bgp.sessions_established()
    assert bgp.routes_present("node:test/test-1", ["10.1.1.0/24"])
    assert not bgp.routes_present("node:test/test-1", ["192.0.2.0/24"])
    assert bgp.convergence_time() < 5
    block_bgp("node:prod/prod-1", how="reject", duration="60s")
    assert not bgp.sessions_established("node:prod/prod-1")


def test_dns(session: Session) -> None:
    name = "cart.shop.svc.cluster.local"
    assert dns.resolves("test/shop/client", name)
    assert not dns.resolves("test/shop/client", name, to="192.0.2.1")
    break_dns("svc:test/kube-system/kube-dns", "nxdomain", duration="60s")
    assert not dns.resolves("test/shop/client", name)
    assert dns.lookup("test/shop/client", name)["rcode"] == "NXDOMAIN"


def test_stream_and_services(session: Session) -> None:
    assert stream.loss_below("ping", "1%")
    assert stream.latency_below("ping", "1s")
    assert services.endpoints_agree("svc:prod/prod-ns/prod-svc")
    partition("test/shop/client", "prod/prod-ns/web", duration="60s")
    assert not stream.loss_below("ping", "50%")
    assert not stream.latency_below("ping", "1s")


def test_judges() -> None:
    assert path_mtu.carries(PathMtuFound(1500, 0, 3000, 3000, (100, 3000)), 1500)
    assert not path_mtu.carries(PathMtuFound(1500, 0, 100, 3000, (100, 3000)), 1500)
    assert services.agree(ServiceSeen(("a",), ("a",), (("n", ("a",)),)))
    for seen in (
        ServiceSeen((), (), ()),
        ServiceSeen(("a",), ("b",), (("n", ("a",)),)),
        ServiceSeen(("a",), ("a",), (("n", ("a", "b")),)),
    ):
        assert not services.agree(seen)
    assert conntrack.below(ConntrackUse(10, 100, 0), 0.8)
    assert not conntrack.below(ConntrackUse(90, 100, 0), 0.8)
    assert not conntrack.below(ConntrackUse(10, 100, 1), 0.8)
    assert load.meets(Loaded(100, 99, (("open", 99),), 0.01, 0.1, 0.2), 0.99, 0.5)
    assert not load.meets(Loaded(100, 98, (("open", 98),), 0.01, 0.1, 0.2), 0.99, 0.5)
    assert not load.meets(Loaded(100, 100, (("open", 100),), 0.01, 0.6, 0.7), 0.99, 0.5)
    assert not load.meets(Loaded(0, 0, (), 0.0, 0.0, 0.0), 0.99, 0.5)
    assert dns.resolved(DnsReply("NOERROR", ("10.0.0.1",), 0.1), "", 1.0)
    assert not dns.resolved(DnsReply("NOERROR", ("10.0.0.1",), 1.1), "", 1.0)
    assert not dns.resolved(DnsReply("NOERROR", (), 0.1), "", 1.0)
    assert stream.lost(Streamed(0, 0, 0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0)) == 1.0
