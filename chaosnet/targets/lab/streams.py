"""Streams of numbered datagrams, and bulk TCP: loss, order, corruption, round trips and throughput.

Every datagram carries its number and a CRC, and the far end is ours too, so what got there is known apart from what came
back.  UDP goes without its own checksum, which would turn corruption into loss (RFC 768: zero means none).  ICMP is answered
by the kernel; there a second raw socket at the far end listens along.
"""

import asyncio
import math
import select
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from itertools import count, pairwise
from time import monotonic

from chaosnet.errors import ChaosnetError, TargetError
from chaosnet.model.edge import State
from chaosnet.model.question import Carried, Stream, Streamed, Throughput
from chaosnet.targets.lab import wire
from chaosnet.targets.lab.attempts import Attempts, Late, Steps
from chaosnet.targets.lab.exchanges import Broken, connect
from chaosnet.targets.lab.paths import Path
from chaosnet.targets.lab.percentiles import percentile
from chaosnet.targets.lab.servers import Servers, Tally
from chaosnet.targets.lab.sockets import (
    ICMP_FILTER,
    SO_NO_CHECK,
    SOL_RAW,
    Outcome,
    Poller,
    Spaces,
    close_with_reset,
    echo_reply,
    echo_request,
    open_socket,
    outcome_of,
    ping_socket,
)

_GRACE, _QUIET, _STEP = 1.0, 0.25, 0.01
_CHUNK = b"." * (1 << 17)
_ENDLESS = 10**14
_ids = count(1)


async def stream(spaces: Spaces, poller: Poller, servers: Servers, path: Path, question: Stream) -> Streamed:
    """Send the stream and wait for its echoes, up to a second after the last one.

    Raises TargetError for an edge that is neither udp nor icmp or has no path, or for a rate or size that cannot be.
    """
    if question.edge.protocol not in ("udp", "icmp"):
        raise TargetError(f"a stream needs a udp or icmp edge; {question.edge} is neither")
    if path.problem:
        raise TargetError(f"no stream over {question.edge}: {path.problem}")
    if not 1 <= question.rate <= 20000 or not 0 < question.seconds <= 600 or not 0 <= question.size <= 60000:
        raise TargetError(f"a stream of {question.rate}/s, {question.seconds} s, {question.size} bytes is out of bounds")
    run = _Stream(spaces, poller, servers, path, question)
    try:
        await run.send()
        await run.settle()
    finally:
        run.close()
    return run.result()


class _Stream:
    def __init__(self, spaces: Spaces, poller: Poller, servers: Servers, path: Path, question: Stream) -> None:
        self._poller = poller
        self._servers = servers
        self._question = question
        self._id = next(_ids)
        self._far = Tally()
        self._sent: list[float] = []
        self._trips: dict[int, float] = {}
        self._duplicates = self._disordered = self._corrupted = 0
        self._highest = -1
        self._heard = math.inf
        self._icmp = question.edge.protocol == "icmp"
        self._listener: socket.socket | None = None
        if self._icmp:
            self._sock = ping_socket(spaces, path.namespace)
            self._listen(spaces, path)
        else:
            self._sock = open_socket(spaces, path.namespace, socket.SOCK_DGRAM)
            self._sock.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
            servers.streams[self._id] = self._far
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        with suppress(OSError):  # no route: then every datagram is lost, and that is the answer
            self._sock.connect((path.address, question.edge.port))
        poller.watch(self._sock.fileno(), select.EPOLLIN, lambda _: self._each(self._sock, self._came_back))

    def _listen(self, spaces: Spaces, path: Path) -> None:
        """Hear echo requests at the far end, where that is a namespace of the lab."""
        if not path.far:
            return
        with suppress(ChaosnetError):
            self._listener = sock = open_socket(spaces, path.far, socket.SOCK_RAW, socket.IPPROTO_ICMP)
            sock.setsockopt(SOL_RAW, ICMP_FILTER, struct.pack("=I", ~(1 << 8) & 0xFFFFFFFF))
            self._poller.watch(sock.fileno(), select.EPOLLIN, lambda _: self._each(sock, self._arrived))

    async def send(self) -> None:
        """All datagrams, each at its time as nearly as the loop's millisecond allows."""
        rate, total = self._question.rate, max(1, round(self._question.rate * self._question.seconds))
        began = monotonic()
        while len(self._sent) < total:
            due = min(total, int((monotonic() - began) * rate) + 1, len(self._sent) + 64)
            for number in range(len(self._sent), due):
                datagram = wire.numbered(self._id, number, self._question.size)
                self._sent.append(monotonic())
                with suppress(OSError):  # refused or dropped by our own firewall: lost, as any other
                    self._sock.send(echo_request(self._id & 0xFFFF, number & 0xFFFF, datagram) if self._icmp else datagram)
            await asyncio.sleep(max(0.0, began + len(self._sent) / rate - monotonic()))

    async def settle(self) -> None:
        """Wait for stragglers: until it has been quiet for several round trips, and no longer than a second.

        A pause of this process is not quiet: what came meanwhile has yet to be read, and echoed by the far end.
        """
        quiet = max(_QUIET, 4 * max(self._trips.values(), default=_GRACE))
        waited = silent = 0.0
        while len(self._trips) < len(self._sent) and waited < _GRACE and silent < quiet:
            began, heard = monotonic(), self._heard
            await asyncio.sleep(_STEP)
            step = min(monotonic() - began, 3 * _STEP)
            waited += step
            silent = silent + step if heard == self._heard else 0.0

    def close(self) -> None:
        """Close the sockets and drop the tally."""
        self._servers.streams.pop(self._id, None)
        for sock in (self._sock, self._listener):
            if sock is not None:
                self._poller.forget(sock.fileno())
                sock.close()

    def result(self) -> Streamed:
        """The figures."""
        trips = [self._trips[number] for number in sorted(self._trips)]
        ordered = sorted(trips)
        steps = [abs(late - early) for early, late in pairwise(trips)]
        counted = not self._icmp or self._listener is not None
        return Streamed(
            sent=len(self._sent),
            forward=len(self._far.numbers) if counted else len(self._trips),
            received=len(self._trips),
            duplicates=self._duplicates,
            out_of_order=self._disordered,
            corrupted=self._corrupted,
            p50=percentile(ordered, 0.50),
            p95=percentile(ordered, 0.95),
            p99=percentile(ordered, 0.99),
            jitter=sum(steps) / len(steps) if steps else 0.0,
        )

    def _each(self, sock: socket.socket, take: Callable[[bytes], None]) -> None:
        for _ in range(64):
            try:
                data = sock.recv(65536)
            except BlockingIOError:
                return
            except OSError:
                continue  # the ICMP error of an earlier datagram, which is lost
            take(data)

    def _arrived(self, packet: bytes) -> None:
        head = (packet[0] & 15) * 4 + 8
        read = wire.read_numbered(packet[head:])
        if read is not None and read[0] == self._id:
            self._far.numbers.add(read[1])

    def _came_back(self, data: bytes) -> None:
        self._heard = now = monotonic()
        if self._icmp:
            reply = echo_reply(data)
            if reply is None or reply[0] != self._id & 0xFFFF:
                return
            data = reply[2]
        read = wire.read_numbered(data)
        if read is None or read[0] != self._id or read[1] >= len(self._sent):
            self._corrupted += 1
            return
        number = read[1]
        if number in self._trips:
            self._duplicates += 1
            return
        self._trips[number] = now - self._sent[number]
        if number < self._highest:
            self._disordered += 1
        self._highest = max(self._highest, number)


async def throughput(
    spaces: Spaces, attempts: Attempts, servers: Servers, path: Path, question: Throughput
) -> Carried:
    """Payload that reached the far end, from its first byte there to the end of the time.

    Raises TargetError for an edge that is not tcp or http, or has no path.
    """
    if question.edge.protocol not in ("tcp", "http"):
        raise TargetError(f"throughput needs a tcp or http edge; {question.edge} is neither")
    if path.problem:
        raise TargetError(f"no throughput over {question.edge}: {path.problem}")
    name = f"pour-{next(_ids)}"
    tally = servers.tallies[name] = Tally()
    try:
        await attempts.run(_pour(spaces, path, name), question.seconds, strict=True)
        ended = monotonic()
    finally:
        del servers.tallies[name]
    window = ended - tally.first
    return Carried(tally.bytes * 8 / window if tally.first and window > 0 else 0.0)


def _pour(spaces: Spaces, path: Path, tally: str) -> Steps:
    sock = open_socket(spaces, path.namespace, socket.SOCK_STREAM)
    try:
        yield from connect(sock, (path.address, path.edge.port))
        data = b"CHAOSNET %d 0 %s\n" % (_ENDLESS, tally.encode("ascii"))
        while True:
            try:
                sock.send(data)
                data = _CHUNK
            except BlockingIOError:
                yield sock
    except Broken as broken:
        return broken.outcome
    except OSError as error:
        return outcome_of(error.errno or 0, "send")
    except Late:
        return Outcome(State.OPEN)
    finally:
        close_with_reset(sock)
