"""The sampler: tries every watched edge again and again on its own clock, and keeps what it saw in a bounded ring.

The edges of a watch are staggered over the interval, so that a change in the kernel is bracketed by some edge's attempts at
once and by each edge's own within one interval.  An attempt is a new flow: TCP and HTTP connect anew; UDP, where a new
port for each of 20,000 datagrams a second would fill connection tracking, takes a new port every quarter of a second.
Connections kept open are :mod:`chaosnet.targets.lab.holds`.  Nothing here judges what a change means.
"""

import asyncio
import select
import socket
import struct
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from itertools import count, islice
from time import monotonic

from chaosnet.errors import ChaosnetError
from chaosnet.model.edge import Edge, Observation, State
from chaosnet.targets.lab import wire
from chaosnet.targets.lab.attempts import Attempts
from chaosnet.targets.lab.paths import Path, Paths
from chaosnet.targets.lab.sockets import (
    IP_RECVERR,
    Outcome,
    Poller,
    Report,
    Spaces,
    error_queue,
    open_socket,
    outcome_of,
)

KEPT = 200_000
RENEWED = 0.25
_GRANULE = 0.001
_LATE = 0.05
_ABREAST = 4096
_STATES = tuple(State)
_INDEX = {state: index for index, state in enumerate(_STATES)}
_OPEN = _INDEX[State.OPEN]
_NUMBER = struct.Struct(">4sII")


class _Target:
    """One watched edge."""

    __slots__ = ("edge", "flow", "flow_id", "name", "padding", "path", "udp")

    def __init__(self, edge: Edge, path: Path, flow_id: int) -> None:
        self.edge = edge
        self.name = edge.name
        self.flow_id = flow_id
        self.flow: _Flow | None = None
        self.padding = b"." * (edge.send - wire.DATAGRAM)
        self.take(path)

    def take(self, path: Path) -> None:
        """Go this way from now on."""
        self.path = path
        self.udp = self.edge.protocol == "udp" and not self.edge.by_name and not path.problem and self.edge.send <= 65507


class _Flow:
    """One UDP port of an edge, and the datagrams it waits for: number → when sent."""

    __slots__ = ("born", "number", "pending", "retired", "sock", "target")

    def __init__(self, target: _Target, sock: socket.socket, born: float) -> None:
        self.target = target
        self.sock = sock
        self.born = born
        self.number = 0
        self.pending: dict[int, float] = {}
        self.retired = False


class Sampler:
    """One watch at a time.  ``missed`` counts attempts left out because the process was late or too many were under way."""

    def __init__(
        self, spaces: Spaces, poller: Poller, attempts: Attempts, paths: Paths, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._spaces = spaces
        self._poller = poller
        self._attempts = attempts
        self._paths = paths
        self._loop = loop
        # Tuples of plain numbers and texts: the garbage collector leaves those alone, however many there are.
        self._ring: deque[tuple[str, int, float, float, str]] = deque(maxlen=KEPT)
        self._seen = 0
        self._ids = count(1)
        self._targets: list[_Target] = []
        self._flows: set[_Flow] = set()
        self._waiting: deque[tuple[float, _Flow, int]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._buffer = bytearray(65536)
        self._start = self._ticked = self._step = self._timeout = 0.0
        self._next = 0
        self._watch = 0
        self.missed = 0

    def watch(self, edges: Sequence[Edge], interval: float, timeout: float) -> None:
        """Try each of ``edges`` every ``interval`` seconds from now on; replaces an earlier watch, no edges end it.

        Raises ChaosnetError for an interval or timeout that is not above zero.
        """
        if interval <= 0 or timeout <= 0:
            raise ChaosnetError(f"a watch every {interval} s with a timeout of {timeout} s cannot be; give both above zero")
        self.close()
        self._targets = [_Target(edge, self._paths.path(edge), next(self._ids)) for edge in edges]
        if self._targets:
            self._step = interval / len(self._targets)
            self._timeout = timeout
            self._next = 0
            self._start = self._ticked = monotonic()
            self._tick()

    def refresh(self) -> None:
        """Resolve every watched edge afresh: something has moved."""
        for target in self._targets:
            path = self._paths.path(target.edge)
            if (path.namespace, path.address, path.problem) != (
                target.path.namespace, target.path.address, target.path.problem,
            ):  # fmt: skip
                self._retire(target)
            target.take(path)

    def samples(self, after: int) -> tuple[int, tuple[Observation, ...]]:
        """What ended since cursor ``after`` (as far as it is still kept), oldest first, and the new cursor."""
        fresh = min(max(0, self._seen - max(0, after)), len(self._ring))
        newest = list(islice(reversed(self._ring), fresh))
        return self._seen, tuple(
            Observation(name, _STATES[state], at, seconds, detail) for name, state, at, seconds, detail in reversed(newest)
        )

    def close(self) -> None:
        """End the watch; what was seen stays."""
        if self._timer is not None:
            self._timer.cancel()
        self._watch += 1
        for flow in tuple(self._flows):
            self._drop(flow)
        self._waiting.clear()
        self._targets = []

    def _record(self, name: str, state: int, at: float, seconds: float, detail: str) -> None:
        self._ring.append((name, state, at, seconds, detail))
        self._seen += 1

    def _tick(self) -> None:
        now = monotonic()
        targets = self._targets
        # Only what was due a tick ago: if this process did not get to run, the answers that wait are heard first.
        self._expire(now, self._ticked)
        self._ticked = now
        due = int((now - self._start) / self._step) + 1
        most = max(len(targets), int(_LATE / self._step))
        if due - self._next > most:
            # Later than that, catching up would be a burst that measures our own lateness and not the network.
            self.missed += due - most - self._next
            self._next = due - most
        while self._next < due:
            target = targets[self._next % len(targets)]
            self._next += 1
            if target.udp:
                self._try_udp(target)
            elif self._attempts.flying < _ABREAST:
                self._try_other(target)
            else:
                self.missed += 1
        wait = max(_GRANULE, self._start + self._next * self._step - monotonic())
        if self._waiting:
            wait = min(wait, max(_GRANULE, self._waiting[0][0] - now))
        self._timer = self._loop.call_later(wait, self._tick)

    def _expire(self, now: float, until: float) -> None:
        waiting = self._waiting
        while waiting and waiting[0][0] <= until:
            _, flow, number = waiting.popleft()
            at = flow.pending.pop(number, None)
            if at is not None:
                self._record(flow.target.name, _INDEX[State.TIMED_OUT], at, now - at, "answer")
            if flow.retired and not flow.pending:
                self._drop(flow)

    def _try_other(self, target: _Target) -> None:
        began, watch, name = monotonic(), self._watch, target.name

        def land(outcome: Outcome, seconds: float) -> None:
            if watch == self._watch:
                self._record(name, _INDEX[outcome.state], began, seconds, outcome.detail)

        self._attempts.launch(target.path.steps(), self._timeout, land)

    def _try_udp(self, target: _Target) -> None:
        at = monotonic()
        flow = target.flow
        if flow is None or at - flow.born >= RENEWED:
            try:
                flow = self._renew(target, at)
            except (OSError, ChaosnetError) as error:
                self._record(target.name, _INDEX[State.UNKNOWN], at, 0.0, f"open: {error}")
                return
        flow.number = number = flow.number + 1
        flow.pending[number] = at
        datagram = wire.probe(target.flow_id, number, 0, target.edge.receive) + target.padding
        try:
            flow.sock.send(datagram)
        except OSError:
            # Perhaps the error of an earlier datagram, reported late (udp(7)): hear it, and send this one for itself.
            self._hear_errors(flow)
            try:
                flow.sock.send(datagram)
            except OSError as error:
                if flow.pending.pop(number, None) is not None:
                    outcome = outcome_of(error.errno or 0, "send")
                    self._record(target.name, _INDEX[outcome.state], at, monotonic() - at, outcome.detail)
        self._waiting.append((at + self._timeout, flow, number))

    def _renew(self, target: _Target, now: float) -> _Flow:
        self._retire(target)
        sock = open_socket(self._spaces, target.path.namespace, socket.SOCK_DGRAM)
        try:
            sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
            sock.connect((target.path.address, target.edge.port))
        except OSError:
            sock.close()
            raise
        flow = target.flow = _Flow(target, sock, now)
        self._flows.add(flow)
        self._poller.watch(sock.fileno(), select.EPOLLIN, lambda mask: self._hear(flow, mask))
        return flow

    def _retire(self, target: _Target) -> None:
        flow, target.flow = target.flow, None
        if flow is not None:
            flow.retired = True
            if not flow.pending:
                self._drop(flow)

    def _drop(self, flow: _Flow) -> None:
        if flow in self._flows:
            self._flows.discard(flow)
            self._poller.forget(flow.sock.fileno())
            flow.sock.close()

    def _hear(self, flow: _Flow, mask: int) -> None:
        if mask & select.EPOLLERR:
            self._hear_errors(flow)
        try:
            size = flow.sock.recv_into(self._buffer)
        except BlockingIOError:
            return
        except OSError:
            self._hear_errors(flow)
            return
        now = monotonic()
        if size < wire.DATAGRAM:
            return
        _, _, number = _NUMBER.unpack_from(self._buffer)
        at = flow.pending.pop(number, None)
        if at is not None:
            wanted = flow.target.edge.receive
            if size >= wanted:
                self._record(flow.target.name, _OPEN, at, now - at, "")
            else:
                short = f"{size} of {wanted} bytes in the answer"
                self._record(flow.target.name, _INDEX[State.DEGRADED], at, now - at, short)
        if flow.retired and not flow.pending:
            self._drop(flow)

    def _hear_errors(self, flow: _Flow) -> None:
        now = monotonic()
        for report in error_queue(flow.sock):
            number = _number_of(report, flow)
            at = flow.pending.pop(number, None)
            if at is not None:
                outcome = outcome_of(report.error, "answer", [report])
                self._record(flow.target.name, _INDEX[outcome.state], at, now - at, outcome.detail)
        with suppress(OSError):
            flow.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def _number_of(report: Report, flow: _Flow) -> int:
    """The datagram an ICMP error is about; the newest where the router quoted too little of it (RFC 792: 8 bytes)."""
    read = wire.probe_number(report.payload)
    return read[1] if read is not None else flow.number
