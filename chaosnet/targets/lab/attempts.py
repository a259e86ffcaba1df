"""One attempt over one edge as a generator, and what runs many of them on one epoll.

An attempt reads from top to bottom: it makes a socket, tries, and where it would have to wait it yields the socket; it
returns its :class:`Outcome`.  :class:`Attempts` resumes it when something happened on that socket, and throws :class:`Late`
into it when its time is up.  Edge-triggered, so an attempt must try until it would block before it yields.

A deadline is the network's, not ours: time in which this process itself did not get to run (a busy machine, a long system
call) is noticed by a heartbeat and given back, or a starved prober would report outages that nobody else felt.

What an attempt says on the wire is :mod:`chaosnet.targets.lab.exchanges`; which edges are tried and when is the prober's,
the sampler's and the load's affair.
"""

import asyncio
import math
import select
import socket
from collections.abc import Callable, Generator
from time import monotonic

from chaosnet.errors import ChaosnetError
from chaosnet.model.edge import State
from chaosnet.targets.lab.sockets import Outcome, Poller, outcome_of

Steps = Generator[socket.socket, None, Outcome]
Land = Callable[[Outcome, float], None]

_BEAT, _STALL = 0.01, 0.02
_EITHER = select.EPOLLIN | select.EPOLLOUT | select.EPOLLET


class Late(Exception):
    """Thrown into an attempt whose time is up; it answers with what it was waiting for."""


class _Attempt:
    __slots__ = ("began", "fd", "given", "land", "sock", "stalled", "steps", "timer")

    def __init__(self, steps: Steps, land: Land) -> None:
        self.steps = steps
        self.land = land
        self.sock: socket.socket | None = None
        self.fd = -1
        self.timer: asyncio.TimerHandle | None = None
        self.began = monotonic()
        self.stalled = self.given = 0.0


class Attempts:
    """Runs attempts side by side.  ``flying`` is how many wait for something."""

    def __init__(self, poller: Poller, loop: asyncio.AbstractEventLoop) -> None:
        self._poller = poller
        self._loop = loop
        self._flying: set[_Attempt] = set()
        self._stalled = 0.0
        self._beat: asyncio.TimerHandle | None = None

    @property
    def flying(self) -> int:
        """How many attempts are under way."""
        return len(self._flying)

    def launch(self, steps: Steps, seconds: float, land: Land, strict: bool = False) -> None:
        """Begin ``steps``; ``land(outcome, seconds taken)`` follows within ``seconds``, perhaps before this returns.

        ``strict``: end then even if this process was kept from running meanwhile.
        """
        attempt = _Attempt(steps, land)
        attempt.stalled = math.inf if strict else self._stalled
        if self._resume(attempt):
            return
        self._flying.add(attempt)
        if self._beat is None:
            self._expect_beat()
        attempt.timer = self._loop.call_at(self._loop.time() + seconds, self._late, attempt)

    async def run(self, steps: Steps, seconds: float, strict: bool = False) -> tuple[Outcome, float]:
        """One attempt for those who can wait: its outcome and how long it took."""
        landed: asyncio.Future[tuple[Outcome, float]] = self._loop.create_future()

        def land(outcome: Outcome, taken: float) -> None:
            if not landed.done():
                landed.set_result((outcome, taken))

        self.launch(steps, seconds, land, strict)
        return await landed

    def close(self) -> None:
        """Abandon what is under way; nobody is told."""
        if self._beat is not None:
            self._beat.cancel()
            self._beat = None
        for attempt in tuple(self._flying):
            self._settle(attempt)
            attempt.steps.close()

    def _resume(self, attempt: _Attempt, late: bool = False) -> bool:
        """Go on until the attempt waits (False) or has landed (True)."""
        try:
            sock = attempt.steps.throw(Late()) if late else next(attempt.steps)
        except StopIteration as stop:
            outcome: Outcome = stop.value
        except Late:
            outcome = Outcome(State.TIMED_OUT)
        except OSError as error:
            outcome = outcome_of(error.errno or 0, "open")
        except (ChaosnetError, LookupError, ValueError) as error:
            outcome = Outcome(State.UNKNOWN, str(error))
        else:
            if late:
                attempt.steps.close()
                outcome = Outcome(State.TIMED_OUT)
            else:
                if sock is not attempt.sock:
                    self._watch(attempt, sock)
                return False
        self._settle(attempt)
        attempt.land(outcome, monotonic() - attempt.began)
        return True

    def _watch(self, attempt: _Attempt, sock: socket.socket) -> None:
        if attempt.fd >= 0:
            self._poller.forget(attempt.fd)
        attempt.sock, attempt.fd = sock, sock.fileno()
        self._poller.watch(attempt.fd, _EITHER, lambda _: self._resume(attempt))

    def _settle(self, attempt: _Attempt) -> None:
        self._flying.discard(attempt)
        if attempt.fd >= 0:
            self._poller.forget(attempt.fd)
        if attempt.timer is not None:
            attempt.timer.cancel()

    def _late(self, attempt: _Attempt) -> None:
        self._poller.drain()
        if attempt not in self._flying:
            return
        owed = self._stalled - attempt.stalled - attempt.given
        if owed > 0:
            attempt.given += owed
            attempt.timer = self._loop.call_later(owed, self._late, attempt)
        else:
            self._resume(attempt, late=True)

    def _expect_beat(self) -> None:
        self._beat = self._loop.call_later(_BEAT, self._hear_beat, monotonic() + _BEAT)

    def _hear_beat(self, due: float) -> None:
        late = monotonic() - due
        if late > _STALL:
            self._stalled += late
        self._beat = None
        if self._flying:
            self._expect_beat()
