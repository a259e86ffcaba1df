"""A whole session on the in-memory network: what passes, and every way it must not."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chaosnet.engine import runs, saved
from chaosnet.engine.runs import RunningRun, register, running
from chaosnet.engine.saved import resume
from chaosnet.engine.session import Session, make_current
from chaosnet.errors import BaselineNotMet, InputError, NotProven, Refused
from chaosnet.faults.mtu import shrink_mtu
from chaosnet.faults.partition import partition
from chaosnet.targets import memory as memories

EDGES = {
    "small": {"from": "test/shop/client", "to": "svc:prod/prod-ns/prod-svc", "port": "8080/http", "send": 100},
    "upload": {"from": "test/shop/client", "to": "svc:prod/prod-ns/prod-svc", "port": "8080/http", "send": 3000},
    "inside": {"from": "prod/prod-ns/web", "to": "svc:prod/prod-ns/orders", "port": "8080/http", "send": 3000},
}
Opener = Callable[..., Session]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    """Open a session with a chaosnet block; it is the current one until the test ends."""
    targets = []

    def open_session(placebo: bool = False, **block: Any) -> Session:
        target = memories.fresh()
        targets.append(target)
        fields = {"edges": EDGES, "break": ["upload"], "watch": {"interval": "20ms", "timeout": "60ms"}, "recover": "2s"}
        experiment = {"title": "t", "extensions": [{"name": "chaosnet", **fields, **block}]}
        session = Session.open(target, experiment, "", tmp_path / f"out{len(targets)}", placebo)
        make_current(session)
        return session

    yield open_session
    make_current(None)
    for target in targets:
        target.close()


def black_hole(duration: str = "60s") -> dict[str, Any]:
    return shrink_mtu("hop:upload/source-node", "1450", "drop", duration=duration)


def sentences(record: dict[str, Any], outcome: str) -> str:
    return "; ".join(finding["sentence"] for finding in record["findings"] if finding["outcome"] == outcome)


def test_a_proven_and_undone_fault_passes(opened: Opener) -> None:
    session = opened()
    black_hole()
    time.sleep(0.5)
    session.undo()
    record = session.close_out()
    assert (record["verdict"], record["exit"]) == ("pass", 0), record["findings"]
    (fault,) = record["faults"]
    assert fault["t_inject"] <= fault["t_effect"] <= fault["t_undo"] <= fault["t_recover"] <= fault["t_clean"]
    assert list(session.ledger.open()) == []
    assert list(runs.running()) == []


def test_a_placebo_is_not_proven(opened: Opener) -> None:
    session = opened(placebo=True)
    with pytest.raises(NotProven, match="was not seen within"):
        partition("test/shop/client", "prod/prod-ns/web", duration="60s")
    record = session.close_out()
    assert (record["verdict"], record["exit"]) == ("inconclusive", 3)
    assert record["placebo"]


def test_an_effect_that_breaks_nothing_announced_is_inconclusive(opened: Opener) -> None:
    session = opened(**{"break": ["inside"], "may": ["upload"]})
    black_hole()
    time.sleep(0.4)
    record = session.close_out()
    assert record["verdict"] == "inconclusive"
    assert "inside had to break and stayed open" in sentences(record, "inconclusive")


def test_collateral_is_a_fail(opened: Opener) -> None:
    session = opened()
    black_hole()
    partition("prod/prod-ns/web", "prod/prod-ns/orders", duration="60s")
    time.sleep(0.5)
    record = session.close_out()
    assert (record["verdict"], record["exit"]) == ("fail", 1)
    assert "collateral: inside" in sentences(record, "fail")
    assert "inside" in record["faults"][0]["collateral"]


def test_a_fuse_that_goes_off_first_is_inconclusive(opened: Opener) -> None:
    session = opened()
    black_hole("1s")
    time.sleep(1.3)
    session.undo()
    record = session.close_out()
    assert record["verdict"] == "inconclusive"
    assert "its fuse of 1 s went off first" in sentences(record, "inconclusive")


def test_a_baseline_that_is_not_met_injects_nothing(opened: Opener) -> None:
    session = opened(open=["small"], **{"break": ["upload"]})
    before = session.target.snapshot()
    with pytest.raises(BaselineNotMet, match="small must be closed and is open"):
        black_hole()
    assert session.target.snapshot() == before
    record = session.close_out()
    assert (record["verdict"], record["faults"]) == ("inconclusive", [])


def test_the_ceiling_refuses_before_anything_is_touched(opened: Opener) -> None:
    session = opened(ceiling={"pods": 1})
    with pytest.raises(Refused, match=r"above its ceiling of 1"):
        partition("prod/prod-ns/*", "test/*/*", duration="60s")
    assert session.target.owned() == ()
    assert session.close_out()["exit"] == 2


def test_the_ceiling_counts_all_faults_of_a_run(opened: Opener) -> None:
    opened(ceiling={"pods": 1})
    partition("prod/prod-ns/orders", "prod/prod-ns/db", duration="60s")
    with pytest.raises(Refused, match="would touch 2 pods"):
        partition("prod/prod-ns/db", "prod/prod-ns/orders", duration="60s")


def test_a_halted_run_injects_no_more(opened: Opener) -> None:
    session = opened()
    runs.halt(session.out, "somebody@elsewhere")
    with pytest.raises(Refused, match="halted by somebody@elsewhere"):
        black_hole()
    assert "halted by somebody@elsewhere" in sentences(session.close_out(), "inconclusive")


def test_an_effect_lost_before_undo_is_inconclusive(opened: Opener) -> None:
    session = opened()
    black_hole()
    time.sleep(0.3)
    (run,) = session.faults
    session.target.undo(run.ticket.id, run.ticket.undo)  # as if somebody had mended it
    time.sleep(0.2)
    record = session.close_out()
    assert record["verdict"] == "inconclusive"
    assert "no longer showed before the undo" in sentences(record, "inconclusive")


def test_another_process_closes_a_run_from_what_it_left(opened: Opener) -> None:
    session = opened()
    black_hole()
    time.sleep(0.3)
    other = memories.reopen(session.target.ref)
    resumed = saved.resume(other, session.out)
    assert [run.ticket.id for run in resumed.faults] == [run.ticket.id for run in session.faults]
    record = resumed.close_out(cut_short="the process was killed")
    assert (record["verdict"], record["exit"]) == ("inconclusive", 3)
    assert "cut short: the process was killed" in sentences(record, "inconclusive")
    assert other.owned() == ()
    assert record["faults"][0]["effects"][0]["ok"]
    other.close()


def test_a_ticket_that_only_the_ledger_knows_is_taken_back(opened: Opener) -> None:
    session = opened()
    black_hole()
    session.faults.clear()  # as if the process had died between the ledger and its own notes
    record = session.close_out(cut_short="the process was killed")
    assert session.target.owned() == ()
    assert record["residue"] == []
    assert list(session.ledger.open()) == []


def test_two_drills_do_not_meet_on_one_target(opened: Opener, tmp_path: Path) -> None:
    session = opened()
    black_hole()
    other = Session.open(memories.reopen(session.target.ref), {"title": "second"}, "", tmp_path / "second")
    make_current(other)
    with pytest.raises(Refused, match="is open on memory"):
        partition("prod/prod-ns/orders", "prod/prod-ns/db", duration="60s")
    make_current(session)
    other.target.close()


def test_edges_that_select_nothing_end_the_run_before_it_begins(opened: Opener) -> None:
    with pytest.raises(InputError, match="selects nothing"):
        opened(edges={"lost": {"from": "test/shop/nobody", "to": "svc:prod/prod-ns/prod-svc", "port": 8080}}, **{"break": []})


def test_what_an_earlier_run_on_the_network_saw_is_not_this_one_s(opened: Opener, tmp_path: Path) -> None:
    session = opened()
    black_hole()
    session.close_out()
    later = Session.open(session.target, {"title": "later", "extensions": list(session.extensions)}, "", tmp_path / "later")
    make_current(later)
    later.require_baseline()
    assert min(sample.at for item in later.watching for sample in later.samples_of(item.edge.name)) >= later.start
    again = resume(session.target, later.out)
    record = again.close_out(cut_short="it was killed")
    assert min(sample[0] for edge in record["edges"] for sample in edge["samples"]) >= 0


def test_a_second_run_on_a_network_is_refused_before_it_watches(opened: Opener, tmp_path: Path) -> None:
    session = opened()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        first = RunningRun("aaaa1111", other.pid, "first", str(tmp_path), session.target.name, session.target.ref, 1.0)
        register(first)
        with pytest.raises(Refused, match="the run aaaa1111 .first. goes on on memory"):
            Session.open(session.target, {"title": "second"}, "", tmp_path / "second")
        assert "second" not in {run.title for run in running()}
        other.communicate()
    Session.open(session.target, {"title": "third"}, "", tmp_path / "third")


def test_a_run_that_could_not_begin_is_not_going_on(opened: Opener) -> None:
    with pytest.raises(InputError):
        opened(edges={"lost": {"from": "test/shop/nobody", "to": "svc:prod/prod-ns/prod-svc", "port": 8080}}, **{"break": []})
    assert list(running()) == []
