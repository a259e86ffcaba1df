"""Every shipped experiment ends as it declares, on the real lab, by the command line that the README gives."""

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pytest
import yaml

from tests.acceptance.conftest import ROOT, Ran

FILES = sorted((ROOT / "experiments").glob("incidents/*.yaml")) + sorted((ROOT / "experiments").glob("lessons/*.yaml"))
EXIT = {"pass": 0, "fail": 1, "inconclusive": 3}

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def ended(runs: Callable[..., "Future[Ran]"]) -> dict[Path, "Future[Ran]"]:
    """All of them, ordered at once."""
    return {file: runs(file) for file in FILES}


@pytest.mark.requires("haproxy")
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_shipped_experiment_ends_as_declared(file: Path, ended: dict[Path, "Future[Ran]"]) -> None:
    ran = ended[file].result()
    block = yaml.safe_load(file.read_text())["extensions"][0]
    declared = block.get("expect", "pass")
    assert ran.record is not None, ran.told
    assert ran.record["verdict"] == declared, ran.record["findings"]
    assert ran.exit == EXIT[declared]
    assert Path(ran.record["report"]).is_file()
    assert ran.record["residue"] == []
    for fault in ran.record["faults"]:
        assert fault["residue"] == []
        assert fault["t_undo"] is not None
        if declared == "pass":
            assert fault["proven"]
            assert fault["held"]
            assert fault["t_inject"] <= fault["t_effect"] <= fault["t_undo"] <= fault["t_clean"]


@pytest.mark.parametrize("file", [file for file in FILES if file.parent.name == "incidents"], ids=lambda file: file.stem)
def test_every_incident_has_edges_that_break_and_edges_that_do_not(file: Path) -> None:
    block = yaml.safe_load(file.read_text())["extensions"][0]
    assert block.get("break", []) + block.get("open", [])
    named = {name for word in ("break", "open", "shut", "may") for name in block.get(word, [])}
    assert set(block["edges"]) - named
