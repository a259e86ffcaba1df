"""Whole runs, as a user starts them: the command line, in a process of its own, on a real lab.

Runs mostly wait, so a few go on at once; each has its own state folder and its own lab.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
AT_ONCE = 2
"""More at once, beside the other test workers, and two busy cores make the edges of one run notice another."""


@dataclass(frozen=True)
class Ran:
    """How a run ended: exit status, the document on standard output (None if it is none), and what people were told."""

    exit: int
    record: dict[str, Any] | None
    told: str

    def findings(self, outcome: str) -> list[str]:
        """The sentences of that outcome."""
        assert self.record is not None, self.told
        return [finding["sentence"] for finding in self.record["findings"] if finding["outcome"] == outcome]


def chaosnet(*words: str, state: Path, timeout: float = 170.0, **environment: str) -> Ran:
    """Run the command line to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "chaosnet", *words],
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=state,
        env={**os.environ, "XDG_STATE_HOME": str(state / "state"), **environment},
        check=False,
    )
    try:
        record = json.loads(done.stdout)
    except ValueError:
        record = None
    return Ran(done.returncode, record, done.stdout + done.stderr)


@pytest.fixture(scope="session")
def pool() -> Iterator[ThreadPoolExecutor]:
    """A few runs at once."""
    with ThreadPoolExecutor(AT_ONCE) as workers:
        yield workers


@pytest.fixture(scope="session")
def runs(pool: ThreadPoolExecutor, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Future[Ran]]:
    """Order a run of an experiment file: it begins as soon as there is room."""

    def order(file: Path, *words: str) -> "Future[Ran]":
        state = tmp_path_factory.mktemp(file.stem[:20])
        return pool.submit(chaosnet, "run", "--quiet", "--json", "--out", str(state / "out"), *words, str(file), state=state)

    return order


def experiment(name: str) -> dict[str, Any]:
    """A shipped experiment as plain values, with the lab's path made absolute, for a test to change."""
    (path,) = (ROOT / "experiments").glob(f"*/{name}.yaml")
    document: dict[str, Any] = yaml.safe_load(path.read_text())
    block = document["extensions"][0]
    block["lab"] = str((path.parent / block["lab"]).resolve())
    return document


def written(document: dict[str, Any], folder: Path, name: str) -> Path:
    """An experiment of a test's own, as a file."""
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path
