"""Sysctl, DaemonState, DnsAnswer and Object in a real lab."""

import asyncio
import json
import time

import dns.exception
import dns.message
import dns.rcode
import pytest
from executor_traffic import Net, until

from chaosnet.errors import ChaosnetError, InputError, Refused, ResidueLeft, Unsupported
from chaosnet.model.change import DaemonState, DnsAnswer, Filter, Match, Object, Sysctl
from chaosnet.model.question import (
    Bgp,
    Conntrack,
    Counters,
    Daemons,
    DaemonsSeen,
    Load,
    Routes,
    RouteTable,
    ServiceSeen,
    ServiceView,
)  # fmt: skip
from chaosnet.targets.lab.readings import Readings

pytestmark = pytest.mark.lab


def test_sysctl(small_lab):
    async def body(net: Net) -> None:
        before = net.executor.snapshot()
        change = Sysctl(net.site("a"), "net.ipv4.tcp_mtu_probing", "1")
        net.make(change)
        assert net.lab.namespaces.sysctl(net.space("a"), change.key) == "1"
        assert net.lab.namespaces.sysctl(net.space("b"), change.key) == "0"
        assert net.executor.in_force("abcdefgh01", change).ok
        assert len(net.executor.owned()) == 1
        net.take_back()
        net.take_back()
        assert net.executor.snapshot() == before
        net.make(change, ticket="abcdefgh02")
        net.lab.namespaces.set_sysctl(net.space("a"), change.key, "2")
        net.take_back("abcdefgh02")
        assert net.lab.namespaces.sysctl(net.space("a"), change.key) == "2", "what somebody set meanwhile is theirs"

    small_lab(body)


def test_sysctl_really_acts(small_lab):
    async def body(net: Net) -> None:
        net.make(Sysctl(net.site("w-1"), "net.ipv4.ip_forward", "0"))
        assert net.udp("a", "b") == 0
        net.take_back()
        assert net.udp("a", "b") == 1

    small_lab(body)


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        ("kernel.hostname", "x", InputError),
        ("net/../kernel/panic", "1", InputError),
        ("net.ipv4.ip_forward", "1; reboot", InputError),
        ("net.ipv4.ip_forward", "1", Refused),
        ("net.netfilter.nf_conntrack_max", "10", Unsupported),
        ("net.ipv4.no_such_thing", "1", ChaosnetError),
    ],
)
def test_sysctl_refusals(small_lab, key, value, error):
    async def body(net: Net) -> None:
        before = net.executor.snapshot()
        with pytest.raises(error):
            net.executor.prepare("abcdefgh01", Sysctl(net.site("w-1"), key, value))
        assert net.executor.snapshot() == before

    small_lab(body)


@pytest.mark.parametrize(
    ("place", "daemon"), [("w-1", "kube-proxy"), ("w-1", "cni"), ("w-1", "policy"), ("w-1", "endpoints"), ("dns", "dns"), ("w-2", "node")]
)
def test_a_role_stops_and_runs_again(small_lab, place, daemon):
    async def body(net: Net) -> None:
        for speaker in net.lab.routing.speakers:
            net.lab.routing.start(speaker)
        before = net.executor.snapshot()
        readings, site = Readings(net.lab, net.executor), net.site(place)
        change = DaemonState(site, daemon)
        net.make(change)
        assert net.executor.in_force("abcdefgh01", change).ok
        seen = readings.ask(Daemons(site))
        assert isinstance(seen, DaemonsSeen)
        assert dict(seen.running)[daemon] is False
        assert len(net.executor.owned()) == 1
        with pytest.raises(Refused, match=f"{daemon} does not run"):
            net.executor.prepare("abcdefgh02", change)
        if daemon == "node":
            assert net.udp("a", "b") == 0
        net.take_back()
        net.take_back()
        # A cable that is plugged in again carries nothing until the kernel has noticed (linkwatch: up to a second).
        await until(lambda: net.udp("a", "b") == 1)
        assert dict(readings.ask(Daemons(site)).running)[daemon] is True
        after = net.executor.snapshot()
        # BIRD's routes come back when BGP does.
        moving = {key for key in before if key.endswith(" routes")}
        assert {key: text for key, text in after.items() if key not in moving} == {
            key: text for key, text in before.items() if key not in moving
        }

    small_lab(body)


def test_a_role_that_is_not_there_is_refused(small_lab):
    async def body(net: Net) -> None:
        with pytest.raises(Unsupported, match="has no role 'dns'"):
            net.executor.prepare("abcdefgh01", DaemonState(net.site("a"), "dns"))
        with pytest.raises(Unsupported, match="paused"):
            net.executor.prepare("abcdefgh01", DaemonState(net.site("w-1"), "bird", "paused"))

    small_lab(body)


NAME = "b.shop.svc.cluster.local"


async def asked(net: Net, name: str = NAME, kind: str = "A", tcp: bool = False, patience: float = 1.0) -> tuple[str, list[str], float]:
    """What pod a hears of the cluster's DNS Service: rcode, addresses and seconds; TIMEOUT for silence."""
    import socket
    import struct

    loop = asyncio.get_running_loop()
    with net.socket("a", socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as out:
        out.setblocking(False)
        question = dns.message.make_query(name, kind).to_wire()
        began = time.monotonic()
        try:
            async with asyncio.timeout(patience):
                await loop.sock_connect(out, ("10.97.0.10" if not tcp else net.address("dns"), 53))
                await loop.sock_sendall(out, (struct.pack(">H", len(question)) if tcp else b"") + question)
                data = await loop.sock_recv(out, 4096)
        except (TimeoutError, OSError):
            return "TIMEOUT", [], time.monotonic() - began
        answer = dns.message.from_wire(data[2:] if tcp else data)
        texts = [item.to_text() for rrset in answer.answer for item in rrset]
        return dns.rcode.to_text(answer.rcode()), texts, time.monotonic() - began


@pytest.mark.parametrize(
    ("mode", "extra", "wanted"),
    [
        ("wrong", {"answer": "203.0.113.9"}, ("NOERROR", ["203.0.113.9"])),
        ("servfail", {}, ("SERVFAIL", [])),
        ("nxdomain", {}, ("NXDOMAIN", [])),
        ("drop", {}, ("TIMEOUT", [])),
        ("slow", {"delay": 0.3}, ("NOERROR", ["10.97.1.5"])),
    ],
)
@pytest.mark.parametrize("tcp", [False, True])
def test_dns_answers_go_wrong_under_a_suffix_and_nowhere_else(small_lab, mode, extra, wanted, tcp):
    async def body(net: Net) -> None:
        deadline = time.monotonic() + 5
        while (await asked(net))[0] != "NOERROR":
            assert time.monotonic() < deadline, "the DNS server never came up"
            await asyncio.sleep(0.05)
        before = net.executor.snapshot()
        change = DnsAnswer(net.site("dns"), mode, "shop.svc.cluster.local", **extra)
        net.make(change)
        rcode, texts, seconds = await asked(net, tcp=tcp, patience=0.6)
        assert (rcode, texts) == wanted
        if mode == "slow":
            assert 0.3 <= seconds < 0.6
        other = await asked(net, "kube-dns.kube-system.svc.cluster.local", tcp=tcp)
        assert other[:2] == ("NOERROR", ["10.97.0.10"])
        assert other[2] < 0.25
        reading = net.executor.in_force("abcdefgh01", change)
        assert reading.ok
        assert reading.figures["spoiled"] == 1
        assert Readings(net.lab, net.executor).ask(Counters("abcdefgh01")).packets == 2
        net.take_back()
        net.take_back()
        assert (await asked(net, tcp=tcp))[:2] == ("NOERROR", ["10.97.1.5"])
        assert net.executor.snapshot() == before
        assert not net.executor.in_force("abcdefgh01", change).ok

    small_lab(body)


def test_dns_refusals(small_lab):
    async def body(net: Net) -> None:
        site = net.site("dns")
        for change in (
            DnsAnswer(site, "lie"), DnsAnswer(site, "slow"), DnsAnswer(site, "wrong", answer="here"),
            DnsAnswer(site, "drop", "a..b"), DnsAnswer(site, "drop", "x" * 80),
        ):  # fmt: skip
            with pytest.raises(InputError):
                net.executor.prepare("abcdefgh01", change)
        with pytest.raises(Unsupported):
            net.executor.prepare("abcdefgh01", DnsAnswer(net.site("w-1"), "drop"))

    small_lab(body)


def _deny(name: str = "deny") -> Object:
    manifest = {
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"podSelector": {"matchLabels": {"app": "b"}}, "policyTypes": ["Ingress"]},
    }  # fmt: skip
    return Object("west", "apply", "NetworkPolicy", "shop", name, json.dumps(manifest))


def test_a_policy_applied_acts_and_goes(small_lab):
    async def body(net: Net) -> None:
        before = net.executor.snapshot()
        assert net.udp("a", "b") == 1
        change = _deny()
        net.make(change)
        assert net.executor.in_force("abcdefgh01", change).ok
        assert net.udp("a", "b") == 0
        net.take_back()
        net.take_back()
        assert net.udp("a", "b") == 1
        assert net.executor.snapshot() == before

    small_lab(body)


@pytest.mark.parametrize("action", ["patch", "delete"])
def test_an_object_changed_comes_back_exactly(small_lab, action):
    async def body(net: Net) -> None:
        before = net.executor.snapshot()
        patch = json.dumps({"spec": {"ports": [{"port": 81, "targetPort": 8080, "protocol": "TCP"}]}}) if action == "patch" else ""
        change = Object("west", action, "Service", "shop", "b", patch)
        net.make(change)
        assert net.executor.in_force("abcdefgh01", change).ok
        assert net.tcp("a", "b", 8080, to=("10.97.1.5", 80)) != "open"
        net.take_back()
        assert net.tcp("a", "b", 8080, to=("10.97.1.5", 80)) == "open"
        assert net.executor.snapshot() == before

    small_lab(body)


def test_a_label_that_drifts_takes_the_pod_out_of_its_service(small_lab):
    async def body(net: Net) -> None:
        before = net.executor.snapshot()
        pod = net.site("b")
        change = Object("west", "patch", "Pod", "shop", pod.name, json.dumps({"metadata": {"labels": {"app": "drifted"}}}))
        readings, view = Readings(net.lab, net.executor), ServiceView("west", "shop", "b")
        whole = readings.ask(view)
        assert whole == ServiceSeen((pod.addresses[0],), (pod.addresses[0],), (("w-1", pod.addresses), ("w-2", pod.addresses)))
        net.make(change)
        assert readings.ask(view).programmed == (("w-1", ()), ("w-2", ()))
        net.take_back()
        assert readings.ask(view) == whole
        assert net.executor.snapshot() == before

    small_lab(body)


def test_a_moved_pod_comes_home(small_lab):
    async def body(net: Net) -> None:
        before, pod = net.executor.snapshot(), net.site("b")
        net.make(Object("west", "patch", "Pod", "shop", pod.name, json.dumps({"spec": {"nodeName": "w-1"}})))
        assert net.site("b").node == "w-1"
        # A new cable carries nothing until the kernel has noticed it (linkwatch).
        await until(lambda: net.udp("a", "b") == 1)
        net.take_back()
        assert net.site("b") == pod
        await until(lambda: net.udp("a", "b") == 1)
        assert net.executor.snapshot() == before

    small_lab(body)


def test_a_fault_at_a_pod_that_moves_away_can_still_be_undone(small_lab):
    async def body(net: Net) -> None:
        before, pod = net.executor.snapshot(), net.site("b")
        net.make(Filter(pod, "ingress", Match()), Sysctl(pod, "net.ipv4.tcp_mtu_probing", "1"))
        moved = Object("west", "patch", "Pod", "shop", pod.name, json.dumps({"spec": {"nodeName": "w-1"}}))
        net.make(moved, ticket="abcdefgh02")
        net.take_back("abcdefgh01")
        net.take_back("abcdefgh02")
        assert net.executor.snapshot() == before

    small_lab(body)


def test_an_object_that_somebody_changed_since_is_left_and_named(small_lab):
    async def body(net: Net) -> None:
        change = _deny()
        net.make(change)
        net.lab.store.patch("west", "NetworkPolicy", "shop", "deny", {"metadata": {"labels": {"mine": "yes"}}})
        with pytest.raises(ResidueLeft, match=r"NetworkPolicy west/shop/deny was changed by somebody else"):
            net.take_back()
        assert net.lab.store.get("west", "NetworkPolicy", "shop", "deny") is not None

    small_lab(body)


def test_an_object_that_changed_between_prepare_and_do_is_refused(small_lab):
    async def body(net: Net) -> None:
        change = Object("west", "patch", "Service", "shop", "b", json.dumps({"metadata": {"labels": {"x": "y"}}}))
        undo = net.executor.prepare("abcdefgh01", change)
        net.executor.arm("abcdefgh01", [undo], 60)
        net.lab.store.patch("west", "Service", "shop", "b", {"metadata": {"labels": {"z": "y"}}})
        with pytest.raises(Refused, match="has changed since"):
            net.executor.do("abcdefgh01", change, undo)

    small_lab(body)


def test_object_refusals(small_lab):
    async def body(net: Net) -> None:
        for change in (
            Object("south", "delete", "Service", "shop", "b"), Object("west", "delete", "Service", "shop", "nobody"),
            Object("west", "apply", "Service", "shop", "b", "{"), Object("west", "patch", "Service", "shop", "b", "{}"),
            Object("west", "apply", "Service", "shop", "b", json.dumps({"kind": "Pod", "metadata": {"name": "x"}})),
        ):  # fmt: skip
            with pytest.raises((InputError, Refused)):
                net.executor.prepare("abcdefgh01", change)
        manifest = {"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": {"name": "p", "namespace": "shop"}}
        foreign = Object("west", "apply", "CiliumNetworkPolicy", "shop", "p", json.dumps(manifest))
        with pytest.raises(Unsupported, match="CiliumNetworkPolicy west/shop/p: the lab keeps such objects and acts on none"):
            net.executor.prepare("abcdefgh01", foreign)

    small_lab(body)


def test_answers_about_state(small_lab):
    async def body(net: Net) -> None:
        readings = Readings(net.lab, net.executor)
        table = readings.ask(Routes(net.site("w-1")))
        assert isinstance(table, RouteTable)
        entry = next(route for route in table.routes if route.destination == "10.0.2.0/24")
        assert (entry.via, entry.interface, entry.protocol) == ("192.168.10.12", "eth0", "static")
        assert readings.ask(Routes(net.site("w-1"), "bird")).routes == ()
        await net.lab.routing.refresh()
        assert readings.ask(Bgp()).sessions == ()
        use = readings.ask(Conntrack(net.site("w-1")))
        net.udp("a", "b")
        assert readings.ask(Conntrack(net.site("w-1"))).used > use.used
        assert use.limit > 1000
        with pytest.raises(Unsupported):
            readings.ask(Load(None))

    small_lab(body)


@pytest.mark.slow
def test_bgp_sessions_with_bird(small_lab):
    async def body(net: Net) -> None:
        readings = Readings(net.lab, net.executor)
        sessions = readings.ask(Bgp((net.site("w-1"),))).sessions
        assert sessions
        assert all(session.established and session.hold_time == 3 for session in sessions)
        net.make(DaemonState(net.site("w-1"), "bird"))
        assert readings.ask(Bgp((net.site("w-1"),))).sessions == ()
        net.take_back()
        await until(lambda: [s.established for s in readings.ask(Bgp((net.site("w-1"),))).sessions] == [True] * len(sessions), 15)
        assert any(route.via for route in readings.ask(Routes(net.site("w-1"), "bird")).routes)

    small_lab(body, bgp=True)
