"""The same experiments by plain ``chaos run``: undone, judged, and a vacuous run exits 1.  Run on both chaostoolkit versions."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.conftest import ROOT, experiment, written

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.chaostoolkit, pytest.mark.timeout(300)]


def chaos(file: Path, folder: Path, **environment: str) -> tuple[int, dict[str, object]]:
    """Plain ``chaos run``: its exit status, and our record."""
    done = subprocess.run(
        [sys.executable, "-m", "chaostoolkit", "--no-version-check", "--no-log-file", "run", str(file)],
        cwd=folder,
        env={**os.environ, "XDG_STATE_HOME": str(folder / "state"), "CHAOSNET_OUT": str(folder / "out"), **environment},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    record = folder / "out" / "run.json"
    assert record.exists(), done.stdout + done.stderr
    return done.returncode, json.loads(record.read_text())


def test_an_incident_passes(tmp_path: Path) -> None:
    status, record = chaos(ROOT / "experiments/incidents/dns-down.yaml", tmp_path)
    assert (status, record["verdict"]) == (0, "pass"), record["findings"]
    assert record["residue"] == []
    assert not list((tmp_path / "state/chaosnet/tickets").glob("*.json"))
    assert json.loads((tmp_path / "journal.json").read_text())["chaosnet"]["verdict"] == "pass"


def test_a_vacuous_run_exits_1(tmp_path: Path) -> None:
    status, record = chaos(ROOT / "experiments/incidents/dns-down.yaml", tmp_path, CHAOSNET_PLACEBO="1")
    assert (status, record["verdict"]) == (1, "inconclusive")


def test_an_action_that_fails_stops_the_run(tmp_path: Path) -> None:
    document = experiment("dns-down")
    failing = {"type": "python", "module": "os", "func": "chdir", "arguments": {"path": str(tmp_path / "absent")}}
    document["method"].insert(0, {"type": "action", "name": "what fails", "provider": failing})
    status, record = chaos(written(document, tmp_path, "failing"), tmp_path)
    assert (status, record["verdict"]) == (1, "inconclusive")
    assert record["faults"] == []


def test_an_activity_without_the_control_says_what_to_do(tmp_path: Path) -> None:
    document = experiment("dns-down")
    del document["controls"]
    file = written(document, tmp_path, "uncontrolled")
    done = subprocess.run(
        [sys.executable, "-m", "chaostoolkit", "--no-version-check", "--no-log-file", "run", str(file)],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    journal = json.loads((tmp_path / "journal.json").read_text())
    probe = journal["steady_states"]["before"]["probes"][0]
    assert "list the control in the experiment" in probe["exception"][-1]
