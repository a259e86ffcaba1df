"""The timeline of a run as plain geometry in seconds: lanes of states, marks, spans of the faults.

Pure: from the record to what is to be drawn; :mod:`chaosnet.report.picture` and :mod:`chaosnet.report.terminal` draw it.
Does not know pixels, colours or characters, except that :func:`columns` cuts a lane into as many as it is given.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from chaosnet.report import words
from chaosnet.report.record import MOMENTS, EdgeRecord, RunRecord, Sample

# So many lanes a group are drawn one by one; the rest share one.  What may change is no news, the others less.
MOST_LANES = 16
_MOST = {"may": 6, "others": 0}

# The graver a state, the more it must be seen where several share one column.
_GRAVITY = {
    state: rank for rank, state in enumerate(
        ("", "unknown", "open", "degraded", "unresolved", "refused", "reset", "timed out")
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stretch:
    """An edge in one state, from ``start`` to ``end`` seconds; state ``""`` is time that nobody sampled."""

    start: float
    end: float
    state: str


@dataclass(frozen=True, slots=True)
class Lane:
    """One line of the picture: an edge, or ``edges`` of them that were alike."""

    name: str
    stretches: tuple[Stretch, ...]
    edges: int = 1


@dataclass(frozen=True, slots=True)
class Group:
    """Lanes under one heading.  ``kind`` is break, open, collateral, hold, may, others, closed or unsteady."""

    kind: str
    title: str
    lanes: tuple[Lane, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment of a fault, and what to write at it."""

    at: float
    moment: str
    text: str


@dataclass(frozen=True, slots=True)
class Span:
    """A fault in place from ``start`` to ``end``; ``closed`` is whether an undo ended it."""

    start: float
    end: float
    name: str
    closed: bool


@dataclass(frozen=True, slots=True)
class Timeline:
    """All of it; the picture goes from 0 to ``end`` seconds.  ``folded`` are the lanes that ``groups`` only sum up."""

    end: float
    groups: tuple[Group, ...]
    marks: tuple[Mark, ...]
    spans: tuple[Span, ...]
    folded: tuple[Lane, ...] = ()

    @property
    def states(self) -> tuple[str, ...]:
        """The states that occur, from the best to the worst."""
        seen = {s.state for group in self.groups for lane in group.lanes for s in lane.stretches}
        return tuple(state for state in words.STATES if state in seen)


def timeline(record: RunRecord) -> Timeline:
    """The picture of ``record``: what must break first, then what was hit unannounced, what must hold, the rest."""
    end = _end(record)
    collateral = words.hit(record)
    sorted_out: dict[str, list[EdgeRecord]] = {
        "break": [], "open": [], "collateral": [], "hold": [], "shut": [], "may": [], "others": [],
        "closed": [], "unsteady": [],
    }  # fmt: skip
    for edge in record.edges:
        sorted_out[_group(edge, collateral)].append(edge)
    folded: list[Lane] = []
    groups = []
    for kind, edges in sorted_out.items():
        lanes = [Lane(edge.name, stretches(edge.samples, end)) for edge in edges]
        if kind in _ONLY_TOLD:
            if lanes:
                groups.append(Group(kind, f"{words.count(len(lanes), 'edge')} {_TITLES[kind]}", ()))
                folded += lanes
            continue
        shown, rest = _fold(_alike(lanes, end), _MOST.get(kind, MOST_LANES))
        folded += rest
        if rest:
            name = f"worst of {len(rest):,} more" if shown else f"worst of {words.count(len(rest), 'edge')}"
            shown = (*shown, Lane(name, worst(rest, end), len(rest)))
        if shown:
            groups.append(Group(kind, _TITLES[kind], shown))
    return Timeline(end, tuple(groups), tuple(_marks(record, end)), tuple(_spans(record, end)), tuple(folded))


_TITLES = {
    "break": "Must break",
    "open": "Must open",
    "collateral": "Collateral: must hold, but changed",
    "hold": "Must hold",
    "shut": "Must stay shut",
    "may": "May change",
    "others": "Everything else that was watched",
    "closed": "closed before the fault, and all through it",
    "unsteady": "not steady before the fault, so not judged",
}


# Groups without a lane: a band of trouble that was there all along would only draw the eye.
_ONLY_TOLD = ("closed", "unsteady")


def _group(edge: EdgeRecord, collateral: frozenset[str]) -> str:
    if edge.name in collateral:
        return "collateral"
    if edge.before == "unknown":
        return "unsteady"
    if edge.expected in ("break", "open", "shut"):
        return edge.expected
    asked = edge.declared and edge.expected != "may"
    if not asked and edge.before and not words.passes(edge.before) and not words.changed(edge):
        return "closed"
    if edge.expected == "may":
        return "may"
    return "hold" if edge.declared else "others"


def _end(record: RunRecord) -> float:
    """The last thing that happened: the run's own duration, or whatever was recorded after it."""
    times = [record.duration, *(event.t for event in record.events)]
    times += [getattr(fault.times, name) for fault in record.faults for name in MOMENTS]
    times += [edge.samples[-1].at for edge in record.edges if edge.samples]
    return max(1.0, *(at for at in times if at is not None), 1.0)


def stretches(samples: Sequence[Sample], end: float) -> tuple[Stretch, ...]:
    """Samples to stretches of one state each.

    A sample stands until the next one; where the next is late by far more than the usual interval and the attempt's own
    length explain, the time between is left empty rather than guessed.
    """
    if not samples:
        return ()
    gaps = [b.at - a.at for a, b in pairwise(samples) if b.at > a.at]
    usual = median(gaps) if gaps else end
    found: list[Stretch] = []
    for sample, following in zip(samples, [*samples[1:], None], strict=True):
        start = min(max(sample.at, 0.0), end)
        reach = sample.at + (sample.ms or 0.0) / 1000 + (3 * usual if following else usual)
        until = min(following.at if following else reach, reach, end)
        state = sample.state if sample.state in _GRAVITY else "unknown"
        if found and found[-1].state == state and start - found[-1].end < 1e-9:
            found[-1] = Stretch(found[-1].start, max(until, start), state)
        else:
            found.append(Stretch(start, max(until, start), state))
    return tuple(found)


def columns(lane: Sequence[Stretch], end: float, number: int) -> tuple[str, ...]:
    """The lane cut into ``number`` equal columns, each with the gravest state that touches it."""
    cells = [""] * number
    for piece in lane:
        first = min(number - 1, int(piece.start / end * number))
        last = min(number - 1, max(first, math.ceil(piece.end / end * number - 1e-9) - 1))
        for i in range(first, last + 1):
            if _GRAVITY[piece.state] > _GRAVITY[cells[i]]:
                cells[i] = piece.state
    return tuple(cells)


def runs(cells: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """Equal neighbours joined: first column, how many, state."""
    start = 0
    for i in range(1, len(cells) + 1):
        if i == len(cells) or cells[i] != cells[start]:
            yield start, i - start, cells[start]
            start = i


def worst(lanes: Sequence[Lane], end: float, resolution: int = 600) -> tuple[Stretch, ...]:
    """One lane for many: at each moment the gravest state that any of them was in."""
    cut = [columns(lane.stretches, end, resolution) for lane in lanes]
    cells = [max(column, key=lambda state: _GRAVITY[state]) for column in zip(*cut, strict=True)]
    return tuple(
        Stretch(start * end / resolution, (start + length) * end / resolution, state)
        for start, length, state in runs(cells) if state
    )  # fmt: skip


def _alike(lanes: Sequence[Lane], end: float) -> tuple[Lane, ...]:
    """Three or more edges of one wildcard (``peering[a→b]``) that went through the same at the same time share a lane."""
    families: list[list[Lane]] = []
    for lane in lanes:
        family = next((family for family in families if _same_course(family[0], lane, end / 30)), None)
        if family is None:
            families.append([lane])
        else:
            family.append(lane)
    joined: list[Lane] = []
    for family in families:
        if len(family) > 2:
            name = f"{family[0].name.partition('[')[0]} ({len(family)} edges, alike)"
            joined.append(Lane(name, family[0].stretches, len(family)))
        else:
            joined += family
    return tuple(joined)


def _same_course(one: Lane, other: Lane, tolerance: float) -> bool:
    return (
        one.name.endswith("]")
        and other.name.endswith("]")
        and one.name.partition("[")[0] == other.name.partition("[")[0]
        and [piece.state for piece in one.stretches] == [piece.state for piece in other.stretches]
        and all(abs(a.start - b.start) <= tolerance for a, b in zip(one.stretches, other.stretches, strict=True))
    )


def _fold(lanes: Sequence[Lane], most: int) -> tuple[tuple[Lane, ...], tuple[Lane, ...]]:
    """At most ``most`` lanes to show, those that changed first, and the rest; nobody reads two hundred lanes."""
    if len(lanes) <= most:
        return tuple(lanes), ()
    order = sorted(range(len(lanes)), key=lambda i: (len({p.state for p in lanes[i].stretches}) < 2, i))
    chosen = set(order[:most])
    return (
        tuple(lane for i, lane in enumerate(lanes) if i in chosen),
        tuple(lane for i, lane in enumerate(lanes) if i not in chosen),
    )


def _marks(record: RunRecord, end: float) -> Iterator[Mark]:
    """Every moment of every fault; one that all faults share is told once, without a number."""
    several = len(record.faults) > 1
    for name in MOMENTS:
        at = [getattr(fault.times, name) for fault in record.faults]
        shared = several and len(set(at)) == 1
        for index, seconds in enumerate(at[:1] if shared else at):
            if seconds is not None:
                number = f"{index + 1} " if several and not shared else ""
                yield Mark(min(max(seconds, 0.0), end), name, f"{number}{words.MOMENT_WORDS[name]}")


def _spans(record: RunRecord, end: float) -> Iterator[Span]:
    several = len(record.faults) > 1
    for index, fault in enumerate(record.faults):
        times = fault.times
        if times.inject is None:
            continue
        name = f"{index + 1} {fault.kind}" if several else fault.kind
        start = min(max(times.inject, 0.0), end)
        over = times.undo if times.undo is not None else times.clean
        yield Span(start, min(max(over, start), end) if over is not None else end, name, over is not None)


def ticks(end: float, most: int) -> tuple[float, ...]:
    """At most ``most`` round seconds from 0 to ``end`` (steps of 1, 2, 2.5 or 5 times a power of ten)."""
    step = 10.0 ** math.floor(math.log10(end / most))
    step = next(step * factor for factor in (1, 2, 2.5, 5, 10) if end / (step * factor) <= most)
    return tuple(round(step * i, 9) for i in range(int(end / step + 1e-9) + 1))
