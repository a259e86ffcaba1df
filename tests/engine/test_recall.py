"""A killed run's fault, put together again from what it had said."""

from typing import Any

import pytest

from chaosnet.engine.faultrun import FaultRun, Proof, recall
from chaosnet.model.ticket import Ticket, Undo

SAID: list[dict[str, Any]] = [
    {"t": 1.0, "event": "ready"},
    {"t": 2.0, "event": "recorded", "fault": "abcdefghij"},
    {"t": 2.1, "event": "armed", "fault": "abcdefghij", "fuse": "the keeper, after 60 s"},
    {"t": 2.2, "event": "inject", "fault": "abcdefghij"},
    {"t": 2.3, "event": "done", "fault": "abcdefghij"},
    {"t": 3.0, "event": "effect", "fault": "abcdefghij", "name": "cut", "ok": True, "sentence": "it is cut"},
    {"t": 3.1, "event": "proven", "fault": "abcdefghij"},
    {"t": 9.0, "event": "inject", "fault": "zzzzzzzzzz"},
    {"t": 9.9, "event": "undo", "fault": "abcdefghij"},
    {"t": 10.0, "event": "undone", "fault": "abcdefghij", "left": []},
]


def fault() -> FaultRun:
    undo = (Undo("filter", {"table": "chaosnet_abcdefghij"}, "remove the table"),)
    return FaultRun(Ticket("abcdefghij", "partition", "r", "me@here", "lab", "m", ("a",), {}, (), undo, 60.0, 0.0))


@pytest.mark.parametrize("proofs", [[], [Proof("cut")]])
def test_all_that_was_said_is_known_again(proofs: list[Proof]) -> None:
    run = fault()
    run.proofs = proofs
    recall(run, SAID, start=100.0)
    assert run.times == {
        "t_armed": 102.1, "t_inject": 102.2, "t_done": 102.3, "t_effect": 103.1, "t_undo": 109.9, "t_undone": 110.0,
    }  # fmt: skip
    assert run.proven
    assert run.undone
    assert run.undo_steps == ("remove the table",)
    assert run.fuse == "the keeper, after 60 s"
    assert [(proof.name, proof.reading and proof.reading.sentence) for proof in run.proofs] == [("cut", "it is cut")]


def test_a_fault_that_was_only_recorded_was_never_injected() -> None:
    run = fault()
    recall(run, SAID[:2], start=100.0)
    assert (run.times, run.proven, run.undone) == ({}, False, False)


def test_an_undo_that_left_something_is_not_done() -> None:
    run = fault()
    recall(run, [*SAID[:-1], {**SAID[-1], "left": ["a table"]}], start=100.0)
    assert not run.undone


def test_what_the_session_had_written_itself_counts_more() -> None:
    run = fault()
    run.times = {"t_inject": 5.0}
    recall(run, SAID, start=100.0)
    assert run.times["t_inject"] == 5.0
