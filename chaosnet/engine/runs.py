"""Which runs are going on, so that another terminal can see and halt them.

One small file a run in the user's state folder, and a marker in the run's own folder when somebody halts it.  It sends no
signal and undoes nothing itself.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from chaosnet.engine.ledger import state_folder, writable
from chaosnet.errors import Refused

HALTED = "halted"


@dataclass(frozen=True, slots=True)
class RunningRun:
    """A run in progress.  ``pid`` is the process to tell (the supervisor, where there is one).

    ``born`` is when that process began, in clock ticks since boot (proc_pid_stat(5), field 22):
    numbers of processes are used again, and only with its birth does one name a process for good.
    """

    run: str
    pid: int
    title: str
    out: str
    target: str
    ref: str
    started: float
    born: int = 0


def _folder() -> Path:
    return state_folder() / "runs"


def register(run: RunningRun) -> None:
    """Note that a run has begun."""
    noted = replace(run, born=_born(run.pid))
    with writable(_folder()):
        _folder().mkdir(parents=True, exist_ok=True, mode=0o700)
        (_folder() / f"{run.run}.json").write_text(json.dumps(asdict(noted)), encoding="utf-8")


def unregister(run: str) -> None:
    """Note that a run has ended.  Idempotent."""
    (_folder() / f"{run}.json").unlink(missing_ok=True)


def running() -> Iterator[RunningRun]:
    """Runs whose process is alive; the files of dead ones, and what is no such file, are swept on the way."""
    for path in sorted(_folder().glob("*.json")):
        try:
            run = RunningRun(**json.loads(path.read_text(encoding="utf-8")))
            _check(run)
        except (ValueError, TypeError, OSError):
            _sweep(path)
            continue
        if _born(run.pid) == run.born:
            yield run
        else:
            _sweep(path)


def _sweep(path: Path) -> None:
    with suppress(OSError):  # what cannot be swept must not keep anybody from halting a run
        path.unlink(missing_ok=True)


def refuse_company(run: RunningRun) -> None:
    """Refused where another process's run went on there before: two would watch, and blame, each other's faults."""
    for other in running():
        same = (other.target, other.ref) == (run.target, run.ref) and other.pid != run.pid
        if same and (other.started, other.run) < (run.started, run.run):
            raise Refused(
                f"the run {other.run} ({other.title}) goes on on {run.target} {run.ref}; wait for it, or stop it with "
                f"chaosnet halt {other.run}"
            )


def halt(out: Path, by: str) -> None:
    """Mark a run's folder as halted: no further fault of it will be injected."""
    with suppress(OSError):  # a folder that is gone or full must not keep the faults in place
        (out / HALTED).write_text(by, encoding="utf-8")


def halted(out: Path) -> str:
    """Who halted the run, or empty."""
    path = out / HALTED
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _check(run: RunningRun) -> None:
    """ValueError for a record that we cannot have written: its ``pid`` is going to be sent a signal, and -1 is everybody."""
    words = (run.run, run.title, run.out, run.target, run.ref)
    if not all(isinstance(word, str) for word in words) or type(run.pid) is not int or type(run.born) is not int:
        raise ValueError("a field has the wrong type")
    if run.pid <= 1 or run.born <= 0:
        raise ValueError("no process of ours")


def _born(pid: int) -> int:
    """When a process began, or -1 where there is none, or a zombie.  Its name, in parentheses, may hold anything."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return -1
    return -1 if fields[0] == "Z" else int(fields[19])
