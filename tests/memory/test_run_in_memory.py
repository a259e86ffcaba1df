"""A whole experiment without a kernel: the same file, the same engine, the same doors, on the in-memory target."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chaosnet.shipped import experiments


def run(folder: Path, incident: str, *more: str) -> tuple[int, dict[str, Any]]:
    """``chaosnet run --json`` on the in-memory target: exit status and document."""
    file = str(experiments() / "incidents" / f"{incident}.yaml")
    words = [str(Path(sys.executable).with_name("chaosnet")), "run", file, "--target", "memory", "--json"]
    done = subprocess.run(
        [*words, "--out", str(folder / "out"), *more],
        env=os.environ | {"XDG_STATE_HOME": str(folder / "state")},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.mark.slow
def test_the_black_hole_passes(tmp_path: Path) -> None:
    status, document = run(tmp_path, "mtu-black-hole")
    assert (status, document["verdict"]) == (0, "pass")
    (fault,) = document["faults"]
    assert fault["proven"]
    assert fault["residue"] == []
    assert list((tmp_path / "state" / "chaosnet" / "tickets").glob("*.json")) == []


@pytest.mark.slow
def test_without_the_fault_it_is_inconclusive(tmp_path: Path) -> None:
    status, document = run(tmp_path, "prod-loses-test", "--placebo")
    assert (status, document["verdict"]) == (3, "inconclusive")
    assert not document["faults"][0]["proven"]
