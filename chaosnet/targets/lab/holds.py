"""Connections kept open: whether an established flow still carries data while the network changes around it.

One TCP connection an edge, opened once, over which our own little exchange goes again and again.  A connection that was reset
stays dead: that is the evidence.  New flows are the sampler's.
"""

import asyncio
import errno
import select
import socket
from collections.abc import Sequence
from time import monotonic

from chaosnet.errors import ChaosnetError
from chaosnet.model.edge import Edge, Observation, State
from chaosnet.targets.lab import wire
from chaosnet.targets.lab.paths import Path, Paths
from chaosnet.targets.lab.sockets import Outcome, Poller, Spaces, close_with_reset, open_socket, outcome_of

_ASK = wire.request(0, 0)
_ANSWER = wire.answer(len(_ASK), 0)


class _Hold:
    """One connection.  ``asked`` is when the exchange under way began (0: none), ``last`` how the last one went."""

    __slots__ = ("asked", "ended", "last", "opened", "path", "sock", "unread")

    def __init__(self, path: Path, sock: socket.socket | None, ended: Outcome | None) -> None:
        self.path = path
        self.sock = sock
        self.ended = ended
        self.asked = monotonic()
        self.last = 0.0
        self.unread = 0
        self.opened = False


class Holds:
    """The connections of one set of edges at a time."""

    def __init__(self, spaces: Spaces, poller: Poller, paths: Paths, loop: asyncio.AbstractEventLoop) -> None:
        self._spaces = spaces
        self._poller = poller
        self._paths = paths
        self._loop = loop
        self._holds: list[_Hold] = []
        self._timer: asyncio.TimerHandle | None = None
        self._interval = self._timeout = 0.0

    def hold(self, edges: Sequence[Edge], interval: float, timeout: float) -> None:
        """Open one connection an edge (tcp or http) and use it every ``interval`` seconds; no edges: let go of all."""
        self.close()
        self._interval, self._timeout = interval, timeout
        self._holds = [self._open(self._paths.path(edge)) for edge in edges]
        if self._holds:
            self._timer = self._loop.call_later(interval, self._tick)

    def held(self) -> tuple[Observation, ...]:
        """One observation a connection: open while its last exchange was answered in time.

        ``timed out`` while an answer is overdue (TCP may still deliver it), ``reset`` or ``refused`` for good.
        """
        return tuple(self._observe(hold, monotonic()) for hold in self._holds)

    def close(self) -> None:
        """Let go of every connection."""
        if self._timer is not None:
            self._timer.cancel()
        for hold in self._holds:
            self._end(hold, Outcome(State.UNKNOWN, "let go"))
        self._holds = []

    def _observe(self, hold: _Hold, now: float) -> Observation:
        name = hold.path.edge.name
        if hold.ended is not None:
            return Observation(name, hold.ended.state, hold.asked, 0.0, hold.ended.detail)
        if hold.asked and now - hold.asked > self._timeout:
            phase = "answer" if hold.opened else "connect"
            return Observation(name, State.TIMED_OUT, hold.asked, now - hold.asked, phase)
        if not hold.last:
            return Observation(name, State.UNKNOWN, hold.asked, 0.0, "no exchange yet")
        return Observation(name, State.OPEN, hold.asked or now, hold.last)

    def _open(self, path: Path) -> _Hold:
        if path.problem or path.edge.protocol not in ("tcp", "http"):
            return _Hold(path, None, Outcome(State.UNKNOWN, path.problem or "only tcp and http edges can be held"))
        try:
            sock = open_socket(self._spaces, path.namespace, socket.SOCK_STREAM)
        except (OSError, ChaosnetError) as error:
            return _Hold(path, None, Outcome(State.UNKNOWN, str(error)))
        hold = _Hold(path, sock, None)
        status = sock.connect_ex((path.address, path.edge.port))
        if status not in (0, errno.EINPROGRESS):
            sock.close()
            return _Hold(path, None, outcome_of(status, "connect"))
        self._poller.watch(sock.fileno(), select.EPOLLIN | select.EPOLLOUT | select.EPOLLET, lambda _: self._go_on(hold))
        return hold

    def _end(self, hold: _Hold, outcome: Outcome) -> None:
        if hold.ended is None and hold.sock is not None:
            hold.ended = outcome
            self._poller.forget(hold.sock.fileno())
            close_with_reset(hold.sock)

    def _tick(self) -> None:
        self._timer = self._loop.call_later(self._interval, self._tick)
        for hold in self._holds:
            if hold.ended is None and hold.opened and not hold.asked:
                self._ask(hold)

    def _ask(self, hold: _Hold) -> None:
        assert hold.sock is not None
        hold.asked, hold.unread = monotonic(), len(_ANSWER)
        try:
            hold.sock.send(_ASK)
        except OSError as error:
            self._end(hold, outcome_of(error.errno or 0, "send"))

    def _go_on(self, hold: _Hold) -> None:
        sock = hold.sock
        if sock is None or hold.ended is not None:
            return
        try:
            if not hold.opened:
                error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error:
                    self._end(hold, outcome_of(error, "connect"))
                    return
                sock.getpeername()  # raises ENOTCONN while the handshake goes on
                hold.opened = True
                self._ask(hold)
            while True:
                data = sock.recv(4096)
                if not data:
                    self._end(hold, Outcome(State.RESET, "closed by the far end"))
                    return
                hold.unread -= len(data)
                if hold.unread <= 0 and hold.asked:
                    hold.last, hold.asked = monotonic() - hold.asked, 0.0
        except BlockingIOError:
            return
        except OSError as error:
            if hold.opened:
                self._end(hold, outcome_of(error.errno or 0, "answer"))
