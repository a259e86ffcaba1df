"""What the samples say: the state of an edge before, during and after a fault, and when it changed and came back.

Pure: observations in, courses out.  An edge has *changed* when three samples running differ from its baseline, or when it
has become ``degraded``: too many attempts fail, or the successful ones have become slow.  It does not know which changes
were meant (:mod:`chaosnet.engine.assess` does).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from chaosnet.model.edge import Observation, State

RUNNING = 3
"""Samples running that make a change or a baseline; fewer would call one lost packet an outage."""

# A stable edge loses nothing here; one failure in twelve, and at least three, is beyond what a busy machine does to it.
_FAILING_SHARE, _FAILING_LEAST = 1 / 12, 3
# Slow is three times the baseline's median and 50 ms more: schedulers make single-digit milliseconds mean nothing.
_SLOW_FACTOR, _SLOW_SECONDS = 3.0, 0.05


@dataclass(frozen=True, slots=True)
class Course:
    """One edge over one run.  Times are the target's monotonic seconds; None where it never happened.

    ``changed_at`` is when the first of the deviating attempts began, ``confirmed_at`` when the third had ended; ``held`` says
    the change was still there when the fault was taken back.
    """

    before: State
    during: State | None = None
    after: State | None = None
    changed_at: float | None = None
    confirmed_at: float | None = None
    recovered_at: float | None = None
    held: bool = False

    @property
    def changed(self) -> bool:
        """Whether the edge left its baseline; an unstable baseline never does."""
        return self.changed_at is not None


def baseline(samples: Sequence[Observation]) -> State:
    """The one state of the last samples (at least three), else ``unknown``: unstable edges prove nothing."""
    states = {sample.state for sample in samples[-8:]}
    return states.pop() if len(samples) >= RUNNING and len(states) == 1 else State.UNKNOWN


def _typical(samples: Sequence[Observation]) -> float | None:
    times = [sample.seconds for sample in samples if sample.state is State.OPEN]
    return median(times) if len(times) >= RUNNING else None


def _first_run(samples: Sequence[Observation], before: State, alike: bool) -> int | None:
    """Index of the first of three samples running that are (``alike``) or are not in the state ``before``."""
    running = 0
    for index, sample in enumerate(samples):
        running = running + 1 if (sample.state is before) == alike else 0
        if running == RUNNING:
            return index - RUNNING + 1
    return None


def _degraded(samples: Sequence[Observation], normal: float | None) -> bool:
    failing = sum(sample.state is not State.OPEN for sample in samples)
    if failing >= _FAILING_LEAST and failing >= _FAILING_SHARE * len(samples):
        return True
    now = _typical(samples)
    return normal is not None and now is not None and len(samples) >= 6 and now > _SLOW_FACTOR * normal + _SLOW_SECONDS


def _flaps(samples: Sequence[Observation], before: State) -> bool:
    """Whether the edge goes back and forth: a lossy way, where three failures running are chance and no outage."""
    turns = sum((a.state is before) != (b.state is before) for a, b in pairwise(samples))
    return turns > 2


def course(samples: Sequence[Observation], inject: float | None, undo: float | None, undone: float | None = None) -> Course:
    """What happened to one edge.  ``samples`` are all of its observations in order of their beginning.

    ``inject`` is when the first change was made, ``undo`` when the first began to be taken back, ``undone`` when the last did
    (by default the same); None where a run never got there.  Attempts that straddle a moment count for neither side.
    """
    if inject is None:
        state = baseline(samples)
        return Course(state, None, state)
    earlier = [s for s in samples if s.at + s.seconds <= inject]
    before = baseline(earlier)
    fault = [s for s in samples if s.at >= inject and (undo is None or s.at + s.seconds <= undo)]
    last = undo if undone is None else undone
    later = [] if last is None else [s for s in samples if s.at >= last]
    after = baseline(later[-RUNNING:])
    if before is State.UNKNOWN:
        return Course(before, fault[-1].state if fault else None, after)
    if len(fault) < RUNNING:
        return Course(before, State.UNKNOWN, after)  # too few to say that it changed, or that it held
    first = _first_run(fault, before, alike=False)
    degraded = before is State.OPEN and _degraded(fault, _typical(earlier))
    if first is not None and not (degraded and _flaps(fault[first:], before)):
        three = fault[first : first + RUNNING]
        # What it settled into, not what the first moments looked like: an outage may begin with a reset.
        during = Counter(s.state for s in fault[first:] if s.state is not before).most_common(1)[0][0]
        held = all(s.state is not before for s in fault[-RUNNING:])
        changed_at, confirmed_at = three[0].at, three[-1].at + three[-1].seconds
    elif degraded:
        during, held = State.DEGRADED, _degraded(fault[len(fault) // 2 :], _typical(earlier)) or len(fault) < 16
        odd = [s for s in fault if s.state is not State.OPEN] or list(fault)
        changed_at, confirmed_at = odd[0].at, odd[min(RUNNING, len(odd)) - 1].at
    else:
        return Course(before, before, after)
    back = _first_run(later, before, alike=True)
    return Course(before, during, after, changed_at, confirmed_at, None if back is None else later[back].at, held)
