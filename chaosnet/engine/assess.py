"""The judgement of a run: facts in, findings out.  Pure, so that an old run can be judged again.

``pass`` needs everything: effect proven and held, the ``break`` edges broken and held broken, scope kept, hypothesis held
before, during and after, all recovered, nothing left.  No measurement is taken here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chaosnet.engine.faultrun import FaultRun
from chaosnet.engine.watch import Course
from chaosnet.model.edge import State
from chaosnet.model.verdict import Finding, Outcome

STILL = ("hold", "shut")
"""What is expected of edges that must not change: open ones hold, closed ones stay shut."""

PASS, INCONCLUSIVE, FAIL = Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL


@dataclass(frozen=True, slots=True)
class Seen:
    """One watched edge: what was expected of it (break, open, shut, may, hold), whether it was declared, and its course.

    ``any`` is one of a crowd: of those only the ones that can break (or open) have to.
    """

    name: str
    declared: bool
    expected: str
    course: Course
    any: bool = False


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What chaostoolkit's own steady-state hypothesis said; None where it was not asked (or the experiment has none)."""

    stated: bool = False
    before: bool | None = None
    during: bool | None = None
    after: bool | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the verdict rests on.  ``cut_short`` says why a run did not get to its end; ``injected`` whether anything was."""

    faults: Sequence[FaultRun]
    edges: Sequence[Seen]
    hypothesis: Hypothesis
    residue: Sequence[str]
    recover_within: float
    cut_short: str = ""
    refused: str = ""
    baseline: str = ""


def assess(facts: Facts) -> tuple[Finding, ...]:
    """Every finding, good ones included; :func:`chaosnet.model.verdict.judge` draws the verdict."""
    findings = [
        *_run(facts), *_effects(facts.faults), *_broken(facts), *_collateral(facts), *_hypothesis(facts),
        *_recovery(facts), *_residue(facts),
    ]  # fmt: skip
    return tuple(findings)


def collateral(edges: Iterable[Seen]) -> tuple[str, ...]:
    """Names of edges that changed though nobody announced it."""
    return tuple(seen.name for seen in edges if seen.expected in STILL and seen.course.changed)


def _run(facts: Facts) -> Iterable[Finding]:
    if facts.baseline:
        yield Finding(INCONCLUSIVE, "baseline", facts.baseline)
    if facts.refused:
        yield Finding(INCONCLUSIVE, "run", facts.refused)
    if facts.cut_short:
        yield Finding(INCONCLUSIVE, "run", f"the run was cut short: {facts.cut_short}")
    if not facts.faults and not (facts.baseline or facts.refused or facts.cut_short):
        yield Finding(INCONCLUSIVE, "effect", "no fault was injected, so nothing was shown")
    if facts.faults and not facts.hypothesis.stated and not any(s.declared and s.expected != "may" for s in facts.edges):
        claim = "declare an edge that must break or hold, or a steady-state hypothesis"
        yield Finding(INCONCLUSIVE, "scope", f"the experiment claims nothing that could turn out wrong; {claim}")


def _effects(faults: Sequence[FaultRun]) -> Iterable[Finding]:
    for fault in faults:
        name = f"{fault.ticket.kind} at {', '.join(fault.ticket.at) or fault.ticket.target}"
        if not fault.proven:
            why = next((p.reading.sentence for p in fault.proofs if p.reading and not p.reading.ok), "it was not measured")
            yield Finding(INCONCLUSIVE, "effect", f"{name}: its effect was not proven: {why}")
        elif fault.fuse_blown and fault.held:
            yield Finding(INCONCLUSIVE, "effect", f"{name}: its fuse of {fault.ticket.fuse:g} s went off before the undo")
        elif fault.lost or not fault.held:
            yield Finding(INCONCLUSIVE, "effect", f"{name}: its effect did not hold until undo: {fault.lost or 'not measured'}")
        else:
            shown = "; ".join(p.reading.sentence for p in fault.proofs if p.reading)
            yield Finding(PASS, "effect", f"{name}: proven and held until undo: {shown}")
        if fault.drift:
            yield Finding(INCONCLUSIVE, "run", f"{name}: its targets changed under it: {fault.drift}")


def _broken(facts: Facts) -> Iterable[Finding]:
    if not facts.faults:
        return
    for seen in facts.edges:
        course = seen.course
        if not seen.declared or seen.expected not in ("break", "open"):
            continue
        if seen.any and (course.before is State.UNKNOWN or course.before.passes == (seen.expected == "open")):
            continue
        if not course.changed:
            yield Finding(INCONCLUSIVE, "scope", f"{seen.name} had to {seen.expected} and stayed {course.before}")
        elif seen.expected == "open" and not (course.during and course.during.passes):
            yield Finding(INCONCLUSIVE, "scope", f"{seen.name} had to open and was {course.during}")
        elif not course.held:
            yield Finding(INCONCLUSIVE, "scope", f"{seen.name} did {seen.expected} ({course.during}) but not until undo")
        else:
            yield Finding(PASS, "scope", f"{seen.name} went from {course.before} to {course.during}, as announced")
    crowd = [seen for seen in facts.edges if seen.declared and seen.any and seen.expected in ("break", "open")]
    if crowd and not any(seen.course.changed for seen in crowd):
        yield Finding(INCONCLUSIVE, "scope", f"none of {len(crowd)} edges with port: any did change, though they had to")


def _collateral(facts: Facts) -> Iterable[Finding]:
    hit = [seen for seen in facts.edges if seen.expected in STILL and seen.course.changed]
    for seen in hit[:20]:
        what = f"{seen.name} went from {seen.course.before} to {seen.course.during}"
        yield Finding(FAIL, "scope", f"collateral: {what}, which nobody announced")
    if len(hit) > 20:
        yield Finding(FAIL, "scope", f"collateral: {len(hit) - 20} more edges changed")
    for seen in facts.edges:
        unseen = seen.course.during is State.UNKNOWN and seen.course.before is not State.UNKNOWN
        if facts.faults and seen.declared and seen.expected in STILL and unseen:
            yield Finding(INCONCLUSIVE, "scope", f"{seen.name} was tried too seldom during the fault to say that it held")
    if facts.faults and not hit:
        steady = sum(seen.course.before is not State.UNKNOWN for seen in facts.edges if seen.expected in STILL)
        yield Finding(PASS, "scope", f"{steady} other watched edges did not change")


def _hypothesis(facts: Facts) -> Iterable[Finding]:
    hypothesis = facts.hypothesis
    if not hypothesis.stated:
        return
    if hypothesis.before is False:
        yield Finding(INCONCLUSIVE, "baseline", "the steady-state hypothesis did not hold before the fault")
        return
    moments = (
        ("before the fault", hypothesis.before), ("during the fault", hypothesis.during), ("after recovery", hypothesis.after),
    )  # fmt: skip
    for when, held in moments:
        if held is False:
            yield Finding(FAIL, "hypothesis", f"the steady-state hypothesis did not hold {when}")
        elif held is None and facts.faults:
            yield Finding(INCONCLUSIVE, "hypothesis", f"the steady-state hypothesis was not checked {when}")
    if hypothesis.before and hypothesis.during and hypothesis.after:
        yield Finding(PASS, "hypothesis", "the steady-state hypothesis held before, during and after")


def _recovery(facts: Facts) -> Iterable[Finding]:
    away = [seen for seen in facts.edges if seen.course.changed and seen.course.recovered_at is None]
    for seen in away[:20]:
        now = seen.course.after
        yield Finding(
            FAIL,
            "recovery",
            f"{seen.name} was not back to {seen.course.before} {facts.recover_within:g} s after undo (now {now})",
        )
    if facts.faults and not away and any(seen.course.changed for seen in facts.edges):
        yield Finding(PASS, "recovery", "every edge that changed came back")


def _residue(facts: Facts) -> Iterable[Finding]:
    lines = [*(line for fault in facts.faults for line in fault.residue), *facts.residue]
    for line in lines:
        yield Finding(FAIL, "residue", f"left behind: {line}")
    if facts.faults and not lines:
        yield Finding(PASS, "residue", "nothing was left behind")
