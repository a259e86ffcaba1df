"""The judgement: each way not to pass, from facts alone."""

import dataclasses
from collections.abc import Callable

import pytest

from chaosnet.engine.assess import Facts, Hypothesis, Seen, assess
from chaosnet.engine.faultrun import FaultRun, Proof
from chaosnet.engine.watch import Course
from chaosnet.model.edge import State
from chaosnet.model.fault import Reading
from chaosnet.model.ticket import Ticket
from chaosnet.model.verdict import Outcome, judge

BROKE = Course(State.OPEN, State.TIMED_OUT, State.OPEN, 1.0, 2.0, 9.0, held=True)
STEADY = Course(State.OPEN, State.OPEN, State.OPEN)


def fault() -> FaultRun:
    ticket = Ticket("abcdefghij", "partition", "r", "me@here", "memory", "m", ("a",), {}, (), (), 60.0, 0.0)
    return FaultRun(ticket, proofs=[Proof("cut", reading=Reading(True, "one of one edges is timed out"))], proven=True, held=True)


def good() -> Facts:
    edges = (Seen("upload", True, "break", BROKE), Seen("small", True, "hold", STEADY), Seen("own", False, "hold", STEADY))
    return Facts((fault(),), edges, Hypothesis(True, True, True, True), (), 30.0)


def test_all_good_is_a_pass() -> None:
    assert judge(assess(good())).outcome is Outcome.PASS


def _unproven(facts: Facts) -> Facts:
    facts.faults[0].proven = False
    return facts


def _lost(facts: Facts) -> Facts:
    facts.faults[0].held = False
    return facts


def _blown(facts: Facts) -> Facts:
    facts.faults[0].fuse_blown = True
    return facts


def _claimless(facts: Facts) -> Facts:
    edges = (Seen("upload", True, "may", BROKE), Seen("own", False, "hold", STEADY))
    return dataclasses.replace(facts, edges=edges, hypothesis=Hypothesis())


def _edge(name: str, **changes: object) -> Callable[[Facts], Facts]:
    def change(facts: Facts) -> Facts:
        edges = tuple(
            dataclasses.replace(seen, course=dataclasses.replace(seen.course, **changes)) if seen.name == name else seen
            for seen in facts.edges
        )
        return dataclasses.replace(facts, edges=edges)

    return change


def _facts(**changes: object) -> Callable[[Facts], Facts]:
    return lambda facts: dataclasses.replace(facts, **changes)


@pytest.mark.parametrize(
    ("spoil", "outcome", "says"),
    [
        (_unproven, Outcome.INCONCLUSIVE, "not proven"),
        (_lost, Outcome.INCONCLUSIVE, "did not hold until undo"),
        (_blown, Outcome.INCONCLUSIVE, "its fuse of 60 s went off"),
        (_claimless, Outcome.INCONCLUSIVE, "claims nothing"),
        (_facts(faults=()), Outcome.INCONCLUSIVE, "no fault was injected"),
        (_facts(cut_short="SIGTERM was received"), Outcome.INCONCLUSIVE, "cut short"),
        (_facts(baseline="small is timed out"), Outcome.INCONCLUSIVE, "small is timed out"),
        (_edge("upload", changed_at=None), Outcome.INCONCLUSIVE, "upload had to break"),
        (_edge("upload", held=False), Outcome.INCONCLUSIVE, "not until undo"),
        (_edge("own", changed_at=2.0, during=State.RESET, recovered_at=9.0), Outcome.FAIL, "collateral: own"),
        (_edge("upload", recovered_at=None), Outcome.FAIL, "was not back"),
        (_facts(residue=("table inet chaosnet_x",)), Outcome.FAIL, "left behind"),
        (_facts(hypothesis=Hypothesis(True, True, False, True)), Outcome.FAIL, "during the fault"),
        (_facts(hypothesis=Hypothesis(True, True, True, False)), Outcome.FAIL, "after recovery"),
        (_facts(hypothesis=Hypothesis(True, True, True, None)), Outcome.INCONCLUSIVE, "not checked after"),
        (_facts(hypothesis=Hypothesis(True, None, True, True)), Outcome.INCONCLUSIVE, "not checked before"),
        (_edge("small", during=State.UNKNOWN), Outcome.INCONCLUSIVE, "small was tried too seldom"),
        (_facts(hypothesis=Hypothesis(True, False, None, None)), Outcome.INCONCLUSIVE, "before the fault"),
    ],
)
def test_each_way_not_to_pass(spoil: Callable[[Facts], Facts], outcome: Outcome, says: str) -> None:
    verdict = judge(assess(spoil(good())))
    assert verdict.outcome is outcome
    assert any(says in finding.sentence for finding in verdict.findings if finding.outcome is outcome)


def test_a_crowd_breaks_where_it_can() -> None:
    broken = Seen("another", True, "break", BROKE, any=True)
    shut = Course(State.TIMED_OUT, State.TIMED_OUT, State.TIMED_OUT)
    facts = dataclasses.replace(good(), edges=(*good().edges, Seen("shut", True, "break", shut, any=True), broken))
    assert judge(assess(facts)).outcome is Outcome.PASS
    facts = dataclasses.replace(good(), edges=(*good().edges, Seen("open", True, "break", STEADY, any=True)))
    assert judge(assess(facts)).outcome is Outcome.INCONCLUSIVE


def test_a_crowd_of_which_nothing_can_break_shows_nothing() -> None:
    shut = Course(State.TIMED_OUT, State.TIMED_OUT, State.TIMED_OUT)
    crowd = (Seen("one", True, "break", shut, any=True), Seen("other", True, "break", shut, any=True))
    verdict = judge(assess(dataclasses.replace(good(), edges=crowd)))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert any("none of 2 edges" in finding.sentence for finding in verdict.findings)


def test_an_edge_that_must_open_has_to_pass_then() -> None:
    opened = Course(State.TIMED_OUT, State.OPEN, State.TIMED_OUT, 1.0, 2.0, 9.0, held=True)
    facts = dataclasses.replace(good(), edges=(Seen("intruder", True, "open", opened),))
    assert judge(assess(facts)).outcome is Outcome.PASS
    refused = dataclasses.replace(opened, during=State.REFUSED)
    facts = dataclasses.replace(good(), edges=(Seen("intruder", True, "open", refused),))
    assert judge(assess(facts)).outcome is Outcome.INCONCLUSIVE
