"""Stands between a DNS server and those who ask it, and spoils the answers for some names.

Questions about other names, and whatever cannot be read, go to the real server and back unchanged.  The sockets are in the
server's own namespace; who is sent to them is an nftables rule elsewhere.  It caches nothing and knows no zone.
"""

import asyncio
import logging
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from chaosnet.model.change import DnsAnswer
from chaosnet.targets.lab.namespaces import Namespaces

MODES = ("slow", "wrong", "servfail", "nxdomain", "drop")
_WAIT = 5.0  # seconds that the real server has: resolv.conf(5), timeout
_LARGEST = 65535
# A wrong answer that is believed for long would outlive the fault.
_TTL = 1

_log = logging.getLogger(__name__)


class Interposer:
    """One spoiled server: ``port`` is where questions for it must be sent, UDP and TCP alike."""

    def __init__(self, namespaces: Namespaces, namespace: str, server: str, change: DnsAnswer) -> None:
        self._namespaces, self._namespace = namespaces, namespace
        self._server, self._change = server, change
        self._suffix = dns.name.from_text(change.suffix or ".")
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self.spoiled = 0
        with namespaces.inside(namespace):
            self._udp, self._tcp = _same_port()
        self.port: int = self._udp.getsockname()[1]
        self._loop.add_reader(self._udp, self._datagrams)
        self._loop.add_reader(self._tcp, self._connections)

    def close(self) -> None:
        """Close the sockets; questions on their way are forgotten."""
        for opened in (self._udp, self._tcp):
            self._loop.remove_reader(opened)
            opened.close()
        for task in self._tasks:
            task.cancel()

    def _datagrams(self) -> None:
        with suppress(BlockingIOError):
            while True:
                question, asker = self._udp.recvfrom(_LARGEST)

                def reply(answer: bytes, asker: tuple[str, int] = asker) -> None:
                    with suppress(OSError):
                        self._udp.sendto(answer, asker)

                self._start(self._answer(question, socket.SOCK_DGRAM, reply))

    def _connections(self) -> None:
        with suppress(BlockingIOError):
            while True:
                connection, _ = self._tcp.accept()
                connection.setblocking(False)
                self._start(self._converse(connection))

    def _start(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _converse(self, connection: socket.socket) -> None:
        """Questions over one TCP connection, one after the other (RFC 7766)."""
        with connection, suppress(OSError, EOFError, TimeoutError):
            while True:
                question = await self._framed(connection)
                answers: list[bytes] = []
                await self._answer(question, socket.SOCK_STREAM, answers.append)
                for answer in answers:
                    await self._loop.sock_sendall(connection, struct.pack(">H", len(answer)) + answer)

    async def _framed(self, connection: socket.socket) -> bytes:
        async def exactly(size: int) -> bytes:
            data = b""
            while len(data) < size:
                piece = await self._loop.sock_recv(connection, size - len(data))
                if not piece:
                    raise EOFError
                data += piece
            return data

        async with asyncio.timeout(2 * _WAIT):
            (size,) = struct.unpack(">H", await exactly(2))
            return await exactly(size)

    async def _answer(self, question: bytes, kind: socket.SocketKind, reply: Callable[[bytes], None]) -> None:
        asked = self._about_us(question)
        if asked is None:
            reply_to = await self._forward(question, kind)
        else:
            self.spoiled += 1
            reply_to = await self._spoil(asked, question, kind)
        if reply_to:
            reply(reply_to)

    def _about_us(self, question: bytes) -> dns.message.Message | None:
        """The question, if it is about a name whose answers are to go wrong."""
        try:
            asked = dns.message.from_wire(question)
        except (dns.exception.DNSException, ValueError):
            return None
        if asked.flags & dns.flags.QR or not asked.question:
            return None
        return asked if asked.question[0].name.is_subdomain(self._suffix) else None

    async def _spoil(self, asked: dns.message.Message, question: bytes, kind: socket.SocketKind) -> bytes:
        mode = self._change.mode
        if mode == "drop":
            return b""
        if mode == "slow":
            await asyncio.sleep(self._change.delay)
            return await self._forward(question, kind)
        answer = dns.message.make_response(asked, recursion_available=True)
        if mode == "wrong":
            first = asked.question[0]
            if first.rdtype == dns.rdatatype.A:
                answer.answer.append(dns.rrset.from_text(first.name, _TTL, "IN", "A", self._change.answer))
        else:
            answer.set_rcode(dns.rcode.SERVFAIL if mode == "servfail" else dns.rcode.NXDOMAIN)
        return answer.to_wire()

    async def _forward(self, question: bytes, kind: socket.SocketKind) -> bytes:
        """What the real server says; empty where it says nothing in time."""
        with self._namespaces.inside(self._namespace):
            upstream = socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        with upstream, suppress(OSError, EOFError, TimeoutError):
            async with asyncio.timeout(_WAIT):
                await self._loop.sock_connect(upstream, (self._server, 53))
                if kind == socket.SOCK_STREAM:
                    await self._loop.sock_sendall(upstream, struct.pack(">H", len(question)) + question)
                    return await self._framed(upstream)
                await self._loop.sock_sendall(upstream, question)
                return await self._loop.sock_recv(upstream, _LARGEST)
        return b""


def _same_port() -> tuple[socket.socket, socket.socket]:
    """A UDP and a listening TCP socket on one free port, in the namespace that this thread is in."""
    for _ in range(20):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            udp.bind(("0.0.0.0", 0))
            tcp.bind(udp.getsockname())
            tcp.listen(128)
            return udp, tcp
        except OSError:
            udp.close()
            tcp.close()
    raise OSError("no port is free for UDP and TCP")
