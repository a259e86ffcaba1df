"""Filter, Rewrite and ConntrackPressure in a real lab: they do to packets what they say, and leave nothing behind."""

from dataclasses import replace

import pytest
from executor_traffic import Net

from chaosnet.errors import Refused
from chaosnet.model.change import ConntrackPressure, Filter, Match, Rewrite
from chaosnet.model.question import Conntrack, ConntrackUse, Counted, Counters
from chaosnet.targets.lab.readings import Readings

pytestmark = pytest.mark.lab


@pytest.mark.parametrize(
    ("place", "direction"),
    [("a", "egress"), ("b", "ingress"), ("w-1", "egress"), ("w-2", "ingress")],
)
def test_drop_cuts_its_packets_only_and_goes_whole(small_lab, place, direction):
    async def body(net: Net) -> None:
        before = net.executor.snapshot()
        assert net.udp("a", "b") == 1
        change = Filter(net.site(place), direction, Match((net.address("a"),), (net.address("b"),)))
        net.make(change)
        reading = net.executor.in_force("abcdefgh01", change)
        assert reading.ok, reading.sentence
        assert net.udp("a", "b", 5) == 0
        assert net.udp("c", "b") == 1, "another pod's packets were cut too"
        assert net.udp("b", "a") == 1, "the other direction was cut too"
        counted = Readings(net.lab, net.executor).ask(Counters("abcdefgh01"))
        assert counted == Counted(5, 5 * 36, (5,))
        assert len(net.executor.owned()) == 1
        net.take_back()
        assert net.udp("a", "b") == 1
        assert not net.executor.in_force("abcdefgh01", change).ok
        net.take_back()
        assert net.executor.snapshot() == before
        assert net.executor.owned() == ()

    small_lab(body)


@pytest.mark.parametrize("place", ["a", "b", "w-1", "w-2", "r-west"])
def test_everything_both_ways_isolates_a_place_and_spares_the_rest(small_lab, place):
    async def body(net: Net) -> None:
        pair = ("b", "d") if place == "r-west" else ("a", "b")
        assert net.udp(*pair) == 1
        net.make(Filter(net.site(place), "ingress", Match()), Filter(net.site(place), "egress", Match()))
        assert net.udp(*pair, 2) == 0
        assert net.udp(*reversed(pair), 2) == 0
        if place.startswith("w"):
            own = {"w-1": ("a", "c"), "w-2": ("b", "dns")}[place]
            assert net.udp(*own) == 1, "a node's own pods reach each other without its uplink"
        net.take_back()
        assert net.udp(*pair) == 1

    small_lab(body)


def test_a_share_is_lost_once_and_not_twice(small_lab):
    async def body(net: Net) -> None:
        site = net.site("w-1")
        net.make(Filter(site, "ingress", Match(), share=0.3), Filter(site, "egress", Match(), share=0.3))
        lost = 1 - net.udp("a", "b", 2000) / 2000
        assert 0.25 < lost < 0.35, lost
        lost = 1 - net.udp("b", "a", 2000) / 2000
        assert 0.25 < lost < 0.35, lost

    small_lab(body)


@pytest.mark.parametrize("place", ["a", "w-1", "b"])
def test_reject_resets_tcp_and_answers_udp(small_lab, place):
    async def body(net: Net) -> None:
        direction = "ingress" if place == "b" else "egress"
        assert net.tcp("a", "b") == "open"
        net.make(Filter(net.site(place), direction, Match(destinations=(net.address("b"),)), verdict="reject"))
        assert net.tcp("a", "b") == "refused"
        with net.socket("a") as out:
            out.settimeout(1)
            out.connect((net.address("b"), 7005))
            with pytest.raises(OSError, match="host|perm|refused|Permission"):
                for _ in range(3):
                    out.send(b"x")
                    out.recv(10)
        net.take_back()
        assert net.tcp("a", "b") == "open"

    small_lab(body)


def test_ports_of_either_side(small_lab):
    async def body(net: Net) -> None:
        change = Filter(net.site("w-1"), "egress", Match(protocol="tcp", ports=(7179,), side="either"))
        net.make(change)
        assert net.tcp("a", "b", 7179) == "timed out"
        assert net.tcp("a", "b", 7180, mine=7179) == "timed out"
        assert net.tcp("a", "b", 7180) == "open"
        net.take_back()
        net.make(replace(change, match=replace(change.match, side="destination")), ticket="abcdefgh02")
        assert net.tcp("a", "b", 7181, mine=7179) == "open"
        assert net.tcp("a", "b", 7179) == "timed out"

    small_lab(body)


def test_behind_established_accept_live_flows_go_on(small_lab):
    async def body(net: Net) -> None:
        change = Filter(net.site("w-1"), "egress", Match(protocol="tcp"), after_established=True)
        out, there = net.connected("a", "b")
        net.make(change)
        out.send(b"alive")
        assert there.recv(10) == b"alive"
        assert net.tcp("a", "b") == "timed out"
        net.take_back()
        net.make(replace(change, after_established=False), ticket="abcdefgh02")
        out.send(b"cut")
        with pytest.raises(TimeoutError):
            there.recv(10)

    small_lab(body)


def test_untrack_makes_a_service_unreachable_and_pods_not(small_lab):
    async def body(net: Net) -> None:
        service = ("10.97.1.5", 80)
        assert net.tcp("a", "b", 8080, to=service) == "open"
        net.make(Filter(net.site("w-1"), "ingress", Match(destinations=(service[0],)), verdict="untrack"))
        assert net.tcp("a", "b", 8080, to=service) in ("timed out", "ENETUNREACH", "EHOSTUNREACH")
        assert net.tcp("a", "b", 8080) == "open"
        net.take_back()
        assert net.tcp("a", "b", 8080, to=service) == "open"

    small_lab(body)


def test_cutting_a_service_by_its_address_and_backends(small_lab):
    async def body(net: Net) -> None:
        both = Match(destinations=("10.97.1.5", net.address("b")))
        for number, (place, direction) in enumerate([("a", "egress"), ("w-1", "egress"), ("w-2", "ingress"), ("b", "ingress")]):
            ticket = f"abcdefgh0{number}"
            net.make(Filter(net.site(place), direction, both), ticket=ticket)
            assert net.tcp("a", "b", 8080, to=("10.97.1.5", 80)) == "timed out", place
            net.take_back(ticket)
        assert net.tcp("a", "b", 8080, to=("10.97.1.5", 80)) == "open"

    small_lab(body)


def test_overlay_packets_are_met_inside_the_tunnel(small_lab):
    async def body(net: Net) -> None:
        assert net.udp("a", "b") == 1
        net.make(Filter(net.site("w-1"), "egress", Match((net.address("a"),), (net.address("b"),))))
        assert net.udp("a", "b") == 0
        net.take_back()
        net.make(Filter(net.site("w-1"), "egress", Match(), share=0.3), ticket="abcdefgh02")
        lost = 1 - net.udp("a", "b", 2000) / 2000
        assert 0.25 < lost < 0.35, lost

    small_lab(body, overlay="vxlan")


def test_rewrite_gives_new_flows_another_source(small_lab):
    async def body(net: Net) -> None:
        before = net.executor.snapshot()
        change = Rewrite(net.site("w-1"), Match(destinations=("10.1.0.0/16",)), net.address("w-1"))
        assert net.seen_source("a", "d") == net.address("a")
        net.make(change)
        assert net.executor.in_force("abcdefgh01", change).ok
        assert net.seen_source("a", "d") == net.address("w-1")
        assert net.seen_source("a", "b") == net.address("a")
        net.take_back()
        assert net.seen_source("a", "d") == net.address("a")
        assert net.executor.snapshot() == before

    small_lab(body)


def test_pressure_counts_what_was_there_before(small_lab):
    async def body(net: Net) -> None:
        before = net.executor.snapshot()
        kept = [net.connected("a", "b", 7300 + number) for number in range(3)]
        change = ConntrackPressure(net.site("w-1"), 5, Match(protocol="tcp", destinations=(net.address("b"),)))
        net.make(change)
        kept += [net.connected("a", "b", 7310 + number) for number in range(2)]
        assert net.tcp("a", "b") == "timed out"
        assert net.tcp("a", "d") == "open"
        kept[0][0].send(b"on")
        assert kept[0][1].recv(9) == b"on"
        seen = Readings(net.lab, net.executor).ask(Conntrack(net.site("w-1")))
        assert isinstance(seen, ConntrackUse)
        assert seen.limit == 5
        assert seen.dropped >= 1
        assert seen.used >= 5
        assert "ct count" in seen.stand_in
        net.take_back()
        assert net.tcp("a", "b") == "open"
        assert net.executor.snapshot() == before

    small_lab(body)


def test_a_table_of_the_tickets_name_that_is_not_ours_is_left_alone(small_lab):
    async def body(net: Net) -> None:
        nft = net.lab.namespaces.nft(net.space("w-1"))
        nft.run("add table inet chaosnet_abcdefgh01; add table inet chaosnet_mine; add table ip chaosnet_backup_of_june")
        with pytest.raises(Refused, match="chaosnet_abcdefgh01 is there already"):
            net.executor.prepare("abcdefgh01", Filter(net.site("w-1"), "egress", Match()))
        nft.run("delete table inet chaosnet_abcdefgh01")
        net.make(Filter(net.site("w-1"), "egress", Match()))
        net.take_back()
        assert net.executor.panic() == ()
        assert {"chaosnet_mine", "chaosnet_backup_of_june"} <= {name for _, name in nft.tables()}

    small_lab(body)
