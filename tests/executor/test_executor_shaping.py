"""Shape in a real lab: rates hold for the packets meant, at the right device, and foreign disciplines are not touched."""


import contextlib
import time

import pytest
from executor_traffic import Net

from chaosnet.errors import InputError, Refused, TargetError, Unsupported
from chaosnet.model.change import Match, Shape
from chaosnet.model.inventory import Site
from chaosnet.model.question import Counters
from chaosnet.targets.lab import qdiscs
from chaosnet.targets.lab.readings import Readings

pytestmark = pytest.mark.lab


def bits_a_second(net: Net, source: str, destination: str, seconds: float = 0.6) -> float:
    """What arrives when ``source`` sends datagrams as fast as it may."""
    with net.socket(source) as out, net.socket(destination) as there:
        there.bind((net.address(destination), 7400))
        there.setblocking(False)
        out.connect((net.address(destination), 7400))
        out.setblocking(False)
        arrived, began = 0, time.monotonic()
        first = last = 0.0
        while time.monotonic() < began + seconds:
            for attempt in (lambda: out.send(bytes(1000)), lambda: there.recv(2000)):
                try:
                    got = attempt()
                except (BlockingIOError, OSError):
                    continue
                if isinstance(got, bytes):
                    arrived, last = arrived + len(got) + 28, time.monotonic()
                    first = first or last
        return 8 * arrived / max(last - first, 1e-3)


@pytest.mark.parametrize(
    ("place", "direction"),
    [("a", "egress"), ("b", "ingress"), ("w-1", "egress"), ("w-2", "ingress"), ("link", "egress"), ("link far", "ingress")],
)
def test_a_rate_holds_for_what_it_means_and_only_that(small_lab, place, direction):
    async def body(net: Net) -> None:
        before = net.executor.snapshot()
        far = "d" if place.startswith("link") else "b"
        sites = {
            "link": Site("router", "west", "", "r-west", interface="r-east"),
            "link far": Site("router", "east", "", "r-east", interface="r-west"),
        }
        site = sites.get(place) or net.site(place)
        assert bits_a_second(net, "a", far, 0.2) > 20e6
        change = Shape(site, direction, Match(destinations=(net.address(far),), protocol="udp"), rate=4_000_000)
        net.make(change)
        assert net.executor.in_force("abcdefgh01", change).ok
        assert 3e6 < bits_a_second(net, "a", far) < 5e6
        assert bits_a_second(net, far, "a", 0.2) > 20e6, "the other direction was slowed too"
        if far == "b":
            assert bits_a_second(net, "a", "d", 0.2) > 20e6, "what goes elsewhere was slowed too"
        counted = Readings(net.lab, net.executor).ask(Counters("abcdefgh01"))
        assert counted.packets > 50
        assert counted.by_change == (counted.packets,)
        owned = net.executor.owned()
        assert any("table netdev chaosnet_abcdefgh01" in line for line in owned)
        assert any("qdisc c4a0:" in line for line in owned)
        net.take_back()
        net.take_back()
        assert bits_a_second(net, "a", far, 0.2) > 20e6
        assert not net.executor.in_force("abcdefgh01", change).ok
        assert net.executor.snapshot() == before

    small_lab(body)


def test_tcp_keeps_to_a_rate_whose_packets_are_larger_than_the_bucket(small_lab):
    async def body(net: Net) -> None:
        net.make(Shape(net.site("a"), "egress", rate=8_000_000))
        out, there = net.connected("a", "b")
        out.setblocking(False)
        there.setblocking(False)
        arrived, began = 0, time.monotonic()
        while time.monotonic() < began + 1.0:
            with contextlib.suppress(BlockingIOError):
                out.send(bytes(65536))
            try:
                arrived += len(there.recv(1 << 20))
            except BlockingIOError:
                time.sleep(0.001)
        assert 5e6 < 8 * arrived < 9e6, arrived

    small_lab(body)


def test_a_router_without_a_link_slows_all_it_forwards_once(small_lab):
    async def body(net: Net) -> None:
        net.make(Shape(net.site("r-west"), "ingress", Match(), rate=4_000_000))
        assert 3e6 < bits_a_second(net, "a", "d") < 5e6
        assert 3e6 < bits_a_second(net, "d", "a") < 5e6
        net.take_back()
        assert net.executor.owned() == ()

    small_lab(body)


def test_one_fault_shapes_two_streams_at_one_device(small_lab):
    async def body(net: Net) -> None:
        before = net.executor.snapshot()
        site = net.site("r-west")
        there, back = Match(destinations=(net.address("d"),)), Match(sources=(net.address("d"),))
        changes = Shape(site, "ingress", there, rate=2_000_000), Shape(site, "ingress", back, rate=8_000_000)
        net.make(*changes)
        assert all(net.executor.in_force("abcdefgh01", change).ok for change in changes)
        assert 1.5e6 < bits_a_second(net, "a", "d") < 2.5e6
        assert 6e6 < bits_a_second(net, "d", "a") < 10e6
        counted = Readings(net.lab, net.executor).ask(Counters("abcdefgh01"))
        assert min(counted.by_change) > 20
        net.take_back()
        assert net.executor.snapshot() == before

    small_lab(body)


def test_a_foreign_root_discipline_is_refused_and_survives(small_lab):
    async def body(net: Net) -> None:
        wire = net.lab.namespaces.netlink(net.space("w-1"))
        index = wire.link("eth0").index
        # Somebody's own token bucket, with a handle much like ours.
        wire.send(qdiscs.bucket(index, 10**9, qdiscs.ROOT))
        before = net.executor.snapshot()
        with pytest.raises(Refused, match="has a queueing discipline already"):
            net.executor.prepare("abcdefgh01", Shape(net.site("w-1"), "egress", rate=10**6))
        assert net.executor.panic() == ()
        assert net.executor.snapshot() == before

    small_lab(body)


def test_two_faults_do_not_share_a_device(small_lab):
    async def body(net: Net) -> None:
        net.make(Shape(net.site("w-1"), "egress", rate=10**6))
        with pytest.raises(Refused, match="abcdefgh01|queueing discipline"):
            net.executor.prepare("abcdefgh02", Shape(net.site("w-1"), "egress", Match(protocol="tcp"), rate=10**6))

    small_lab(body)


def test_netem_is_made_or_refused_with_the_sentence(small_lab):
    async def body(net: Net) -> None:
        change = Shape(net.site("a"), "egress", delay=0.05)
        missing = net.executor.missing()
        if missing:
            with pytest.raises(Unsupported, match="make test-vm"):
                net.executor.prepare("abcdefgh01", change)
            return
        net.make(change)
        with net.socket("a") as out, net.socket("b") as there:
            there.bind((net.address("b"), 7401))
            there.settimeout(1)
            began = time.monotonic()
            out.sendto(b"x", (net.address("b"), 7401))
            there.recv(9)
            assert 0.05 <= time.monotonic() - began < 0.15
        net.take_back()
        assert net.udp("a", "b") == 1

    small_lab(body)


def test_what_shapes_nothing_is_refused(small_lab):
    async def body(net: Net) -> None:
        site = net.site("a")
        for change in (Shape(site, "egress"), Shape(site, "sideways", rate=10**6)):
            with pytest.raises(InputError):
                net.executor.prepare("abcdefgh01", change)
        with pytest.raises((Refused, Unsupported)):
            net.executor.prepare("abcdefgh01", Shape(site, "egress", reorder=0.5))

    small_lab(body)


def test_the_kernel_refuses_to_remove_a_root_that_is_not_ours(small_lab):
    async def body(net: Net) -> None:
        wire = net.lab.namespaces.netlink(net.space("a"))
        index = wire.link("eth0").index
        wire.send(qdiscs.bucket(index, 10**9, qdiscs.ROOT))
        with pytest.raises(TargetError):
            wire.send(qdiscs.remove(index))

    small_lab(body)
