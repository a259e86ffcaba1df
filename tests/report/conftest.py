"""Run records to render: realistic ones, an aborted one, a hostile one and a crowd.  All made here, the same every time."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chaosnet.report.record import RunRecord, parse

_spec = importlib.util.spec_from_file_location("report_runs", Path(__file__).with_name("runs.py"))
assert _spec is not None and _spec.loader is not None
runs = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(runs)

NAMES = tuple(runs.RUNS)


@pytest.fixture
def run_json() -> Callable[[str], dict[str, Any]]:
    """A function: the name of a run to its raw record, fresh each time."""
    return lambda name: runs.RUNS[name]()


@pytest.fixture
def run_record() -> Callable[[str], RunRecord]:
    """A function: the name of a run to its typed record."""
    return lambda name: parse(runs.RUNS[name]())


@pytest.fixture(params=NAMES)
def any_run(request: pytest.FixtureRequest) -> tuple[str, RunRecord]:
    """Each run in turn: its name and typed record."""
    return request.param, parse(runs.RUNS[request.param]())
