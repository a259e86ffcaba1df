"""DNS: answers, refusals, silence, truncation, and edges that go by name; against a server of the test's own."""

import asyncio
import select
import socket
import struct

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from chaosnet.model.question import Dns

pytestmark = pytest.mark.lab
CLIENT, DB = "test/shop/client", "prod/prod-ns/db"
NAME = "prod-svc.prod-ns.svc.cluster.local"


class NameServer:
    """Answers on UDP and TCP port 53 of the pod db, as ``mode`` says."""

    def __init__(self, world, mode="NOERROR", addresses=("10.1.1.5",)):
        self.world, self.mode, self.addresses = world, mode, addresses
        self.asked = []
        with world.spaces.inside(DB):
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.udp.bind(("0.0.0.0", 53))
            self.tcp = socket.create_server(("0.0.0.0", 53))
        for sock, handler in ((self.udp, self._datagram), (self.tcp, self._connection)):
            sock.setblocking(False)
            world.poller.watch(sock.fileno(), select.EPOLLIN, handler)

    def _answer(self, wire, by):
        query = dns.message.from_wire(wire)
        name = query.question[0].name
        self.asked.append((by, name.to_text(omit_final_dot=True)))
        reply = dns.message.make_response(query)
        if self.mode in ("NOERROR", "TRUNCATED", "STALE"):
            if self.addresses:
                reply.answer.append(dns.rrset.from_text(name, 5, "IN", "A", *self.addresses))
        else:
            reply.set_rcode(dns.rcode.from_text(self.mode))
        return reply

    def _datagram(self, _):
        wire, peer = self.udp.recvfrom(4096)
        if self.mode == "SILENT":
            return
        if self.mode == "RUBBISH":
            self.udp.sendto(b"\x00\x01nonsense", peer)
            return
        reply = self._answer(wire, "udp")
        if self.mode == "STALE":
            stale = dns.message.make_response(dns.message.from_wire(wire))
            stale.set_rcode(dns.rcode.SERVFAIL)
            stale.id ^= 1
            self.udp.sendto(stale.to_wire(), peer)
        if self.mode == "TRUNCATED":
            reply.answer.clear()
            reply.flags |= dns.flags.TC
        self.udp.sendto(reply.to_wire(), peer)

    def _connection(self, _):
        peer, _ = self.tcp.accept()
        peer.setblocking(False)
        seen = bytearray()

        def more(_):
            data = peer.recv(4096)
            seen.extend(data)
            if len(seen) > 2 and len(seen) >= 2 + int.from_bytes(seen[:2], "big"):
                reply = self._answer(bytes(seen[2:]), "tcp").to_wire()
                peer.sendall(struct.pack(">H", len(reply)) + reply)
                seen.clear()
            if not data:
                self.world.poller.forget(peer.fileno())
                peer.close()

        self.world.poller.watch(peer.fileno(), select.EPOLLIN, more)


def ask(live, mode, name="example.cluster.local", addresses=("10.1.1.5",), rule="", timeout=0.5):
    async def scenario(world):
        server = NameServer(world, mode, addresses) if mode else None
        if rule:
            world.drop("transit", rule)
        reply = await world.prober.ask(Dns(world.site(CLIENT), name, timeout))
        await asyncio.sleep(0)
        return reply, server.asked if server else []

    return live(scenario)


def test_an_answer(live):
    reply, asked = ask(live, "NOERROR", addresses=("10.1.1.5", "10.1.1.6"))
    assert (reply.rcode, sorted(reply.addresses)) == ("NOERROR", ["10.1.1.5", "10.1.1.6"])
    assert 0 < reply.seconds < 0.5
    assert asked == [("udp", "example.cluster.local")]


@pytest.mark.parametrize("rcode", ["NXDOMAIN", "SERVFAIL", "REFUSED"])
def test_a_no_by_its_name(live, rcode):
    reply, _ = ask(live, rcode)
    assert (reply.rcode, reply.addresses) == (rcode, ())


def test_a_cut_answer_is_asked_again_by_tcp(live):
    many = tuple(f"10.2.{n // 250}.{n % 250 + 1}" for n in range(600))
    reply, asked = ask(live, "TRUNCATED", addresses=many)
    assert (reply.rcode, len(reply.addresses)) == ("NOERROR", 600)
    assert [by for by, _ in asked] == ["udp", "tcp"]


def test_an_answer_to_another_question_is_not_ours(live):
    reply, _ = ask(live, "STALE")
    assert (reply.rcode, reply.addresses) == ("NOERROR", ("10.1.1.5",))


def test_silence_refusal_and_rubbish(live):
    silent, _ = ask(live, "SILENT", timeout=0.2)
    assert (silent.rcode, silent.addresses) == ("TIMEOUT", ())
    assert 0.15 < silent.seconds < 2
    assert ask(live, "")[0].rcode == "REFUSED"
    assert ask(live, "RUBBISH")[0].rcode == "MALFORMED"
    assert ask(live, "NOERROR", rule="udp dport 53 drop", timeout=0.2)[0].rcode == "TIMEOUT"


def test_edges_that_go_by_name(live):
    async def scenario(world):
        server = NameServer(world)
        service = "svc:prod/prod-ns/prod-svc"
        edges = [
            world.edge("http", 8080, service, by_name=True),
            world.edge("tcp", 9000, service, by_name=True, send=3000),
            world.edge("udp", 9000, service, by_name=True),
        ]
        seen = []
        for mode in ("NOERROR", "NXDOMAIN", "SERVFAIL", "SILENT"):
            server.mode = mode
            seen.append({(one.state.value, one.detail) for one in await world.reach(*edges, timeout=0.3)})
        server.mode, server.addresses = "NOERROR", ()
        seen.append({(one.state.value, one.detail) for one in await world.reach(*edges)})
        server.addresses = ("10.1.1.99",)  # a wrong answer: nobody is there
        seen.append({one.state.value for one in await world.reach(*edges)})
        world.resolver = "10.1.1.5"
        seen.append({one.state.value for one in await world.reach(*edges)})
        return seen, server.asked[0][1]

    seen, name = live(scenario)
    assert name == NAME
    assert seen == [
        {("open", "")}, {("unresolved", "NXDOMAIN")}, {("unresolved", "SERVFAIL")}, {("unresolved", "TIMEOUT")},
        {("unresolved", "NOERROR")}, {"timed out"}, {"unresolved"},
    ]  # fmt: skip


def test_dns_edges(live):
    async def scenario(world):
        server = NameServer(world)
        edge = world.edge("dns", 53, DB, query="a.b.cluster.local")
        seen = []
        for mode in ("NOERROR", "NXDOMAIN", "SILENT"):
            server.mode = mode
            seen += [(one.state.value, one.detail) for one in await world.reach(edge, timeout=0.2)]
        closed = world.edge("dns", 53, query="a.b.cluster.local")
        seen += [(one.state.value, one.detail) for one in await world.reach(closed, timeout=0.2)]
        return seen

    assert live(scenario) == [
        ("open", ""), ("unresolved", "NXDOMAIN"), ("timed out", "answer"), ("refused", "ICMP port unreachable from 10.1.1.5"),
    ]  # fmt: skip
