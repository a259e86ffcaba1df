"""The order in which the lab makes changes and takes them back: prepare, arm, do, undo; fuses, and what is left over.

How each kind of change is made is in ``lowering``.  The executor lives in the keeper, beside what it changes: its timers
undo a fault when nobody else does, and what it knows of tickets is gone only when the lab is.  It neither plans nor
proves, writes no ledger, and does not answer for what a fault does to traffic.  Nothing here can cut the way back: clients
come in by a socket that is not on the lab's network.
"""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chaosnet.errors import ChaosnetError, Refused, ResidueLeft, Unsupported
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
    say,
)  # fmt: skip
from chaosnet.model.fault import Reading
from chaosnet.model.inventory import Site
from chaosnet.model.ticket import Undo
from chaosnet.model.units import say_seconds
from chaosnet.targets.lab import residue, snapshots
from chaosnet.targets.lab.lowering import (
    Deed,
    Lowering,
    daemons_change,
    dns_answers,
    filters,
    mtu,
    objects_change,
    routes,
    shaping,
    sysctls,
    tables,
)  # fmt: skip

if TYPE_CHECKING:
    from chaosnet.targets.lab.lab import Lab

_FAMILIES: Mapping[type[Change], Lowering] = {
    Filter: filters,
    Rewrite: filters,
    ConntrackPressure: filters,
    Shape: shaping,
    LinkMtu: mtu,
    RouteMtu: routes,
    Sysctl: sysctls,
    DaemonState: daemons_change,
    DnsAnswer: dns_answers,
    Object: objects_change,
}
_BY_OP: Mapping[str, Lowering] = {op: family for family in set(_FAMILIES.values()) for op in family.OPS}
# After a fuse's undo failed, try again this often (seconds): whatever was in the way may be gone by then.
_AGAIN = 1.0
# Tickets that are over are remembered for questions that come late; a lab lives for one run or a day.
_REMEMBERED = 1000

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Armed:
    """What the executor knows of one ticket: ``deadline`` on the monotonic clock, and each change made with its undo."""

    undo: tuple[Undo, ...]
    deadline: float
    done: list[tuple[Change, Undo]] = field(default_factory=list)
    timer: asyncio.TimerHandle | None = None
    watches: list[routes.Watch] = field(default_factory=list)
    over: bool = False
    blown: bool = False

    @property
    def knobs(self) -> set[str]:
        """What the ticket holds and no other may touch meanwhile."""
        return {knob for step in self.undo for knob in step.arguments.get("knobs", ())}


class Executor:
    """Makes and takes back changes in one running lab.  Its methods are called in the keeper's event loop."""

    def __init__(self, lab: "Lab") -> None:
        self._lab = lab
        self._tickets: dict[str, Armed] = {}
        self._prepared: dict[str, list[tuple[Change, Undo]]] = {}
        self._netem: str | None = None

    def missing(self) -> Mapping[str, str]:
        """What this kernel lacks, by feature, each with the sentence that says why."""
        if self._netem is None:
            self._netem = shaping.netem_missing(self._lab.namespaces)
        return {"netem": self._netem} if self._netem else {}

    def prepare(self, ticket: str, change: Change) -> Undo:
        """How ``change`` would be taken back; touches nothing.  Unsupported or Refused with a sentence."""
        tables.table(ticket)
        if ticket in self._tickets:
            raise Refused(f"the ticket {ticket} is armed already; a new fault needs a new one")
        if isinstance(change, Shape) and change.needs_netem and "netem" in self.missing():
            raise Unsupported(self.missing()["netem"])
        before = self._prepared.setdefault(ticket, [])
        undo = _family(change).prepare(self._lab, Deed(ticket, len(before), 0.0), change)
        self._refuse_held(ticket, set(undo.arguments.get("knobs", ())), before)
        before.append((change, undo))
        while len(self._prepared) > _REMEMBERED:
            del self._prepared[next(iter(self._prepared))]
        return undo

    def _refuse_held(self, ticket: str, knobs: set[str], before: Sequence[tuple[Change, Undo]] = ()) -> None:
        for other, armed in self._tickets.items():
            held = knobs & armed.knobs if other != ticket and not armed.over else set()
            if held:
                raise Refused(f"the fault {other} holds {min(held)}; undo it first: chaosnet undo {other}")
        own = [undo.arguments for _, undo in before if not undo.arguments.get("shared")]
        twice = knobs & {knob for arguments in own for knob in arguments.get("knobs", ())}
        if twice:
            raise Refused(f"{min(twice)} would be changed twice by one fault; leave one change out")

    def arm(self, ticket: str, undo: Sequence[Undo], seconds: float) -> str:
        """Start the fuse: a timer here, and a timeout in the kernel on every rule that ``do`` adds."""
        tables.table(ticket)
        for step in undo:
            _undoer(step)
        if not seconds > 0:
            raise Refused(f"a fuse of {seconds!r} seconds would be no fuse")
        known = self._tickets.get(ticket)
        if known is not None and known.over:
            raise Refused(f"the ticket {ticket} is over; a new fault needs a new one")
        armed = known or Armed(tuple(undo), 0.0)
        self._refuse_held(ticket, armed.knobs)
        if armed.timer is not None:
            armed.timer.cancel()
        armed.deadline = time.monotonic() + seconds
        armed.timer = asyncio.get_running_loop().call_later(seconds, self._blow, ticket)
        self._tickets[ticket] = armed
        return f"the lab's keeper undoes it after {say_seconds(seconds)}, and the kernel lets its rules go at the same time"

    def do(self, ticket: str, change: Change, undo: Undo) -> None:
        """Make the change.  Refused unless the ticket is armed, and its undo among those that the fuse would run."""
        armed = self._tickets.get(ticket)
        left = armed.deadline - time.monotonic() if armed is not None else 0.0
        if armed is None or armed.over or left <= 0:
            raise Refused(f"the fuse of {ticket} is not armed, so {say(change)} is not made")
        if undo not in armed.undo:
            raise Refused(f"the fuse of {ticket} does not know how to take back: {say(change)}")
        # Noted before it is made: what half of it leaves behind is taken back as well.
        armed.done.append((change, undo))
        _family(change).do(self._lab, self._deed(ticket, undo, left), change, undo)
        if isinstance(change, RouteMtu):
            self._follow_routes(armed, undo)

    def _follow_routes(self, armed: Armed, undo: Undo) -> None:
        watch = routes.Watch(self._lab, undo.arguments["namespace"])
        armed.watches.append(watch)

        def changed() -> None:
            watch.drain()
            try:
                routes.follow(self._lab, undo)
            except ChaosnetError as error:
                _log.warning("routes of a fault could not follow: %s", error)

        asyncio.get_running_loop().add_reader(watch.fileno(), changed)

    def in_force(self, ticket: str, change: Change) -> Reading:
        """Whether the kernel, the daemon or the store has the change now."""
        armed = self._tickets.get(ticket)
        pairs = (armed.done if armed is not None else []) or self._prepared.get(ticket, [])
        for known, undo in pairs:
            if known == change:
                return _family(change).read_back(self._lab, self._deed(ticket, undo, 0.0), change, undo)
        return Reading(False, f"this lab knows no fault {ticket} with this change")

    def undo(self, ticket: str, undo: Sequence[Undo]) -> None:
        """Take everything back, last change first, and disarm.  What fails is named after all the rest was tried."""
        armed = self._tickets.get(ticket)
        self._quiet(armed)
        failures: list[ChaosnetError] = []
        for step in reversed(undo):
            try:
                _undoer(step).take_back(self._lab, step)
            except ChaosnetError as error:
                failures.append(error)
        if failures:
            raise failures[0]
        # One that was never armed is over too: what its dead client had still asked for must find the door shut.
        armed = self._tickets.setdefault(ticket, Armed(tuple(undo), 0.0))
        armed.over = True
        if armed.timer is not None:
            armed.timer.cancel()
            armed.timer = None
        self._prune()

    def _quiet(self, armed: Armed | None) -> None:
        """Stop following routes, so that what is taken back is not put there again."""
        while armed is not None and armed.watches:
            watch = armed.watches.pop()
            asyncio.get_running_loop().remove_reader(watch.fileno())
            watch.close()

    def _prune(self) -> None:
        over = [ticket for ticket, armed in self._tickets.items() if armed.over]
        for ticket in over[: max(0, len(over) - _REMEMBERED)]:
            del self._tickets[ticket]

    def _blow(self, ticket: str) -> None:
        armed = self._tickets[ticket]
        armed.blown = True
        armed.timer = None
        try:
            self.undo(ticket, armed.undo)
        except ChaosnetError as error:
            _log.error("the fuse of %s could not undo everything: %s", ticket, error)
            if isinstance(error, ResidueLeft):
                return  # it is somebody else's now, and trying again would not change that
            armed.timer = asyncio.get_running_loop().call_later(_AGAIN, self._blow, ticket)

    def fuse_blown(self, ticket: str) -> bool:
        """Whether the fuse went off before anybody undid the ticket."""
        armed = self._tickets.get(ticket)
        return armed is not None and armed.blown

    def owned(self) -> tuple[str, ...]:
        """Everything of faults that is there now: what bears our names in the kernel, and what tickets still hold."""
        return residue.owned(self._lab, self._held())

    def panic(self) -> tuple[str, ...]:
        """Undo every ticket known here, newest first, then remove whatever still bears our names."""
        removed: list[str] = []
        for ticket, armed in reversed(list(self._tickets.items())):
            if armed.over:
                continue
            made = [undo for _, undo in armed.done]
            try:
                self.undo(ticket, armed.undo)
                removed += [undo.say for undo in reversed(made)]
            except ChaosnetError as error:
                removed.append(f"not everything of {ticket} could be undone: {error}")
        return tuple(dict.fromkeys([*removed, *residue.remove(self._lab)]))

    def snapshot(self) -> Mapping[str, str]:
        """Rules, routes, qdiscs, MTUs, settings, objects and daemons as text by key."""
        return snapshots.take(self._lab)

    def forget(self, sites: Sequence[Site]) -> tuple[str, ...]:
        """Flush what the endpoints learned; what was flushed, in words."""
        return residue.forget(self._lab, sites)

    def changes_of(self, ticket: str) -> tuple[tuple[Change, Undo], ...]:
        """The changes of a ticket that were made here, in order, each with its undo."""
        armed = self._tickets.get(ticket)
        return tuple(armed.done) if armed is not None else ()

    def active(self) -> tuple[tuple[Change, Undo], ...]:
        """Every change that is made and not undone."""
        return tuple(pair for armed in self._tickets.values() if not armed.over for pair in armed.done)

    def _held(self) -> tuple[tuple[str, Undo, bool], ...]:
        """Ticket and undo of each change not yet undone, and whether it reads back as there."""
        return tuple(
            (ticket, undo, self.in_force(ticket, change).ok)
            for ticket, armed in self._tickets.items() if not armed.over
            for change, undo in armed.done
        )  # fmt: skip

    def _deed(self, ticket: str, undo: Undo, left: float) -> Deed:
        return Deed(ticket, int(undo.arguments.get("index", 0)), left)


def _family(change: Change) -> Lowering:
    try:
        return _FAMILIES[type(change)]
    except KeyError:
        raise Unsupported(f"the lab cannot make a {type(change).__name__} change") from None


def _undoer(undo: Undo) -> Lowering:
    try:
        return _BY_OP[undo.op]
    except KeyError:
        raise Refused(f"the lab does not know how to undo {undo.op!r}; was this ticket made by another target?") from None
