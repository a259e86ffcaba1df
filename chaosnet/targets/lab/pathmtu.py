"""The largest packet a path carries: DF pings by a narrowing sweep, and TCP payloads of many sizes each way.

The two differ on purpose.  A ping says what the way there carries.  TCP fits its segments to what both ends announced (MSS)
and to what ICMP told it, so it may be fine where large pings fail, and hang where small pings pass; only whole payloads that
arrived count.  Both run at once: the lab's hosts answer with as many ICMP errors as they are asked for (icmp_ratelimit is 0).
As with any ping, the kernel remembers an MTU it was told.
"""

import asyncio
import errno
import os
import select
import socket
from time import monotonic

from chaosnet.errors import TargetError
from chaosnet.model.edge import State
from chaosnet.model.question import PathMtu, PathMtuFound
from chaosnet.targets.lab import exchanges
from chaosnet.targets.lab.attempts import Attempts
from chaosnet.targets.lab.namespaces import site_namespace
from chaosnet.targets.lab.paths import address_of
from chaosnet.targets.lab.sockets import (
    IP_PMTUDISC_PROBE,
    Poller,
    Spaces,
    echo_reply,
    echo_request,
    error_queue,
    ping_socket,
)

_TCP_TIME = 1.5
_HEADERS = 28
_SMALLEST = 68  # RFC 791: every link carries it
_ABREAST = 16
_TRIES = (0.0, 0.15, 0.3)
_ROUND = 0.5


def sizes(ceiling: int) -> tuple[int, ...]:
    """The payloads the TCP sweep tries: small ones, those about one segment of ``ceiling`` bytes, and several segments.

    A segment has 40 bytes of headers, 52 with timestamps (RFC 7323).
    """
    near = (ceiling - back for back in (300, 200, 152, 112, 92, 62, 52, 40))
    return tuple(sorted({size for size in (100, 500, 1000, *near, 3000, 60000) if size > 0}))


async def measure(spaces: Spaces, attempts: Attempts, poller: Poller, question: PathMtu) -> PathMtuFound:
    """Answer the question.  Raises TargetError where the destination has no address."""
    namespace, address = site_namespace(question.source), address_of(question.destination)
    if not address:
        raise TargetError(f"{question.destination} has no address to measure a path to")
    pings = _Pings(spaces, poller, namespace, address)
    try:
        largest, (there, back) = await asyncio.gather(
            pings.narrow(question.ceiling),
            _sweep(spaces, attempts, namespace, (address, question.port), sizes(question.ceiling)),
        )
    finally:
        pings.close()
    return PathMtuFound(largest, pings.told, there, back, sizes(question.ceiling))


async def _sweep(
    spaces: Spaces, attempts: Attempts, namespace: str, address: tuple[str, int], swept: tuple[int, ...]
) -> tuple[int, int]:
    """The largest payloads that arrived whole, there and back; a connection each, all at once."""
    runs = [
        attempts.run(exchanges.tcp(spaces, namespace, address, send, receive), _TCP_TIME)
        for send, receive in [*((size, 0) for size in swept), *((0, size) for size in swept)]
    ]
    passed = [outcome.state is State.OPEN for outcome, _ in await asyncio.gather(*runs)]
    there = max((size for size, ok in zip(swept, passed[: len(swept)], strict=True) if ok), default=0)
    back = max((size for size, ok in zip(swept, passed[len(swept) :], strict=True) if ok), default=0)
    return there, back


class _Pings:
    """DF pings of many sizes; a ping's sequence number is its size, so that every answer and error names it."""

    def __init__(self, spaces: Spaces, poller: Poller, namespace: str, address: str) -> None:
        self._poller = poller
        self._sock = ping_socket(spaces, namespace, IP_PMTUDISC_PROBE)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._identifier = int.from_bytes(os.urandom(2), "big")
        self._passed: set[int] = set()
        self._refused: set[int] = set()
        self._news = asyncio.Event()
        self.told = 0
        self._watched = False
        self._unreachable = False
        try:
            self._sock.connect((address, 0))
        except OSError:
            self._unreachable = True
            return
        poller.watch(self._sock.fileno(), select.EPOLLIN, lambda _: self._hear())
        self._watched = True

    def close(self) -> None:
        """Close the socket."""
        if self._watched:
            self._poller.forget(self._sock.fileno())
        self._sock.close()

    async def narrow(self, ceiling: int) -> int:
        """The largest IP packet up to ``ceiling`` that was answered; 0 where none was."""
        if self._unreachable:
            return 0
        low, high = 0, ceiling + 1
        tried: set[int] = set()
        while high - low > 1:
            batch = self._choose(low, high) - tried
            if not batch:
                break
            tried |= batch
            await self._round(batch)
            low = max((size for size in self._passed if size < high), default=0)
            low = max([low, *(size for size in self._passed if size <= ceiling)])
            high = min((size for size in tried if size > low and size not in self._passed), default=ceiling + 1)
            if not self._passed:
                return 0
        return low

    def _choose(self, low: int, high: int) -> set[int]:
        floor = max(low, _SMALLEST - 1)
        step = max(1, (high - floor - 1) // (_ABREAST - 1))
        batch = set(range(high - 1, floor, -step))
        if low == 0:
            batch.add(_SMALLEST)
        # Where a router named an MTU, that is the first guess, and one byte more must fail.
        return batch | {size for size in (self.told, self.told + 1) if self.told and low < size < high}

    async def _round(self, batch: set[int]) -> None:
        began = monotonic()
        for wait in (*_TRIES, _ROUND):
            while batch - self._passed - self._refused and (left := began + wait - monotonic()) > 0:
                self._news.clear()
                try:
                    await asyncio.wait_for(self._news.wait(), left)
                except TimeoutError:
                    break
            missing = batch - self._passed - self._refused
            if not missing:
                return
            if wait < _ROUND:
                for size in sorted(missing):
                    self._send(size)

    def _send(self, size: int) -> None:
        try:
            self._sock.send(echo_request(self._identifier, size & 0xFFFF, b"." * (size - _HEADERS)))
        except OSError as error:
            self._hear_errors()
            if error.errno == errno.EMSGSIZE:  # too big for our own interface: known at once
                self._refused.add(size)

    def _hear(self) -> None:
        self._hear_errors()
        try:
            while True:
                reply = echo_reply(self._sock.recv(65536))
                if reply is not None and reply[0] == self._identifier and len(reply[2]) + _HEADERS == reply[1]:
                    self._passed.add(reply[1])
                    self._news.set()
        except OSError:
            return

    def _hear_errors(self) -> None:
        for report in error_queue(self._sock):
            if not report.too_big or not report.info:
                continue
            self.told = min(self.told or report.info, report.info)
            if report.kind >= 0 and len(report.payload) >= 8:
                self._refused.add(int.from_bytes(report.payload[6:8], "big"))
            self._news.set()
