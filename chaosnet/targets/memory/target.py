"""The ``memory`` target: a whole network that is only arithmetic, behind the same protocol as the real ones.

For tests of everything above a target, for plans without a kernel, and for teaching.  Several handles, in one process or
in many, may hold the same network; what a handle counted and sampled is its own.  It never waits: it answers at once with
the times it worked out, on a clock that a test may drive.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from heapq import heappop, heappush
from itertools import count

from chaosnet.errors import Refused, TargetError, Unsupported
from chaosnet.model.change import CHANGES, Change, ConntrackPressure, DaemonState, DnsAnswer, Filter, Object, Shape, say
from chaosnet.model.codec import to_plain
from chaosnet.model.edge import Edge, Observation
from chaosnet.model.fault import Capabilities, Reading
from chaosnet.model.inventory import Inventory, Site
from chaosnet.model.question import Answer, Counters, Question
from chaosnet.model.ticket import Undo
from chaosnet.targets.memory.answers import Answers, roles
from chaosnet.targets.memory.attempts import Attempts, Tally
from chaosnet.targets.memory.history import History
from chaosnet.targets.memory.network import Network
from chaosnet.targets.memory.present import stored
from chaosnet.targets.memory.state import Active, Kept, State, spot
from chaosnet.targets.memory.world import key, node_site, pod_site

_DIRECTIONS, _VERDICTS = ("ingress", "egress"), ("drop", "reject", "untrack")
_MODES = ("slow", "wrong", "servfail", "nxdomain", "drop")


class SimulatedCrash(BaseException):
    """The process that held the handle has died, as by SIGKILL; no error of ours, so that nobody handles it."""


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now: float = 1000.0) -> None:
        self._now = now

    def __call__(self) -> float:
        """Seconds, as :func:`time.monotonic` counts them."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds


class MemoryTarget:
    """One handle on an in-memory network kept in ``kept``.

    lacking
        Kinds of changes, or features such as ``netem``, that this network cannot do, with the sentence that says why.
    fail_at
        Where this handle dies: ``step:before``, ``step:after`` of prepare, arm, do or undo, or ``undo:between``, after one
        change was taken back; ``do:after#2`` is the second time it gets there.  From then on every call is SimulatedCrash.
    """

    name = "memory"

    def __init__(
        self,
        kept: Kept,
        ref: str,
        clock: Callable[[], float] = time.monotonic,
        *,
        lacking: Mapping[str, str] | None = None,
        fail_at: str = "",
        own: bool = False,
    ) -> None:
        self.ref = ref
        self._kept, self._clock, self._lacking, self._own = kept, clock, dict(lacking or {}), own
        self._fail_at, _, times = fail_at.partition("#")
        self._chances = int(times or 1)
        self._dead = False
        self._tally = Tally()
        self._history: tuple[State, History] | None = None
        self._attempts: tuple[Network, Attempts] | None = None
        self._edges: tuple[Edge, ...] = ()
        self._interval, self._timeout, self._next = 1.0, 1.0, 0.0
        self._samples: list[Observation] = []
        self._pending: list[tuple[float, int, Observation]] = []
        self._count = count()

    # -- what there is -------------------------------------------------------------------------------------------------

    def capabilities(self) -> Capabilities:
        """Every change, unless made with less."""
        return Capabilities("memory", frozenset(CHANGES).difference(self._lacking), self._lacking)

    def inventory(self) -> Inventory:
        """What exists now."""
        return self._history_now().present(self._now()).inventory

    def settle(self, timeout: float) -> None:
        """Wait until every BGP session is up; on a test's clock, by moving it.  TargetError after ``timeout`` seconds."""
        rest = self._clock.advance if isinstance(self._clock, Clock) else time.sleep
        deadline = self._now() + timeout
        while down := self._history_now().network(self._now()).down:
            if self._now() >= deadline:
                named = " and ".join(sorted(min(down, key=sorted)))
                raise TargetError(f"{len(down)} BGP sessions are not up after {timeout:g} s, among them that of {named}")
            rest(0.1)

    def describe(self) -> Mapping[str, str]:
        """What it is, in words."""
        world = self._state().world
        return {
            "network": f"{world.name}, in memory: nothing here is real",
            "clusters": ", ".join(world.domains),
            "bgp": f"hold {world.hold:g} s, keepalive {world.keepalive:g} s, retry {world.retry:g} s",
        }

    # -- changes -------------------------------------------------------------------------------------------------------

    def prepare(self, ticket: str, change: Change) -> Undo:
        """How the change would be taken back.

        Raises Unsupported where this network cannot do it, Refused where somebody else is in its place.
        """
        self._point("prepare:before")
        self._check(ticket, change)
        what = spot(change)
        undo = Undo("end", {"change": to_plain(change), "spot": what}, f"take back: {say(change)}")
        self._point("prepare:after")
        return undo

    def arm(self, ticket: str, undo: Sequence[Undo], seconds: float) -> str:
        """The end of the ticket's changes is written down before they begin."""
        self._point("arm:before")
        now = self._now()
        self._kept.update(lambda state: state.armed(ticket, now, seconds))
        self._point("arm:after")
        return f"the network itself ends it after {seconds:g} s"

    def do(self, ticket: str, change: Change, undo: Undo) -> None:
        """In force from now."""
        self._point("do:before")
        now = self._now()
        fuse = self._state().fuse(ticket)
        if fuse is None or fuse.end() <= now:
            raise Refused(f"ticket {ticket} has no armed fuse; arm it before {say(change)}")
        self._check(ticket, change)
        self._kept.update(lambda state: state.done(ticket, change, now))
        self._point("do:after")

    def in_force(self, ticket: str, change: Change) -> Reading:
        """Whether the change is there now."""
        there = any(active.ticket == ticket and active.change == change for active in self._state().active(self._now()))
        return Reading(there, f"{say(change)}: {'there' if there else 'not there'}", {"there": there})

    def undo(self, ticket: str, undo: Sequence[Undo]) -> None:
        """Take back all changes of the ticket, last first, then disarm its fuse."""
        self._point("undo:before")
        now = self._now()
        for active in reversed([active for active in self._state().active(now) if active.ticket == ticket]):
            change = active.change
            self._kept.update(lambda state, change=change: state.ended(ticket, change, now))  # type: ignore[misc]
            self._point("undo:between")
        self._kept.update(lambda state: state.ended(ticket, None, now).disarmed(ticket, now))
        self._point("undo:after")

    def fuse_blown(self, ticket: str) -> bool:
        """Whether the fuse went off before anybody undid the ticket."""
        fuse = self._state().fuse(ticket)
        return fuse is not None and fuse.blown(self._now())

    def owned(self) -> tuple[str, ...]:
        """Changes in force and fuses still burning."""
        state, now = self._state(), self._now()
        changes = tuple(f"{say(active.change)} (ticket {active.ticket})" for active in state.active(now))
        return (*changes, *(f"fuse of ticket {fuse.ticket}" for fuse in state.fuses if fuse.end() > now))

    def panic(self) -> tuple[str, ...]:
        """Take everything of ours back."""
        removed, now = self.owned(), self._now()
        if removed:
            self._kept.update(lambda state: state.cleared(now))
        return removed

    def snapshot(self) -> Mapping[str, str]:
        """Everything that a change can touch, as text by key."""
        state, now = self._state(), self._now()
        world = state.world
        present = self._history_now().present(now)
        entries = {f"object {name}": text for name, text in present.objects.items()}
        rest = self._history_now().at_rest.inventory
        for site in self._sites():
            mtu = world.mtu_pods.get(site.cluster, 1500) if site.kind == "pod" else world.mtu_underlay
            entries |= {f"mtu {key(site)}": str(mtu)} | {f"daemon {key(site)} {role}": "running" for role in roles(site, rest)}
        entries |= dict(state.foreign)
        for active in state.active(now):
            if not isinstance(active.change, Object):
                entries[spot(active.change) or f"rule {active.ticket} {active.index}"] = say(active.change)
        return entries | {f"fuse {fuse.ticket}": "armed" for fuse in state.fuses if fuse.end() > now}

    def forget(self, sites: Sequence[Site]) -> tuple[str, ...]:
        """Forget the path MTUs that these sites learned through this handle."""
        self._now()
        mine = {key(site) for site in sites}
        flushed = [(sender, to) for sender, to in self._tally.learned if sender in mine]
        return tuple(f"path MTU {self._tally.learned.pop(known)} from {known[0]} to {known[1]}" for known in flushed)

    # -- measuring -----------------------------------------------------------------------------------------------------

    def ask(self, question: Question) -> Answer:
        """Work it out."""
        now = self._now()
        numbers: list[int] = []
        if isinstance(question, Counters):
            numbers = sorted({hold.index for hold in self._state().holds if hold.ticket == question.ticket})
        attempts = self._attempts_at(now)
        return Answers(self._history_now(), attempts, now).answer(question, numbers)

    def watch(self, edges: Sequence[Edge], interval: float, timeout: float) -> None:
        """Sample from now on; what an earlier watch has seen is kept, what it was still waiting for is not."""
        self.samples(len(self._samples))
        self._pending.clear()
        self._edges, self._interval, self._timeout, self._next = tuple(edges), interval, timeout, self._now()

    def samples(self, after: int) -> tuple[int, tuple[Observation, ...]]:
        """What sampling has seen since ``after``; worked out now for the times at which it was due."""
        now = self._now()
        while self._edges and self._next <= now:
            attempts = self._attempts_at(self._next)
            for edge in self._edges:
                seen = attempts.observe(edge, self._next, self._timeout)
                heappush(self._pending, (seen.at + seen.seconds, next(self._count), seen))
            self._next += self._interval
        # An attempt is known when it has ended, not when it began.
        while self._pending and self._pending[0][0] <= now:
            self._samples.append(heappop(self._pending)[2])
        return len(self._samples), tuple(self._samples[after:])

    def close(self) -> None:
        """Let go; a network made for this handle goes away."""
        if self._own and not self._dead:
            self._kept.remove()

    # -- for tests -----------------------------------------------------------------------------------------------------

    def die(self) -> None:
        """The process with this handle is killed: every call from now on is SimulatedCrash."""
        self._dead = True

    def place_foreign(self, change: Change, words: str) -> None:
        """Put somebody else's state where ``change`` would go."""
        self._kept.update(lambda state: state.with_foreign(spot(change), words))

    # -- inside --------------------------------------------------------------------------------------------------------

    def _point(self, where: str) -> None:
        if where == self._fail_at:
            self._chances -= 1
            self._dead = self._dead or self._chances == 0
        self._now()

    def _now(self) -> float:
        if self._dead:
            raise SimulatedCrash(f"this handle died at {self._fail_at}")
        return self._clock()

    def _state(self) -> State:
        self._now()
        return self._kept.read()

    def _history_now(self) -> History:
        state = self._state()
        if self._history is None or self._history[0] is not state:
            self._history = (state, History(state, self._history[1] if self._history else None))
        return self._history[1]

    def _attempts_at(self, at: float) -> Attempts:
        network = self._history_now().network(at)
        if self._attempts is None or self._attempts[0] is not network:
            self._attempts = (network, Attempts(network, self._tally))
        return self._attempts[1]

    def _sites(self) -> tuple[Site, ...]:
        inventory = self.inventory()
        return (*map(node_site, inventory.nodes), *map(pod_site, inventory.pods))

    def _check(self, ticket: str, change: Change) -> None:
        """Whether the change can be made here and now; Unsupported or Refused where it cannot."""
        if lacking := self.capabilities().lacks(change):
            raise Unsupported(lacking)
        if isinstance(change, Object):
            stored(self._state().world, (*self._state().active(self._now()), Active(ticket, 0, change)))
        elif change.site.kind in ("service", "address"):
            raise Unsupported(f"a change cannot sit at {change.site}: it is a peer, not a place")
        elif key(change.site) not in {key(site) for site in self._sites()}:
            raise Refused(f"there is no {change.site} in this network now; choose a place that is there")
        if problem := _problem(change, self._history_now().at_rest.inventory):
            raise Unsupported(f"{say(change)}: {problem}")
        state, what = self._state(), spot(change)
        for where, words in state.foreign:
            if what and where == what:
                raise Refused(f"{words} is in the way of: {say(change)}; remove it first")
        for active in state.active(self._now()):
            if what and active.ticket != ticket and spot(active.change) == what:
                raise Refused(f"ticket {active.ticket} holds that place already ({say(active.change)}); undo it first")


def _problem(change: Change, inventory: Inventory) -> str:
    """What in the change's own words this network does not understand, or empty."""
    match change:
        case Filter() | Shape() if change.direction not in _DIRECTIONS:
            return f"a direction is one of {', '.join(_DIRECTIONS)}"
        case Filter() if change.verdict not in _VERDICTS:
            return f"a verdict is one of {', '.join(_VERDICTS)}"
        case DnsAnswer() if change.mode not in _MODES:
            return f"a mode is one of {', '.join(_MODES)}"
        case DaemonState() if change.daemon not in (known := roles(change.site, inventory)):
            return f"the roles at {change.site} are {', '.join(known) or 'none'}"
        case ConntrackPressure() if change.limit < 0:
            return "a limit is not below zero"
        case _:
            return ""
