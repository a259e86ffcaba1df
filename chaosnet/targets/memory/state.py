"""What has been done to the in-memory network, as intervals of time; and where that is kept.

Every change held is an interval that begins at its ``do`` and ends at its ``undo`` or, whoever is dead, when its fuse
expires: so a fuse needs nobody to act, and any moment of the past can be asked about.  Kept in a file that other processes
open by its path: this network outlives whoever made it.  Nothing here knows what changes do.
"""

import fcntl
import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from chaosnet.errors import ChaosnetError, TargetError
from chaosnet.model.change import (
    Change,
    ConntrackPressure,
    DaemonState,
    DnsAnswer,
    Filter,
    LinkMtu,
    Object,
    Rewrite,
    RouteMtu,
    Shape,
    Sysctl,
)
from chaosnet.model.codec import from_plain, to_plain
from chaosnet.targets.memory.world import World, key


@dataclass(frozen=True, slots=True)
class Active:
    """One change in force: the ticket it belongs to and its number there."""

    ticket: str
    index: int
    change: Change


@dataclass(frozen=True, slots=True)
class Hold:
    """One change of one ticket, in force from ``since`` until ``until`` (None: not yet taken back)."""

    ticket: str
    index: int
    change: Change
    since: float
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Fuse:
    """The fuse of one ticket: when it goes off, and when it was disarmed (None: not yet)."""

    ticket: str
    expires: float
    disarmed: float | None = None

    def end(self) -> float:
        """When it stops mattering."""
        return self.expires if self.disarmed is None else min(self.expires, self.disarmed)

    def blown(self, now: float) -> bool:
        """Whether it went off before anybody disarmed it."""
        return self.expires <= now and (self.disarmed is None or self.disarmed >= self.expires)


@dataclass(frozen=True, slots=True)
class State:
    """The network and all that was ever done to it.  ``foreign`` pairs a spot with somebody else's state there."""

    world: World
    holds: tuple[Hold, ...] = ()
    fuses: tuple[Fuse, ...] = ()
    foreign: tuple[tuple[str, str], ...] = ()

    def fuse(self, ticket: str) -> Fuse | None:
        """The ticket's fuse, if it was ever armed."""
        return next((fuse for fuse in self.fuses if fuse.ticket == ticket), None)

    def end(self, hold: Hold) -> float:
        """When the change stops being in force."""
        fuse = self.fuse(hold.ticket)
        ends = [end for end in (hold.until, fuse.expires if fuse else None) if end is not None]
        return min(ends, default=float("inf"))

    def active(self, at: float) -> tuple[Active, ...]:
        """The changes in force at ``at``, oldest first."""
        return tuple(Active(hold.ticket, hold.index, hold.change) for hold in self.holds if hold.since <= at < self.end(hold))

    def moments(self) -> tuple[float, ...]:
        """When anything began or ends, in order."""
        times = {time for hold in self.holds for time in (hold.since, self.end(hold))}
        return tuple(sorted(time for time in times if time != float("inf")))

    def armed(self, ticket: str, at: float, seconds: float) -> "State":
        """The same with the ticket's fuse set to go off ``seconds`` after ``at``."""
        fuses = tuple(fuse for fuse in self.fuses if fuse.ticket != ticket)
        # What an earlier fuse of the ticket ended stays ended.
        holds = tuple(
            replace(hold, until=self.end(hold)) if hold.ticket == ticket and self.end(hold) <= at else hold for hold in self.holds
        )
        return replace(self, holds=holds, fuses=(*fuses, Fuse(ticket, at + seconds)))

    def done(self, ticket: str, change: Change, at: float) -> "State":
        """The same with the change in force from ``at``; it is there once, however often it is asked for."""
        if any(active.ticket == ticket and active.change == change for active in self.active(at)):
            return self
        before = [hold.change for hold in self.holds if hold.ticket == ticket]
        index = before.index(change) if change in before else len(set(before))
        return replace(self, holds=(*self.holds, Hold(ticket, index, change, at)))

    def ended(self, ticket: str, change: Change | None, at: float) -> "State":
        """The same with ``change`` (None: all) of the ticket taken back at ``at``."""
        return replace(
            self,
            holds=tuple(
                replace(hold, until=min(at, self.end(hold)))
                if hold.ticket == ticket and hold.until is None and change in (None, hold.change)
                else hold
                for hold in self.holds
            ),
        )

    def disarmed(self, ticket: str, at: float) -> "State":
        """The same with the ticket's fuse disarmed at ``at``, unless it was before."""
        return replace(
            self,
            fuses=tuple(
                replace(fuse, disarmed=at) if fuse.ticket == ticket and fuse.disarmed is None else fuse for fuse in self.fuses
            ),
        )

    def cleared(self, at: float) -> "State":
        """The same with everything of every ticket taken back at ``at``."""
        state = self
        for fuse in self.fuses:
            state = state.ended(fuse.ticket, None, at).disarmed(fuse.ticket, at)
        return state

    def with_foreign(self, where: str, words: str) -> "State":
        """The same with somebody else's state at a spot."""
        return replace(self, foreign=(*self.foreign, (where, words)))


def spot(change: Change) -> str:
    """The one thing that ``change`` takes for itself: two tickets cannot both have it.  Empty where there is room for many."""
    match change:
        case Filter() | Rewrite() | ConntrackPressure():
            return ""
        case Object():
            return f"object {change}"
        case Shape():
            return f"qdisc {change.direction} {key(change.site)} {change.site.interface}".rstrip()
        case LinkMtu():
            return f"mtu {key(change.site)} {change.site.interface}".rstrip()
        case RouteMtu():
            return f"routes {key(change.site)}"
        case Sysctl():
            return f"sysctl {key(change.site)} {change.key}"
        case DnsAnswer():
            return f"answers {key(change.site)}"
        case DaemonState():
            return f"daemon {key(change.site)} {change.daemon}"


class Kept:
    """A state in the file ``path``, shared by whoever opens it; begun anew with ``fresh``, if given."""

    def __init__(self, path: Path, fresh: State | None = None) -> None:
        self._path = path
        self._raw, self._state = b"", fresh
        if fresh is not None:
            self._write(fresh)

    def read(self) -> State:
        """The state now.  Raises TargetError where the file is not one of ours."""
        try:
            raw = self._path.read_bytes()
            if raw != self._raw or self._state is None:
                self._raw, self._state = raw, from_plain(State, json.loads(raw))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ChaosnetError) as error:
            raise TargetError(f"{self._path} holds no in-memory network ({error}); choose another file") from error
        return self._state

    def update(self, change: Callable[[State], State]) -> None:
        """Replace the state by what ``change`` makes of it; nobody else gets in between."""
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._write(change(self.read()))

    def remove(self) -> None:
        """The network goes away."""
        for path in (self._path, self._path.with_suffix(".lock")):
            path.unlink(missing_ok=True)

    def _write(self, state: State) -> None:
        fresh = self._path.with_suffix(f".{os.getpid()}")
        try:
            raw = json.dumps(to_plain(state)).encode()
            fresh.write_bytes(raw)
            fresh.replace(self._path)
            self._raw, self._state = raw, state
        except OSError as error:
            with suppress(OSError):
                fresh.unlink()
            raise TargetError(f"{self._path} cannot be written: {error.strerror}") from error
