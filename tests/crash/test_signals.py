"""Signals to a whole run: the child's death, the supervisor's, both, the keeper's; and Ctrl-C, SIGTERM and SIGHUP."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaosnet.engine.residue import compare
from chaosnet.model.target import Target
from chaosnet.targets import open_target

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(200)]


@pytest.fixture
def lab(own_state_folder: None) -> Iterator[Target]:
    """A lab that stays while runs on it die."""
    target = open_target("lab")
    target.settle(30)
    yield target
    target.close()


@contextmanager
def running(lab: Target, out: Path, fuse: str = "60s", pause: int = 30) -> Iterator["subprocess.Popen[str]"]:
    """A run on that lab, at the moment its fault has been proven."""
    document = yaml.safe_load((ROOT / "experiments/incidents/mtu-black-hole.yaml").read_text())
    document["extensions"][0].pop("lab")
    document["method"][0]["pauses"]["after"] = pause
    document["method"][0]["provider"]["arguments"]["duration"] = fuse
    out.mkdir()
    file = out / "experiment.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    process = subprocess.Popen(
        [sys.executable, "-m", "chaosnet", "run", "--json", "--quiet", "--lab", lab.ref, "--out", str(out / "run"), str(file)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_for(lambda: any(event["event"] == "proven" for event in events(out)), 40, process)
        yield process
    finally:
        process.kill()
        process.communicate()


def events(out: Path) -> list[dict[str, Any]]:
    """The events of the run so far."""
    file = out / "run" / "events.ndjson"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def wait_for(condition: Callable[[], bool], seconds: float, process: "subprocess.Popen[str] | None" = None) -> float:
    """Poll until ``condition``; how long it took.  Fails after ``seconds``, or when the process ends before."""
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < seconds
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.02)
    return time.monotonic() - begin


def child_of(process: "subprocess.Popen[str]") -> int:
    """The chaostoolkit process under a supervisor."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
            words = (path.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[1]) == process.pid and b"chaostoolkit" in words:
            return int(path.parent.name)
    raise AssertionError("the supervisor has no chaostoolkit child")


def ended(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """The document of a run that was cut short."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    document: dict[str, Any] = json.loads(out)
    assert document["verdict"] == "inconclusive"
    return document


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_stop_signal_undoes_at_once(lab: Target, tmp_path: Path, name: str) -> None:
    before = dict(lab.snapshot())
    with running(lab, tmp_path / "out") as process:
        assert lab.owned()
        process.send_signal(getattr(signal, name))
        wait_for(lambda: not lab.owned(), 2)
        record = ended(process)
    assert any(name in finding["sentence"] for finding in record["findings"])
    assert compare(before, lab.snapshot(), lab.owned()) == ()
    assert record["faults"][0]["proven"]
    assert record["faults"][0]["t_undo"] is not None


def test_chaostoolkit_killed_is_undone_by_its_parent(lab: Target, tmp_path: Path) -> None:
    before = dict(lab.snapshot())
    with running(lab, tmp_path / "out") as process:
        os.kill(child_of(process), signal.SIGKILL)
        wait_for(lambda: not lab.owned(), 3)
        record = ended(process)
    assert any("cut short" in finding["sentence"] for finding in record["findings"])
    assert compare(before, lab.snapshot(), lab.owned()) == ()
    assert record["residue"] == []


def test_both_killed_leaves_it_to_the_fuse(lab: Target, tmp_path: Path) -> None:
    before = dict(lab.snapshot())
    with running(lab, tmp_path / "out", fuse="10s", pause=4) as process:
        child = child_of(process)
        process.kill()
        os.kill(child, signal.SIGKILL)
        assert lab.owned()
        wait_for(lambda: not lab.owned(), 12)
    assert compare(before, lab.snapshot(), lab.owned()) == ()


def test_both_killed_then_undone_by_hand(lab: Target, tmp_path: Path) -> None:
    before = dict(lab.snapshot())
    with running(lab, tmp_path / "out") as process:
        child = child_of(process)
        process.kill()
        os.kill(child, signal.SIGKILL)
        process.wait()
    status = subprocess.run([sys.executable, "-m", "chaosnet", "status"], capture_output=True, text=True, check=False)
    assert status.returncode == 4, status.stdout + status.stderr
    assert "its run is dead: chaosnet undo" in status.stdout
    done = subprocess.run([sys.executable, "-m", "chaosnet", "undo", "--all"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert compare(before, lab.snapshot(), lab.owned()) == ()
    again = subprocess.run([sys.executable, "-m", "chaosnet", "undo", "--all"], capture_output=True, text=True, check=False)
    assert (again.returncode, again.stdout) == (0, "nothing to undo\n")


def test_halt_from_another_terminal(lab: Target, tmp_path: Path) -> None:
    before = dict(lab.snapshot())
    with running(lab, tmp_path / "out") as process:
        done = subprocess.run([sys.executable, "-m", "chaosnet", "halt"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert lab.owned() == ()
        record = ended(process)
    assert any("halted by" in finding["sentence"] for finding in record["findings"])
    assert compare(before, lab.snapshot(), lab.owned()) == ()


def test_panic_needs_no_ledger(lab: Target, tmp_path: Path) -> None:
    before = dict(lab.snapshot())
    with running(lab, tmp_path / "out") as process:
        child = child_of(process)
        process.kill()
        os.kill(child, signal.SIGKILL)
        process.wait()
    for path in (Path(os.environ["XDG_STATE_HOME"]) / "chaosnet/tickets").glob("*.json"):
        path.write_text("torn")
    done = subprocess.run([sys.executable, "-m", "chaosnet", "panic", "--yes"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "removed" in done.stdout
    assert compare(before, lab.snapshot(), lab.owned()) == ()


def test_the_keeper_killed_takes_everything_along(tmp_path: Path) -> None:
    target = open_target("lab")
    target.settle(30)
    record = json.loads((Path(os.environ["XDG_STATE_HOME"]) / f"chaosnet/labs/{target.ref}.json").read_text())
    with running(target, tmp_path / "out") as process:
        os.kill(record["pid"], signal.SIGKILL)
        out, err = process.communicate(timeout=60)
    assert process.returncode in (3, 5), err
    assert "Traceback" not in err
    status = subprocess.run([sys.executable, "-m", "chaosnet", "undo", "--all"], capture_output=True, text=True, check=False)
    assert status.returncode == 0
    assert "has ended, and everything in it" in status.stdout or "nothing to undo" in status.stdout
    target.close()
