"""The register of runs: only what we wrote ourselves is ever sent a signal."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from chaosnet.engine import runs
from chaosnet.engine.ledger import state_folder

MINE = runs.RunningRun("abcd1234", os.getpid(), "a title", "/nowhere", "memory", "m", 1.0)


def written(**changes: object) -> Path:
    runs.register(MINE)
    path = state_folder() / "runs" / "abcd1234.json"
    path.write_text(json.dumps(asdict(next(runs.running())) | changes))
    return path


def test_a_run_is_there_while_its_process_is() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    runs.register(replace(MINE, pid=process.pid))
    assert [run.pid for run in runs.running()] == [process.pid]
    process.communicate()
    assert list(runs.running()) == []


@pytest.mark.parametrize(
    "pid", [-1, 0, 1, True, "1", None, -os.getpid(), 2**70], ids=["-1", "0", "1", "True", "text", "None", "group", "huge"]
)
def test_a_record_with_an_odd_process_is_swept(pid: object) -> None:
    path = written(pid=pid)
    assert list(runs.running()) == []
    assert not path.exists()


def test_a_number_used_again_is_another_process() -> None:
    written(born=1)
    assert list(runs.running()) == []


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "\x00\xff", '{"run": 1}'])
def test_what_is_no_record_is_swept(text: str) -> None:
    path = written()
    path.write_text(text)
    assert list(runs.running()) == []
    assert not path.exists()


def test_a_folder_among_the_records_is_in_nobody_s_way() -> None:
    runs.register(MINE)
    (state_folder() / "runs" / "folder.json").mkdir()
    assert [run.run for run in runs.running()] == ["abcd1234"]


def test_a_run_whose_folder_is_gone_can_be_halted(tmp_path: Path) -> None:
    runs.halt(tmp_path / "gone", "me")
    assert runs.halted(tmp_path / "gone") == ""
