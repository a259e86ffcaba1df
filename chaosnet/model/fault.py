"""What a fault is: settings, where it sits, a pure plan, and the effect it must be seen to have.

A fault file defines a frozen dataclass that satisfies :class:`Fault`.  The engine knows this protocol and nothing of any
single fault.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from chaosnet.errors import Unsupported
from chaosnet.model.change import Change
from chaosnet.model.inventory import Sites
from chaosnet.model.place import Place
from chaosnet.model.question import Answer, Question


@dataclass(frozen=True, slots=True)
class Reading:
    """A judged measurement: did it show what it should, in one sentence, with the figures behind it (plain values)."""

    ok: bool
    sentence: str
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Effect:
    """One thing the fault must be seen to do at its own place.

    ``ask`` is measured before the fault and, repeatedly, after it until ``judge(before, now)`` is ok, for at most ``within``
    seconds; it is measured once more just before undo and must still be ok ("held").  The ticket's rule counters are
    recorded anyway; an effect that rests on counters alone asks :class:`~chaosnet.model.question.Counters` with the
    ticket id empty, and the engine fills it in.

    A plan cannot know which edges get through (a policy may close them).  Where the answer before is not ``ready``, there
    would be nothing to see: the first of ``instead`` that is ready is taken in its place.
    """

    name: str
    ask: Question
    judge: Callable[[Answer, Answer], Reading]
    within: float = 3.0
    ready: Callable[[Answer], bool] = lambda before: True
    instead: "tuple[Effect, ...]" = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done, and what must be seen.  ``established`` and ``fresh`` say what live and new flows feel."""

    changes: tuple[Change, ...]
    effects: tuple[Effect, ...]
    established: str
    fresh: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a target can do here.  ``changes`` are names of change kinds; ``missing`` maps a feature to why it is missing.

    Features are ``netem`` (delay, jitter, duplication, corruption, reordering), ``links`` (link: and transit: places),
    ``bgp``, ``daemons``.
    """

    target: str
    changes: frozenset[str]
    missing: Mapping[str, str] = field(default_factory=dict)

    def lacks(self, change: Change) -> str:
        """Why ``change`` cannot be made here, as a sentence, or empty."""
        kind = type(change).__name__
        if kind not in self.changes:
            return f"the {self.target} target cannot make a {kind} change"
        if getattr(change, "needs_netem", False) and "netem" in self.missing:
            return self.missing["netem"]
        if kind == "DaemonState" and "daemons" in self.missing:
            return self.missing["daemons"]
        return ""

    def require(self, fault: str, changes: tuple[Change, ...]) -> tuple[Change, ...]:
        """``changes``, if all can be made here; Unsupported with a sentence otherwise."""
        for change in changes:
            if why := self.lacks(change):
                raise Unsupported(f"{fault}: {why}")
        return changes


class Fault(Protocol):
    """A fault's settings, typed, and its pure plan.

    ``kind`` is the word users type; ``duration`` the fuse in seconds; ``places()`` maps argument names to the places the
    engine must resolve before ``plan``.
    """

    kind: ClassVar[str]

    @property
    def duration(self) -> float:
        """Seconds until the fuse undoes the fault whoever is dead."""
        ...

    def places(self) -> Mapping[str, Place]:
        """The places to resolve, by argument name."""
        ...

    def plan(self, sites: Sites, capabilities: Capabilities) -> Plan:
        """The changes and the effects; pure.  Raises InputError, Unsupported or Refused, with a sentence."""
        ...
