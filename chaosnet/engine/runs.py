"""Which runs are going on, so that another terminal can see and halt them.

One small file a run in the user's state folder, and a marker in the run's own folder when somebody halts it.  It sends no
signal and undoes nothing itself.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from chaosnet.engine.ledger import state_folder

HALTED = "halted"


@dataclass(frozen=True, slots=True)
class RunningRun:
    """A run in progress.  ``pid`` is the process to tell (the supervisor, where there is one)."""

    run: str
    pid: int
    title: str
    out: str
    target: str
    ref: str
    started: float


def _folder() -> Path:
    return state_folder() / "runs"


def register(run: RunningRun) -> None:
    """Note that a run has begun."""
    _folder().mkdir(parents=True, exist_ok=True, mode=0o700)
    (_folder() / f"{run.run}.json").write_text(json.dumps(asdict(run)), encoding="utf-8")


def unregister(run: str) -> None:
    """Note that a run has ended.  Idempotent."""
    (_folder() / f"{run}.json").unlink(missing_ok=True)


def running() -> Iterator[RunningRun]:
    """Runs whose process is alive; the files of dead ones are swept on the way."""
    for path in sorted(_folder().glob("*.json")):
        try:
            run = RunningRun(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError, OSError):
            path.unlink(missing_ok=True)
            continue
        if _alive(run.pid):
            yield run
        else:
            path.unlink(missing_ok=True)


def halt(out: Path, by: str) -> None:
    """Mark a run's folder as halted: no further fault of it will be injected."""
    (out / HALTED).write_text(by, encoding="utf-8")


def halted(out: Path) -> str:
    """Who halted the run, or empty."""
    path = out / HALTED
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
