"""Run records to render: realistic ones, an aborted one, a hostile one and a crowd.  All made here, the same every time."""

import functools
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chaosnet.report.reading import parse
from chaosnet.report.record import RunRecord

_spec = importlib.util.spec_from_file_location("report_runs", Path(__file__).with_name("runs.py"))
assert _spec is not None
assert _spec.loader is not None
runs = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(runs)

NAMES = tuple(runs.RUNS)


@functools.cache
def record_of(name: str) -> RunRecord:
    """The typed record of a run; made once, for it cannot change."""
    return parse(runs.RUNS[name]())


@pytest.fixture
def run_json() -> Callable[[str], dict[str, Any]]:
    """A function: the name of a run to its raw record, fresh each time."""
    return lambda name: runs.RUNS[name]()


@pytest.fixture
def run_record() -> Callable[[str], RunRecord]:
    """A function: the name of a run to its typed record."""
    return record_of


@pytest.fixture(params=NAMES)
def any_run(request: pytest.FixtureRequest) -> tuple[str, RunRecord]:
    """Each run in turn: its name and typed record."""
    return request.param, record_of(request.param)


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """The folder of the black-hole run, with its ``run.json`` only."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps(runs.RUNS["black_hole"]()), encoding="utf-8")
    return folder
