"""The ledger: what is written stays, what is torn is found, what is foreign is refused."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from chaosnet.engine.ledger import Ledger
from chaosnet.engine.undo import undo_ticket
from chaosnet.errors import InputError, Refused
from chaosnet.model.change import Filter, Match
from chaosnet.model.inventory import Site
from chaosnet.model.ticket import Stage, Ticket, Undo
from chaosnet.targets.memory import MemoryTarget


def ticket(name: str = "abcdefghij", run: str = "run1", **changes: object) -> Ticket:
    made = Ticket(
        name, "partition", run, "me@here", "lab", "two-clusters", ("test/shop/client",), {"how": "drop"},
        (Filter(Site("pod", "test", "shop", "client", "test-1", ("10.0.1.5",)), "egress", Match(("10.0.1.5",))),),
        (Undo("filter", {"table": "chaosnet_abcdefghij"}, "remove the table"),), 60.0, time.time() + 60,
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def test_a_ticket_comes_back_as_it_was(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.write(ticket())
    assert Ledger(tmp_path).read("abcdefghij") == ticket(expires=Ledger(tmp_path).read("abcdefghij").expires)
    moved = ledger.advance(ledger.read("abcdefghij"), Stage.DONE, done=1.5)
    assert ledger.read("abcdefghij") == moved
    assert moved.times["done"] == 1.5


def test_open_tickets_newest_first_and_by_run(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for number, name in enumerate(("aaaaaaaaaa", "bbbbbbbbbb", "cccccccccc")):
        ledger.write(ticket(name, run="odd" if number % 2 else "even", times={"recorded": float(number)}))
    assert [t.id for t in ledger.open()] == ["cccccccccc", "bbbbbbbbbb", "aaaaaaaaaa"]
    assert [t.id for t in ledger.open("odd")] == ["bbbbbbbbbb"]
    ledger.remove(ledger.read("bbbbbbbbbb"))
    ledger.remove(ticket("bbbbbbbbbb"))
    assert [t.id for t in ledger.open("odd")] == []


def test_a_torn_file_is_found_and_does_not_hide_the_others(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.write(ticket())
    (ledger.folder / "torntorn00.json").write_text('{"id": "torn', encoding="utf-8")
    (ledger.folder / "wrongwrong.json").write_text("[]", encoding="utf-8")
    assert [t.id for t in ledger.open()] == ["abcdefghij"]
    assert {path.stem for path in ledger.unreadable()} == {"torntorn00", "wrongwrong"}
    with pytest.raises(InputError, match="chaosnet panic"):
        ledger.read("torntorn00")


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "ABCDEFGHIJ", "short", "abcdefghijk"])
def test_an_id_that_is_none_reaches_no_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="is not a ticket id"):
        Ledger(tmp_path).read(name)


def test_two_runs_do_not_meet_on_one_target(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.write(ticket())
    with pytest.raises(Refused, match="abcdefghij"):
        ledger.refuse_overlap(ticket("kkkkkkkkkk", run="run2"))
    ledger.refuse_overlap(ticket("kkkkkkkkkk"))
    ledger.refuse_overlap(ticket("kkkkkkkkkk", run="run2", target_ref="other"))
    ledger.write(ticket(expires=time.time() - 1))
    ledger.refuse_overlap(ticket("kkkkkkkkkk", run="run2"))


def test_the_audit_only_grows(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.audit("recorded", ticket(), settings={"how": "drop"})
    first = ledger.audit_file.read_bytes()
    ledger.audit("undone", ticket(), by="test")
    assert ledger.audit_file.read_bytes().startswith(first)
    lines = [json.loads(line) for line in ledger.audit_file.read_text().splitlines()]
    assert [line["event"] for line in lines] == ["recorded", "undone"]
    assert lines[0]["owner"] == "me@here"
    assert ledger.audit_file.stat().st_mode & 0o077 == 0


def test_a_ledger_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written: Not a directory; make room"):
        Ledger(tmp_path / "file")
    ledger = Ledger(tmp_path)
    (ledger.folder / "abcdefghij.json").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        ledger.write(ticket())
    assert [path.name for path in ledger.folder.iterdir()] == ["abcdefghij.json"]


def test_a_folder_among_the_tickets_is_in_nobody_s_way(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.write(ticket())
    (ledger.folder / "bbbbbbbbbb.json").mkdir()
    assert [one.id for one in ledger.open()] == ["abcdefghij"]
    assert [path.stem for path in ledger.unreadable()] == ["bbbbbbbbbb"]


def test_an_audit_that_cannot_be_written_stops_no_undo(tmp_path: Path, memory: MemoryTarget) -> None:
    ledger = Ledger(tmp_path)
    ledger.audit_file.mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        ledger.audit("recorded", ticket())
    plain = ticket(changes=(), undo=())
    ledger.write(plain)
    undo_ticket(memory, ledger, plain, by="test")
    assert list(ledger.open()) == []
