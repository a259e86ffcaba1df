"""The supervising parent of ``chaosnet run``: chaostoolkit runs in a child, and whatever kills the child is undone here.

The child is plain ``chaos run`` in a process group of its own.  The parent holds the target open (a lab lives as long as it
does), follows the child's events, and on Ctrl-C, SIGTERM, SIGHUP or the child's death closes the run from what the child had
written down.  It does not judge: the session does, whichever process closes it.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from chaosnet.engine import runs
from chaosnet.engine.saved import resume
from chaosnet.errors import ChaosnetError, InputError, Refused
from chaosnet.model.target import Target
from chaosnet.targets import open_target

_POLL = 0.05
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# What one run leaves that says how it went, to us or to the session.
_LEAVES = ("run.json", "refused.json", "session.json", "events.ndjson", "journal.json", runs.HALTED)


@dataclass(frozen=True, slots=True)
class Order:
    """One experiment to run: its file, where, and the folder for what it leaves."""

    file: str
    target: str
    lab: str
    out: Path
    placebo: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended: its record, or the exit status and sentence of a run that never had a session.

    ``stopped`` names the signal that ended it, for whoever was to start the next one.
    """

    exit: int
    record: dict[str, Any] | None = None
    sentence: str = ""
    stopped: str = ""


def supervise(order: Order, tell: Callable[[dict[str, Any]], None]) -> Ended:
    """Run one experiment to its verdict.  ``tell`` gets each event as it is written.

    Raises ChaosnetError where the target cannot be opened.
    """
    clear(order.out)
    with _stop_signals() as stop:
        try:
            with stop.at_once():
                target = open_target(order.target, lab=order.lab)
        except _Stopped:
            return stopped_early(stop.names[0])
        try:
            return _watch(order, target, _deaf(tell), stop)
        finally:
            target.close()


def clear(folder: Path) -> None:
    """Make the folder of a run, and remove what an earlier run left in it: its record must never pass for this one's.

    Refused where a run is going on in it; InputError where it cannot be written.
    """
    if any(Path(one.out) == folder.resolve() for one in runs.running()):
        raise Refused(f"--out: a run is going on in {folder}; name another folder, or stop that run with chaosnet halt")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in _LEAVES:
            (folder / name).unlink(missing_ok=True)
        (folder / "chaostoolkit.log").write_bytes(b"")
    except OSError as error:
        raise InputError("--out", f"{folder} cannot be written: {error.strerror}", "name a folder of yours") from None


def _watch(order: Order, target: Target, tell: Callable[[dict[str, Any]], None], stop: "_Stops") -> Ended:
    child = _start(order, target)
    try:
        _follow(child, order.out / "events.ndjson", tell, stop.names)
    except BaseException as error:
        # A mistake of ours must not leave the fault to its fuse.
        _reap(child)
        _ending(order, target, child.returncode, [type(error).__name__], tell)
        raise
    _reap(child)
    return _ending(order, target, child.returncode, stop.names, tell)


def _reap(child: "subprocess.Popen[bytes]") -> None:
    """End the child for good.  SIGKILL: one that still ran could inject again after our undo."""
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _deaf(tell: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    """``tell``, until nobody listens any more (``2>&1 | head``): the run, and its undo, go on."""
    gone = False

    def told(event: dict[str, Any]) -> None:
        nonlocal gone
        if not gone:
            try:
                tell(event)
            except OSError:
                gone = True

    return told


class _Stopped(BaseException):
    """A stop signal came while there was nothing to undo yet."""


@dataclass(slots=True)
class _Stops:
    """The stop signals so far, by name; ``abrupt`` while one may end what goes on at once."""

    names: list[str] = field(default_factory=list)
    abrupt: bool = False

    def note(self, number: int, frame: FrameType | None) -> None:
        """The handler."""
        self.names.append(signal.Signals(number).name)
        if self.abrupt:
            self.abrupt = False
            raise _Stopped

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """A signal in here raises _Stopped; elsewhere it is only noted."""
        self.abrupt = True
        try:
            yield
        finally:
            self.abrupt = False


@contextmanager
def _stop_signals() -> Iterator[_Stops]:
    """Collect stop signals instead of dying of them."""
    stops = _Stops()
    before = {number: signal.signal(number, stops.note) for number in _SIGNALS}
    try:
        yield stops
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stopped_early(signal_name: str) -> Ended:
    """The end of a run that was stopped before it began."""
    return Ended(3, None, f"{signal_name} was received before anything was injected; nothing was touched", signal_name)


def _start(order: Order, target: Target) -> "subprocess.Popen[bytes]":
    settings = order.out / "chaostoolkit-settings.yaml"
    # The user's own settings could register controls globally, which makes chaostoolkit drop the experiment's.
    settings.write_text("{}\n", encoding="utf-8")
    words = [
        sys.executable, "-m", "chaostoolkit", "--no-version-check", "--no-log-file", "--settings", str(settings.resolve()),
        "run", "--rollback-strategy", "always", "--journal-path", str((order.out / "journal.json").resolve()), order.file,
    ]  # fmt: skip
    environment = {
        **os.environ,
        "CHAOSNET_OUT": str(order.out.resolve()),
        "CHAOSNET_FILE": str(Path(order.file).resolve()),
        "CHAOSNET_TARGET": target.name,
        "CHAOSNET_LAB": target.ref,
        "CHAOSNET_PLACEBO": "1" if order.placebo else "",
        "CHAOSNET_SUPERVISOR": str(os.getpid()),
    }
    with open(order.out / "chaostoolkit.log", "wb") as log:
        return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True)


def _follow(child: "subprocess.Popen[bytes]", events: Path, tell: Callable[[dict[str, Any]], None], stop: list[str]) -> None:
    """Hand on events until the child ends or a stop signal comes."""
    position = 0
    while True:
        ended = child.poll() is not None
        position = hand_on(events, position, tell)
        if ended or stop:
            return
        time.sleep(_POLL)


def hand_on(events: Path, position: int, tell: Callable[[dict[str, Any]], None]) -> int:
    """Tell the whole lines of ``events`` after byte ``position``; the position after them."""
    if not events.exists():
        return position
    with open(events, "rb") as file:
        file.seek(position)
        data = file.read()
    whole = data[: data.rfind(b"\n") + 1]
    for line in whole.splitlines():
        tell(json.loads(line))
    return position + len(whole)


def _ending(order: Order, target: Target, status: int, stop: list[str], tell: Callable[[dict[str, Any]], None]) -> Ended:
    stopped = stop[0] if stop else ""
    finished = order.out / "run.json"
    if finished.exists():
        record: dict[str, Any] = json.loads(finished.read_text(encoding="utf-8"))
        return Ended(int(record["exit"]), record, "", stopped)
    refusal = order.out / "refused.json"
    if refusal.exists():
        refused = json.loads(refusal.read_text(encoding="utf-8"))
        return Ended(int(refused["exit"]), None, str(refused["sentence"]), stopped)
    why = f"{stopped} was received" if stop else f"the run's process ended with status {status}"
    if (order.out / "session.json").exists():
        position = (order.out / "events.ndjson").stat().st_size
        record = resume(target, order.out).close_out(cut_short=why)
        hand_on(order.out / "events.ndjson", position, tell)
        return Ended(int(record["exit"]), record, "", stopped)
    if stop:
        return stopped_early(stopped)
    return Ended(*_told_by_chaostoolkit(order))


def _told_by_chaostoolkit(order: Order) -> tuple[int, None, str]:
    """chaostoolkit refused the experiment before our control was asked: what its log says, in one line."""
    log = (order.out / "chaostoolkit.log").read_text(encoding="utf-8", errors="replace").splitlines()
    wrong = [line.partition("] ")[2] or line for line in log if "ERROR" in line or "CRITICAL" in line]
    text = wrong[-1].strip() if wrong else "chaostoolkit gave no reason"
    return 2, None, f"{order.file}: chaostoolkit will not run this experiment: {text}; see {order.out / 'chaostoolkit.log'}"


def reported(error: ChaosnetError) -> Ended:
    """A run that could not begin."""
    return Ended(error.exit, None, str(error))
