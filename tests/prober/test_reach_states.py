"""Reach: every state of every protocol, each brought about by its real cause."""

import asyncio
import os
import re
import socket
import time

import pytest

from chaosnet.model.edge import State
from chaosnet.targets.lab import exchanges
from chaosnet.targets.lab.attempts import Attempts

pytestmark = pytest.mark.lab
CLIENT, WEB_NAME = "test/shop/client", "prod/prod-ns/web"


def told(observations):
    return [(one.edge, one.state.value, one.detail) for one in observations]


def test_a_healthy_network_is_open(live):
    async def scenario(world):
        return told(await world.reach(
            world.edge("tcp", 9000),
            world.edge("tcp", 9000, name="upload", send=60000),
            world.edge("tcp", 9000, name="answer", receive=60000),
            world.edge("tcp", 8080, name="our line on an http port", send=3000, receive=3000),
            world.edge("http", 8080, name="get"),
            world.edge("http", 8080, name="post", send=100_000),
            world.edge("http", 8080, name="bytes", receive=300_000),
            world.edge("udp", 9000, name="small"),
            world.edge("udp", 9000, name="udp big", send=1400, receive=1472),
            world.edge("udp", 9000, name="udp fragments", send=5000, receive=9000),
            world.edge("icmp"),
            world.edge("icmp", name="full size", send=1472),
            world.edge("icmp", name="node", to="node:prod/prod-1"),
            world.edge("bgp", 179),
        ))  # fmt: skip

    assert {(state, detail) for _, state, detail in live(scenario)} == {("open", "")}


def test_nobody_listens(live):
    async def scenario(world):
        world.servers.serve(WEB_NAME, ())
        return told(await world.reach(
            world.edge("tcp", 9000), world.edge("http", 8080), world.edge("udp", 9000), world.edge("icmp"),
        ))  # fmt: skip

    assert live(scenario) == [
        ("tcp", "refused", ""),
        ("http", "refused", ""),
        ("udp", "refused", "ICMP port unreachable from 10.1.1.5"),
        ("icmp", "open", ""),
    ]


def test_a_dropped_packet_is_a_timeout_in_its_phase(live):
    async def scenario(world):
        world.drop("transit", "ip daddr 10.1.1.5 drop")
        return told(await world.reach(
            world.edge("tcp", 9000), world.edge("http", 8080), world.edge("udp", 9000), world.edge("icmp"),
        ))  # fmt: skip

    assert live(scenario) == [
        ("tcp", "timed out", "connect"),
        ("http", "timed out", "connect"),
        ("udp", "timed out", "answer"),
        ("icmp", "timed out", "answer"),
    ]


def test_what_is_lost_after_the_handshake_names_the_direction(live):
    async def scenario(world):
        world.drop("transit", "ip daddr 10.1.1.5 meta length > 200 drop")
        there = await world.reach(world.edge("tcp", 9000, send=1000), world.edge("http", 8080, send=1000))
        world.lift("transit")
        world.drop("transit", "ip saddr 10.1.1.5 meta length > 200 drop")
        back = await world.reach(world.edge("tcp", 9000, receive=1000), world.edge("http", 8080, receive=1000))
        return told(there), told(back)

    there, back = live(scenario)
    assert there[0] == ("tcp", "timed out", "send: 0 of 1000 bytes acknowledged")
    assert there[1][1] == "timed out"
    assert there[1][2].startswith("send: 0 of 1")
    assert back == [
        ("tcp", "timed out", "answer: 0 of 1000 bytes arrived"), ("http", "timed out", "answer: 0 of 1000 bytes arrived"),
    ]  # fmt: skip


def test_half_an_answer_is_no_answer(live):
    async def scenario(world):
        world.drop("transit", "ip saddr 10.1.1.5 quota over 30000 bytes drop")
        seen = await world.reach(world.edge("tcp", 9000, receive=60000))
        world.lift("transit")
        world.drop("transit", "ip saddr 10.1.1.5 quota over 30000 bytes drop")
        return told((*seen, *await world.reach(world.edge("http", 8080, receive=60000))))

    tcp, http = live(scenario)
    for seen in (tcp, http):
        assert seen[1] == "timed out"
        assert re.fullmatch(r"answer: [1-9]\d{3,4} of 60000 bytes arrived", seen[2])


def test_a_reject_is_a_refusal_and_says_who(live):
    async def scenario(world):
        world.drop("transit", "ip daddr 10.1.1.5 meta l4proto tcp reject with tcp reset")
        reset = await world.reach(world.edge("tcp", 9000), world.edge("http", 8080))
        world.lift("transit")
        world.drop("transit", "ip daddr 10.1.1.5 reject with icmpx type admin-prohibited")
        prohibited = await world.reach(world.edge("tcp", 9000), world.edge("udp", 9000), world.edge("icmp"))
        return told(reset), told(prohibited)

    reset, prohibited = live(scenario)
    assert reset == [("tcp", "refused", ""), ("http", "refused", "")]
    said = "ICMP administratively prohibited from 192.168.10.1"
    assert prohibited == [("tcp", "refused", said), ("udp", "refused", said), ("icmp", "refused", said)]


def test_a_reset_after_the_handshake(live):
    async def scenario(world):
        world.drop("transit", "tcp dport { 9000, 8080 } meta length > 60 reject with tcp reset")
        seen = told(await world.reach(world.edge("tcp", 9000, send=1000), world.edge("http", 8080)))
        bare = told(await world.reach(world.edge("tcp", 9000)))
        return seen, bare

    seen, bare = live(scenario)
    assert [(edge, state) for edge, state, _ in seen] == [("tcp", "reset"), ("http", "reset")]
    assert bare == [("tcp", "open", "")]


def test_no_route_is_no_refusal(live):
    async def scenario(world):
        world.run("transit", "ip", "route", "add", "unreachable", "10.1.1.5/32")
        remote = await world.reach(world.edge("tcp", 9000), world.edge("udp", 9000), world.edge("icmp"))
        world.run("transit", "ip", "route", "del", "unreachable", "10.1.1.5/32")
        local = []
        for kind in ("unreachable", "blackhole", "prohibit"):
            world.run("test/shop/client", "ip", "route", "add", kind, "10.1.1.5/32")
            local += await world.reach(world.edge("tcp", 9000), world.edge("udp", 9000), world.edge("icmp"))
            world.run("test/shop/client", "ip", "route", "del", kind, "10.1.1.5/32")
        return told(remote), told(local)

    remote, local = live(scenario)
    assert {state for _, state, _ in (*remote, *local)} == {"timed out"}
    assert {detail.partition(": ")[2] for _, _, detail in remote} == {"ICMP host unreachable from 192.168.10.1"}
    assert all("host" in detail for _, _, detail in local[:3])
    assert all("black hole" in detail for _, _, detail in local[3:6])


def test_a_pods_own_firewall(live):
    async def scenario(world):
        world.drop("test/shop/client", "ip daddr 10.1.1.5 drop", "output")
        return told(await world.reach(world.edge("tcp", 9000), world.edge("udp", 9000), world.edge("icmp")))

    seen = live(scenario)
    assert [state for _, state, _ in seen] == ["timed out"] * 3
    assert "own firewall" in seen[1][2]


def test_a_service_answers_wrongly(live):
    """Degraded: something answers, but not as asked: HTTP 503, too short an answer, or no HTTP at all."""

    def speak(world, port, answer):
        with world.spaces.inside("prod/prod-ns/db"):
            listener = socket.create_server(("0.0.0.0", port))
        listener.setblocking(False)

        def accept():
            peer, _ = listener.accept()
            peer.settimeout(1)
            peer.recv(1000)
            peer.sendall(answer)
            peer.close()
            world.poller.forget(listener.fileno())

        world.poller.watch(listener.fileno(), 1, lambda _: accept())

    async def scenario(world):
        db = "prod/prod-ns/db"
        speak(world, 8001, b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
        speak(world, 8002, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        speak(world, 8003, b"SSH-2.0-OpenSSH_9.2\r\n\r\n" + b"Content-Length: 1\r\n\r\nx")
        speak(world, 8004, b"some other server entirely, with its own greeting")
        speak(world, 8005, b"")
        speak(world, 8006, b"GOT")
        speak(world, 8007, b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\ncut short")
        return told(await world.reach(
            world.edge("http", 8001, db), world.edge("http", 8002, db, receive=100), world.edge("http", 8003, db),
            world.edge("tcp", 8004, db, send=10), world.edge("http", 8005, db), world.edge("tcp", 8006, db, send=10),
            world.edge("http", 8007, db),
        ))  # fmt: skip

    seen = live(scenario)
    assert seen[0] == ("http", "degraded", "HTTP 503")
    assert seen[1] == ("http", "degraded", "HTTP 200 with 5 of 100 bytes")
    assert seen[2] == ("http", "degraded", "the answer is not HTTP")
    assert seen[3] == ("tcp", "degraded", "the answer is not the one that was asked for")
    assert seen[4] == ("http", "reset", "closed without an answer")
    assert seen[5] == ("tcp", "reset", "closed after 3 of 7 bytes of the answer")
    assert seen[6] == ("http", "reset", "closed after 48 bytes of the answer")


def test_what_cannot_be_tried_is_unknown(live):
    async def scenario(world):
        return told(await world.reach(
            world.edge("tcp", 9000, to="prod/prod-ns/bare"),
            world.edge("tcp", 9000, to="prod/prod-ns/missing"),
            world.edge("tcp", 9000, source="prod/prod-ns/nowhere"),
            world.edge("udp", 9000, send=70000),
        ))  # fmt: skip

    seen = live(scenario)
    assert [state for _, state, _ in seen] == ["unknown"] * 4
    for (_, _, detail), said in zip(seen, ("no address", "selects nothing", "nowhere", "one datagram"), strict=True):
        assert said in detail


def test_an_address_nobody_has(live):
    async def scenario(world):
        return told(await world.reach(world.edge("tcp", 9000, to="prod/prod-ns/nowhere"), timeout=0.2))

    assert live(scenario)[0][1] == "timed out"


def test_bgp_is_what_the_lab_says(live):
    async def scenario(world):
        world.bgp = type(world.bgp)("", State.TIMED_OUT, 0.0, 0.0, "Active")
        return told(await world.reach(world.edge("bgp", 179)))

    assert live(scenario) == [("bgp", "timed out", "Active")]


def test_a_service_goes_to_its_cluster_address(live):
    async def scenario(world):
        service = "svc:prod/prod-ns/prod-svc"
        before = await world.reach(world.edge("http", 8080, service))
        world.nft("prod/prod-1", (
            "table ip lab_services {\n chain c {\n type nat hook prerouting priority -100;\n"
            "ip daddr 10.96.1.123 tcp dport 8080 dnat to 10.1.1.5:8080\n }\n }"
        ))  # fmt: skip
        return told(before), told(await world.reach(world.edge("http", 8080, service, send=3000)))

    before, after = live(scenario)
    assert before[0][1] == "timed out"
    assert after == [("http", "open", "")]


def test_nothing_is_left_behind(live):
    """No sockets of a reach table linger, on either side."""

    async def scenario(world):
        count = len(os.listdir("/proc/self/fd"))
        edges = [world.edge("tcp", 9000, name=str(n)) for n in range(200)]
        edges += [world.edge("tcp", 9000, name=f"x{n}", send=50) for n in range(200)]
        states = {one.state for one in await world.reach(*edges)}
        until = asyncio.get_running_loop().time() + 5
        while len(os.listdir("/proc/self/fd")) > count and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.01)
        waiting = [world.run(name, "ss", "-tanH", "exclude", "listening") for name in ("test/shop/client", "prod/prod-ns/web")]
        return states, len(os.listdir("/proc/self/fd")) - count, waiting

    states, more, waiting = live(scenario)
    assert states == {State.OPEN}
    assert more == 0
    assert waiting == ["", ""]


def test_time_in_which_the_prober_did_not_run_is_given_back(live):
    """A stall of the whole process (a busy machine, a long system call) is no outage; a strict deadline holds all the same."""

    async def scenario(world):
        attempts = Attempts(world.poller, asyncio.get_running_loop())
        world.drop("transit", "ip daddr 10.1.1.5 drop")
        taken = []
        for strict in (False, True):
            running = asyncio.create_task(attempts.run(exchanges.icmp(world.spaces, CLIENT, "10.1.1.5"), 0.3, strict))
            await asyncio.sleep(0.05)
            time.sleep(0.4)
            outcome, seconds = await running
            taken.append((outcome.state.value, seconds))
        return taken

    patient, strict = live(scenario)
    assert patient[0] == strict[0] == "timed out"
    assert patient[1] > 0.6
    assert strict[1] < 0.6


def test_more_edges_than_may_fly_at_once_in_a_world_where_all_hang(live, monkeypatch):
    """Descriptors are bounded; and a watch whose attempts all hang does not keep a reach table from its turn."""
    monkeypatch.setattr("chaosnet.targets.lab.prober._ABREAST", 20)

    async def scenario(world):
        world.drop("transit", "ip daddr 10.1.1.5 drop")
        edges = [world.edge("tcp", 9000, name=str(n)) for n in range(90)]
        before, fds = len(os.listdir("/proc/self/fd")), []

        async def look():
            while True:
                fds.append(len(os.listdir("/proc/self/fd")) - before)
                await asyncio.sleep(0.02)

        looking = asyncio.create_task(look())
        seen = await world.reach(*edges, timeout=0.1)
        looking.cancel()
        world.prober.watch(edges, 0.2, 2.0)
        await asyncio.sleep(0.3)
        async with asyncio.timeout(10):
            again = await world.reach(*edges, timeout=0.1)
        return [one.edge for one in seen], {one.state.value for one in (*seen, *again)}, max(fds)

    names, states, most = live(scenario)
    assert names == [str(n) for n in range(90)]
    assert states == {"timed out"}
    assert most <= 22
