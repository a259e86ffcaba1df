"""How ``chaosnet run`` ends when things around it go wrong: readers that leave, folders, signals before anything began."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from chaosnet import shipped
from chaosnet.cli import supervise
from chaosnet.engine import runs
from chaosnet.engine.ledger import Ledger
from chaosnet.errors import InputError, Refused

PARTITION = shipped.experiments() / "incidents" / "prod-loses-test.yaml"
RUN = [sys.executable, "-m", "chaosnet", "run", "--target", "memory"]


@pytest.fixture
def quick(tmp_path: Path) -> Path:
    """An incident that the in-memory network plays in a few seconds."""
    document = yaml.safe_load(PARTITION.read_text())
    document["extensions"][0].pop("lab")
    document["method"][0]["pauses"]["after"] = 2
    file = tmp_path / "quick.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    return file


def test_a_run_goes_on_when_nobody_reads_it_any_more(quick: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen([*RUN, "--json", "--out", out, quick], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    process.stderr.readline()
    process.stderr.close()
    assert process.wait(60) == 0
    assert json.loads((out / "run.json").read_text())["verdict"] == "pass"
    assert list(Ledger().open()) == []


def test_the_status_of_a_failed_run_survives_a_closed_pipe(quick: Path) -> None:
    process = subprocess.Popen([*RUN, "--json", "--quiet", "--placebo", quick], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                               cwd=quick.parent)  # fmt: skip
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(60) == 3


def test_a_mistake_of_ours_while_watching_leaves_no_fault(quick: Path, tmp_path: Path) -> None:
    def tell(event: dict[str, object]) -> None:
        if event["event"] == "proven":
            raise ZeroDivisionError

    order = supervise.Order(str(quick), "memory", "", tmp_path / "out")
    with pytest.raises(ZeroDivisionError):
        supervise.supervise(order, tell)
    assert list(Ledger().open()) == []
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["verdict"] == "inconclusive"


def test_what_an_earlier_run_left_is_not_taken_for_this_one(tmp_path: Path) -> None:
    for name in ("run.json", "refused.json", "session.json", "events.ndjson", "halted"):
        (tmp_path / name).write_text('{"exit": 0}')
    (tmp_path / "notes.txt").write_text("the user's own")
    supervise.clear(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"notes.txt", "chaostoolkit.log"} | (
        {"state"} if (tmp_path / "state").exists() else set()
    )


def test_no_run_writes_into_the_folder_of_another(tmp_path: Path) -> None:
    out = tmp_path / "out"
    runs.register(runs.RunningRun("abcd", os.getpid(), "other", str(out.resolve()), "memory", "m", 0.0))
    with pytest.raises(Refused, match="a run is going on in"):
        supervise.clear(out)


def test_a_folder_that_cannot_be_written_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        supervise.clear(tmp_path / "file" / "out")


@pytest.mark.lab
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_while_the_lab_comes_up(tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    words = [sys.executable, "-m", "chaosnet", "run", "--quiet", "--out", out, PARTITION, PARTITION]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while not list(out.glob("*/chaostoolkit.log")):  # made just before the lab is started
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(getattr(signal, name))
    _, said = process.communicate(timeout=30)
    assert process.returncode == 3, said
    first, second = said.splitlines()
    assert first == f"chaosnet: {name} was received before anything was injected; nothing was touched"
    assert second == f"chaosnet: {PARTITION}: not run, for {name} was received"
