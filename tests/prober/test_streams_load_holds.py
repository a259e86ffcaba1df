"""Streams, throughput, load and held connections: each in a good world and in the bad ones that must show."""

import array
import asyncio
import fcntl
import socket
import struct

import pytest

from chaosnet.errors import TargetError
from chaosnet.model.question import Load, Stream, Throughput
from chaosnet.targets.lab.percentiles import percentile
from chaosnet.targets.lab.servers import Serving

pytestmark = pytest.mark.lab
CLIENT, WEB, DB, TRANSIT = "test/shop/client", "prod/prod-ns/web", "prod/prod-ns/db", "transit"


def stream(live, protocol="udp", rule="", rate=400, seconds=0.5, size=100, where=TRANSIT, to=WEB):
    async def scenario(world):
        if rule:
            world.drop(where, rule)
        return await world.prober.ask(Stream(world.edge(protocol, 9000 if protocol == "udp" else 0, to), rate, seconds, size))

    return live(scenario)


@pytest.mark.parametrize(("protocol", "size"), [("udp", 0), ("udp", 1400), ("udp", 4000), ("icmp", 100), ("icmp", 1400)])
def test_a_good_path_loses_nothing(live, protocol, size):
    seen = stream(live, protocol, size=size)
    assert (seen.sent, seen.forward, seen.received) == (200, 200, 200)
    assert (seen.duplicates, seen.out_of_order, seen.corrupted) == (0, 0, 0)
    assert 0 < seen.p50 <= seen.p95 <= seen.p99 < 1


@pytest.mark.parametrize("protocol", ["udp", "icmp"])
def test_loss_is_known_by_direction(live, protocol):
    there = stream(live, protocol, "ip daddr 10.1.1.5 numgen inc mod 4 0 drop")
    assert (there.forward, there.received) == (150, 150)
    back = stream(live, protocol, "ip saddr 10.1.1.5 numgen inc mod 4 0 drop")
    assert (back.forward, back.received) == (200, 150)
    nothing = stream(live, protocol, "ip daddr 10.1.1.5 drop")
    assert (nothing.sent, nothing.forward, nothing.received, nothing.p99) == (200, 0, 0, 0.0)


def test_duplicates_are_counted(live):
    """Every other answer comes twice."""

    async def scenario(world):
        world.nft(TRANSIT, (
            "table ip t {\n chain c {\n type filter hook forward priority 0;\n"
            'ip saddr 10.1.1.5 udp sport 9000 numgen inc mod 2 0 dup to 192.168.10.11 device "test"\n }\n}'
        ))  # fmt: skip
        return await world.prober.ask(Stream(world.edge("udp", 9000), 400, 0.5, 100))

    seen = live(scenario)
    assert (seen.received, seen.duplicates) == (200, 100)


def without_checksum_offload(world, name, device):
    """Real checksums on a veth, whose packets otherwise are never checked (ethtool(8), ETHTOOL_STXCSUM)."""
    value = array.array("I", [0x17, 0])
    request = struct.pack("16sP", device.encode(), value.buffer_info()[0])
    with world.spaces.inside(name), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, 0x8946, request)


@pytest.mark.parametrize(("device", "forward"), [("test", 0), ("prod", 200)])
def test_corruption_is_not_loss(live, device, forward):
    """A payload byte is overwritten, there or back; a checksum would turn it into loss, but streams go without."""

    async def scenario(world):
        for name in (CLIENT, WEB):
            without_checksum_offload(world, name, "eth0")
        # Behind 14 bytes of Ethernet, 20 of IP, 8 of UDP and 16 of our own head: a byte of the body.
        world.nft(TRANSIT, (
            f'table netdev t {{\n chain c {{\n type filter hook ingress device "{device}" priority 0;\n'
            "meta protocol ip @ll,784,8 set 0xff\n }\n}"
        ))  # fmt: skip
        return await world.prober.ask(Stream(world.edge("udp", 9000), 400, 0.5, 100))

    seen = live(scenario)
    assert (seen.sent, seen.forward) == (200, forward)
    assert seen.corrupted + seen.received == 200
    assert seen.corrupted >= 199  # the byte may have had that value
    assert seen.duplicates == 0


def test_a_refused_stream_is_lost(live):
    seen = stream(live, to=DB)
    assert (seen.sent, seen.forward, seen.received) == (200, 0, 0)


def test_what_cannot_be_streamed_is_an_error(live):
    async def scenario(world):
        for edge, rate, size in ((world.edge("tcp", 9000), 100, 100), (world.edge("udp", 9000), 0, 100),
                                 (world.edge("udp", 9000), 100, 70000), (world.edge("udp", 9000, DB + "x"), 100, 100)):  # fmt: skip
            with pytest.raises(TargetError):
                await world.prober.ask(Stream(edge, rate, 0.1, size))
        with pytest.raises(TargetError):
            await world.prober.ask(Throughput(world.edge("udp", 9000), 0.1))
        with pytest.raises(TargetError):
            await world.prober.ask(Load(world.edge("icmp"), 10, 0.1))

    live(scenario)


def test_throughput_feels_a_rate_limit_and_a_block(live):
    async def scenario(world):
        free = await world.prober.ask(Throughput(world.edge("tcp", 9000), 0.4))
        web = await world.prober.ask(Throughput(world.edge("http", 8080), 0.2))
        world.run(TRANSIT, "tc", "qdisc", "add", "dev", "prod", "root", "tbf", "rate", "20mbit", "burst", "16kb", "latency", "50ms")
        slow = await world.prober.ask(Throughput(world.edge("tcp", 9000), 0.6))
        world.drop(TRANSIT, "ip daddr 10.1.1.5 drop")
        cut = await world.prober.ask(Throughput(world.edge("tcp", 9000), 0.3))
        return free.bits_per_second, web.bits_per_second, slow.bits_per_second, cut.bits_per_second

    free, web, slow, cut = live(scenario)
    assert free > 100e6
    assert web > 100e6
    assert 15e6 < slow < 24e6
    assert cut == 0


def test_a_load_counts_what_became_of_each_request(live):
    async def scenario(world):
        good = await world.prober.ask(Load(world.edge("http", 8080, send=500), 100, 1.0, 0.5))
        asking = asyncio.create_task(world.prober.ask(Load(world.edge("http", 8080), 100, 1.0, 0.2)))
        await asyncio.sleep(0.35)
        world.servers.serve(WEB, ())
        await asyncio.sleep(0.3)
        world.servers.serve(WEB, (Serving(8080, "http"),))
        world.drop(TRANSIT, "ip daddr 10.1.1.5 drop")
        bad = await asking
        return good, bad

    good, bad = live(scenario)
    assert (good.requests, good.succeeded, good.outcomes) == (100, 100, (("open", 100),))
    assert 0 < good.p50 <= good.p95 <= good.p99 < 0.5
    counts = dict(bad.outcomes)
    assert sum(counts.values()) == bad.requests == 100
    assert bad.succeeded == counts["open"]
    for state in ("open", "refused", "timed out"):
        assert 20 <= counts[state] <= 50, counts


def test_latency_counts_from_the_appointed_time(live):
    """A stall of the whole process delays the requests behind it, and their latency must say so."""

    async def scenario(world):
        asking = asyncio.create_task(world.prober.ask(Load(world.edge("tcp", 9000), 100, 1.0, 1.0)))
        await asyncio.sleep(0.3)
        until = asyncio.get_running_loop().time() + 0.3
        while asyncio.get_running_loop().time() < until:
            pass  # the whole loop stands still
        return await asking

    seen = live(scenario)
    assert seen.succeeded == 100
    assert seen.p95 > 0.15


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_other_loads(live, protocol):
    async def scenario(world):
        return await world.prober.ask(Load(world.edge(protocol, 9000, send=100), 200, 0.3))

    assert live(scenario).succeeded == 60


async def becomes(world, wanted, seconds=3.0):
    """Wait until the held connections are in the wanted states; the last states seen."""
    until = asyncio.get_running_loop().time() + seconds
    while True:
        states = {one.edge: one.state.value for one in world.prober.held()}
        if states == wanted or asyncio.get_running_loop().time() > until:
            return states
        await asyncio.sleep(0.02)


def test_held_connections_tell_established_flows_from_new_ones(live):
    async def scenario(world):
        edges = [world.edge("tcp", 9000), world.edge("http", 8080)]
        world.track(TRANSIT)
        world.prober.hold([*edges, world.edge("tcp", 1, name="closed"), world.edge("udp", 9000)], 0.05, 0.3)
        rest = {"closed": "refused", "udp": "unknown"}
        seen = [await becomes(world, {"tcp": "open", "http": "open", **rest})]
        # Behind an established accept the held ones live on, and new ones do not come through.
        world.drop(TRANSIT, "ct state established accept\n ip daddr 10.1.1.5 drop")
        await asyncio.sleep(0.5)
        seen.append({one.edge: one.state.value for one in world.prober.held()})
        fresh = [one.state.value for one in await world.reach(*edges)]
        world.lift(TRANSIT)
        # A plain drop stops both; TCP goes on by itself once it is gone.
        world.drop(TRANSIT, "ip daddr 10.1.1.5 drop")
        seen.append(await becomes(world, {"tcp": "timed out", "http": "timed out", **rest}))
        world.lift(TRANSIT)
        seen.append(await becomes(world, {"tcp": "open", "http": "open", **rest}, 8))
        world.servers.serve(WEB, ())
        seen.append(await becomes(world, {"tcp": "reset", "http": "reset", **rest}))
        world.prober.hold((), 1, 1)
        seen.append({one.edge: one.state.value for one in world.prober.held()})
        return seen, fresh

    seen, fresh = live(scenario)
    rest = {"closed": "refused", "udp": "unknown"}
    assert fresh == ["timed out", "timed out"]
    assert seen == [
        {"tcp": "open", "http": "open", **rest},
        {"tcp": "open", "http": "open", **rest},
        {"tcp": "timed out", "http": "timed out", **rest},
        {"tcp": "open", "http": "open", **rest},
        {"tcp": "reset", "http": "reset", **rest},
        {},
    ]


def test_percentiles_are_values_that_were_seen():
    values = [float(n) for n in range(1, 101)]
    assert [percentile(values, share) for share in (0.5, 0.95, 0.99, 1.0)] == [50.0, 95.0, 99.0, 100.0]
    assert percentile([], 0.5) == 0.0
    assert percentile([3.0], 0.01) == 3.0
