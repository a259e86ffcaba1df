"""LinkMtu and RouteMtu in a real lab: what fits and what does not, and everything as before afterwards."""

import pytest
from executor_traffic import Net, until

from chaosnet.errors import InputError, Refused, Unsupported
from chaosnet.model.change import Filter, LinkMtu, Match, RouteMtu
from chaosnet.model.inventory import Site
from chaosnet.targets.lab import netlink

pytestmark = pytest.mark.lab


@pytest.mark.parametrize("place", ["a", "b", "w-1", "w-2", "link"])
def test_link_mtu_cuts_both_ways_and_comes_back(small_lab, place):
    async def body(net: Net) -> None:
        before = net.executor.snapshot()
        pair = ("a", "d") if place == "link" else ("a", "b")
        site = Site("router", "west", "", "r-west", interface="r-east") if place == "link" else net.site(place)
        assert net.biggest(*pair, 1400, 1500) == 1500
        change = LinkMtu(site, 1400)
        net.make(change)
        assert net.executor.in_force("abcdefgh01", change).ok
        assert len(net.executor.owned()) == 1
        assert net.biggest(*pair, 1400, 1500) == 1400
        assert net.biggest(*reversed(pair), 1400, 1500) <= 1400
        net.take_back()
        net.take_back()
        assert net.biggest(*pair, 1400, 1500) == 1500
        assert net.executor.snapshot() == before
        assert net.executor.owned() == ()

    small_lab(body)


def test_what_somebody_set_meanwhile_stays(small_lab):
    async def body(net: Net) -> None:
        net.make(LinkMtu(net.site("a"), 1400))
        wire = net.lab.namespaces.netlink(net.space("a"))
        wire.set_mtu(wire.link("eth0").index, 1300)
        net.take_back()
        assert wire.link("eth0").mtu == 1300

    small_lab(body)


def test_refusals(small_lab):
    async def body(net: Net) -> None:
        executor = net.executor
        with pytest.raises(Refused, match="1500 already"):
            executor.prepare("abcdefgh01", LinkMtu(net.site("a"), 1500))
        with pytest.raises(Unsupported, match="several interfaces"):
            executor.prepare("abcdefgh01", LinkMtu(net.site("r-west"), 1400))
        with pytest.raises(InputError):
            executor.prepare("abcdefgh01", LinkMtu(net.site("a"), 100))
        with pytest.raises(Refused, match="everything"):
            executor.prepare("abcdefgh01", RouteMtu(net.site("a"), ("0.0.0.0/0",), 1400))
        with pytest.raises(InputError):
            executor.prepare("abcdefgh01", RouteMtu(net.site("a"), (), 1400))
        with pytest.raises(Refused, match="no route"):
            executor.prepare("abcdefgh01", RouteMtu(net.site("r-west"), ("203.0.113.0/24",), 1400))
        net.make(LinkMtu(net.site("a"), 1400))
        with pytest.raises(Refused, match=r"the fault abcdefgh01 holds the MTU of eth0.*chaosnet undo abcdefgh01"):
            executor.prepare("abcdefgh02", LinkMtu(net.site("a"), 1300))

    small_lab(body)


@pytest.mark.parametrize("place", ["a", "w-1", "r-west"])
@pytest.mark.parametrize("destination", ["10.1.1.5", "10.1.1.0/24", "10.1.0.0/16"])
def test_route_mtu_shrinks_the_way_there_and_nothing_else(small_lab, place, destination):
    async def body(net: Net) -> None:
        before = net.executor.snapshot()
        assert net.biggest("a", "d", 1400, 1500, heed=place == "a") == 1500
        change = RouteMtu(net.site(place), (destination,), 1400)
        net.make(change)
        reading = net.executor.in_force("abcdefgh01", change)
        assert reading.ok, reading.sentence
        assert net.biggest("a", "d", 1400, 1500, heed=place == "a") == 1400
        assert net.biggest("a", "b", 1400, 1500) == 1500
        assert net.biggest("d", "a", 1400, 1500) == 1500
        assert any("protocol 199" in line for line in net.executor.owned())
        net.take_back()
        net.take_back()
        assert net.biggest("a", "d", 1400, 1500, heed=place == "a") == 1500
        assert net.executor.snapshot() == before

    small_lab(body)


def test_a_route_of_the_same_prefix_and_metric_stays_behind_ours(small_lab):
    async def body(net: Net) -> None:
        before = net.executor.snapshot()
        net.make(RouteMtu(net.site("w-1"), (net.address("a"),), 1400))
        assert net.biggest("b", "a", 1400, 1500) == 1400
        net.take_back()
        assert net.executor.snapshot() == before
        assert net.biggest("b", "a", 1400, 1500) == 1500

    small_lab(body)


def test_black_hole_small_passes_large_hangs_and_forgetting_helps(small_lab):
    async def body(net: Net) -> None:
        site = net.site("w-1")
        net.make(
            Filter(site, "egress", Match(destinations=(net.address("a"),), icmp="fragmentation-needed")),
            RouteMtu(site, ("10.1.1.0/24",), 1400),
        )
        out, there = net.connected("a", "d")
        out.send(bytes(100))
        assert len(there.recv(4000)) == 100
        out.send(bytes(3000))
        with pytest.raises(TimeoutError):
            there.recv(4000)
        net.take_back()
        # A second fault, that tells: the pod learns the size, and keeps it after the undo until it is made to forget.
        net.make(RouteMtu(site, ("10.1.1.0/24",), 1400), ticket="abcdefgh02")
        with net.socket("a") as probe:
            probe.setsockopt(0, 10, 2)  # IP_MTU_DISCOVER, IP_PMTUDISC_DO
            probe.connect((net.address("d"), 9))
            probe.send(bytes(1472))
            await until(lambda: probe.getsockopt(0, 14) == 1400)  # IP_MTU
        net.take_back("abcdefgh02")
        with net.socket("a") as probe:
            probe.connect((net.address("d"), 9))
            assert probe.getsockopt(0, 14) == 1400
        said = net.executor.forget([net.site("a"), net.site("d")])
        assert any("path MTU" in line for line in said)
        with net.socket("a") as probe:
            probe.connect((net.address("d"), 9))
            assert probe.getsockopt(0, 14) == 1500

    small_lab(body)


def test_copies_follow_the_originals(small_lab):
    async def body(net: Net) -> None:
        wire = net.lab.namespaces.netlink("r-west")
        net.make(RouteMtu(net.site("r-west"), ("10.1.0.0/16",), 1400))

        def ours() -> list[str]:
            return [route.destination for route in wire.routes() if route.protocol == 199]

        assert ours() == ["10.1.1.0/24"]
        link = wire.link("r-east").index
        new = netlink.route("10.1.9.0/24", index=link, via="192.168.100.2", protocol=netlink.PROTOCOL_BIRD, metric=32)
        wire.send(new)
        await until(lambda: ours() == ["10.1.1.0/24", "10.1.9.0/24"])
        wire.send(netlink.route("10.1.1.0/24", index=link, via="192.168.100.2", delete=True))
        await until(lambda: ours() == ["10.1.9.0/24"])
        net.take_back()
        assert ours() == []
        # After the undo nobody follows any more.
        wire.send(netlink.route("10.1.8.0/24", index=link, via="192.168.100.2", protocol=netlink.PROTOCOL_BIRD))
        assert ours() == []

    small_lab(body)


@pytest.mark.slow
def test_birds_own_routes_stay_and_a_withdrawn_one_takes_its_copy_along(small_lab):
    async def body(net: Net) -> None:
        wire = net.lab.namespaces.netlink("west/w-1")
        theirs = [route for route in wire.routes() if route.protocol == netlink.PROTOCOL_BIRD]
        assert any(route.destination == "10.1.1.0/24" for route in theirs)
        assert net.biggest("a", "d", 1400, 1500) == 1500
        net.make(RouteMtu(net.site("w-1"), ("10.1.0.0/16",), 1400))
        assert net.biggest("a", "d", 1400, 1500) == 1400
        assert [route for route in wire.routes() if route.protocol == netlink.PROTOCOL_BIRD] == theirs
        net.lab.routing.stop("r-east")
        # The copy of 10.1.1.0/24 goes with it; what is left inside 10.1.0.0/16 leads where the default route leads.
        await until(lambda: "10.1.1.0/24" not in {r.destination for r in wire.routes() if r.protocol == 199}, 15)
        net.take_back()
        assert net.executor.owned() == ()

    small_lab(body, bgp=True)


def test_a_pods_own_packets_keep_the_dont_fragment_bit(small_lab):
    async def body(net: Net) -> None:
        net.lab.namespaces.nft("west/w-1").run(
            "table inet seen {\nchain c { type filter hook forward priority 0; "
            "ip saddr 10.0.1.5 tcp dport 7500 ip frag-off & 0x4000 == 0 counter; }\n}"
        )
        net.make(RouteMtu(net.site("a"), ("10.1.0.0/16",), 1400))
        out, there = net.connected("a", "d", 7500)
        out.send(bytes(3000))
        assert there.recv(4000)
        listed = net.lab.namespaces.nft("west/w-1").list("list table inet seen")["nftables"]
        (rule,) = [item["rule"] for item in listed if "rule" in item]
        assert [part["counter"]["packets"] for part in rule["expr"] if "counter" in part] == [0]

    small_lab(body)
