"""The lab as a target: every call goes over its keeper's socket.

Safe to use from several threads: each call takes a connection of its own from a small pool, so that a long measurement does not
hold up the samples.  Enters no namespace and touches no kernel itself.
"""

import array
import os
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import count
from typing import Any

from chaosnet.errors import TargetError, TargetGone
from chaosnet.model.change import Change
from chaosnet.model.edge import Edge, Observation
from chaosnet.model.fault import Capabilities, Reading
from chaosnet.model.inventory import Inventory, Site
from chaosnet.model.question import Answer, Question
from chaosnet.model.ticket import Undo
from chaosnet.targets.lab import calls, running

# Longer than anything the keeper does for one call; settle and loads bring their own.
_PATIENCE = 120.0


class LabTarget:
    """A running lab.  ``owner`` is the pipe that keeps it alive where this process started it: :meth:`close` ends it then."""

    name = "lab"

    def __init__(self, ref: str, owner: int = -1, started: float = 0.0) -> None:
        self.ref = ref
        self.seconds_to_start = started
        self._owner = owner
        # Where the lab is, as of now: the environment may change under a long-lived target.
        self._home = running.home()
        self._idle: list[socket.socket] = []
        self._lock = threading.Lock()
        self._numbers = count(1)

    def _dial(self) -> socket.socket:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        try:
            return running.dial(self.ref, self._home)
        except TargetError as error:
            if running.find(self.ref, self._home) is None:
                raise TargetGone(f"the lab {self.ref} has ended, and everything in it") from error
            raise

    def _call(self, name: str, *arguments: Any, patience: float = _PATIENCE) -> Any:
        wire = self._dial()
        try:
            wire.settimeout(patience)
            wire.sendall(calls.request(next(self._numbers), name, arguments))
            line = _line(wire)
        except TimeoutError:
            wire.close()
            raise TargetError(f"the lab {self.ref} did not answer {name} within {patience:g} s") from None
        except OSError as error:
            wire.close()
            raise TargetGone(f"the lab {self.ref} ended during {name} ({error.strerror or error})") from error
        with self._lock:
            self._idle.append(wire)
        return calls.read_answer(name, line)

    def capabilities(self) -> Capabilities:
        """What can be done here."""
        found: Capabilities = self._call("capabilities")
        return found

    def inventory(self) -> Inventory:
        """What exists now."""
        found: Inventory = self._call("inventory")
        return found

    def settle(self, timeout: float) -> None:
        """Wait until BGP has converged and the DNS servers answer; TargetError after ``timeout`` seconds."""
        self._call("settle", timeout, patience=timeout + 10)

    def describe(self) -> Mapping[str, str]:
        """The environment in words."""
        found: Mapping[str, str] = self._call("describe")
        return found

    def prepare(self, ticket: str, change: Change) -> Undo:
        """How ``change`` would be taken back; touches nothing."""
        found: Undo = self._call("prepare", ticket, change)
        return found

    def arm(self, ticket: str, undo: Sequence[Undo], seconds: float) -> str:
        """Arm the fuse in the keeper and the kernel."""
        return str(self._call("arm", ticket, tuple(undo), seconds))

    def do(self, ticket: str, change: Change, undo: Undo) -> None:
        """Make the change."""
        self._call("do", ticket, change, undo)

    def in_force(self, ticket: str, change: Change) -> Reading:
        """Whether the change is there now."""
        found: Reading = self._call("in_force", ticket, change)
        return found

    def undo(self, ticket: str, undo: Sequence[Undo]) -> None:
        """Take everything of ``ticket`` back; idempotent."""
        self._call("undo", ticket, tuple(undo))

    def fuse_blown(self, ticket: str) -> bool:
        """Whether the fuse of ``ticket`` went off."""
        return bool(self._call("fuse_blown", ticket))

    def owned(self) -> tuple[str, ...]:
        """Everything of chaosnet's faults that is there now."""
        found: tuple[str, ...] = self._call("owned")
        return found

    def panic(self) -> tuple[str, ...]:
        """Remove everything of ours without the ledger."""
        found: tuple[str, ...] = self._call("panic")
        return found

    def snapshot(self) -> Mapping[str, str]:
        """The state of everything as text by key."""
        found: Mapping[str, str] = self._call("snapshot")
        return found

    def forget(self, sites: Sequence[Site]) -> tuple[str, ...]:
        """Flush what endpoints learned during a fault."""
        found: tuple[str, ...] = self._call("forget", tuple(sites))
        return found

    def ask(self, question: Question) -> Answer:
        """Measure."""
        seconds = getattr(question, "seconds", 0.0) + getattr(question, "timeout", 0.0)
        found: Answer = self._call("ask", question, patience=_PATIENCE + seconds)
        return found

    def watch(self, edges: Sequence[Edge], interval: float, timeout: float) -> None:
        """Begin to try each edge every ``interval`` seconds."""
        self._call("watch", tuple(edges), interval, timeout)

    def samples(self, after: int) -> tuple[int, tuple[Observation, ...]]:
        """Observations since cursor ``after``, and the new cursor."""
        found: tuple[int, tuple[Observation, ...]] = self._call("samples", after)
        return found

    def hold(self, edges: Sequence[Edge], interval: float = 0.2, timeout: float = 1.0) -> None:
        """Keep one TCP connection open along each edge; no edges: let go."""
        self._call("hold", tuple(edges), interval, timeout)

    def held(self) -> tuple[Observation, ...]:
        """How the held connections fare."""
        found: tuple[Observation, ...] = self._call("held")
        return found

    def survey(self) -> Mapping[str, Any]:
        """Everything of the lab at a glance, as plain values."""
        found: Mapping[str, Any] = self._call("survey")
        return found

    def capture_points(self, edge: Edge) -> tuple[tuple[str, str, str], ...]:
        """Where packets of an edge can be captured: point, namespace, interface."""
        found: tuple[tuple[str, str, str], ...] = self._call("capture_points", edge)
        return found

    def run(
        self,
        place: str,
        argv: Sequence[str],
        stdio: tuple[int, int, int] = (0, 1, 2),
        started: Callable[[Callable[[int], None]], None] = lambda send_signal: None,
    ) -> int:
        """Run a command inside a pod, node or router on these descriptors; its exit status (128 + signal).

        ``started`` is given a function that sends the command a signal.
        """
        wire = running.dial(self.ref, self._home)
        try:
            line = calls.request(next(self._numbers), "run", (place, tuple(argv), os.getcwd()))
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", stdio).tobytes())]
            sent = wire.sendmsg([line], rights)
            wire.sendall(line[sent:])

            def send_signal(number: int) -> None:
                # Answered before the command is, with a number of its own; the answer is skipped below.
                with suppress(OSError):
                    wire.sendall(calls.request(0, "signal", (number,)))

            started(send_signal)
            while True:
                answer = _line(wire)
                if not answer.startswith(b'{"id":0,'):
                    return int(calls.read_answer("run", answer))
        except OSError as error:
            raise TargetGone(f"the lab {self.ref} ended while {argv[0]} ran in it") from error
        finally:
            wire.close()

    def record(
        self,
        points: Sequence[tuple[str, str, str]],
        program: Sequence[tuple[int, int, int, int]],
        file: int,
        wait: Callable[[], object],
    ) -> dict[str, int]:
        """Capture packets at points (name, namespace, interface) into a file, while ``wait`` waits; point → packets."""
        with running.dial(self.ref, self._home) as wire:
            try:
                line = calls.request(next(self._numbers), "record", (tuple(points), tuple(program)))
                sent = wire.sendmsg([line], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file]).tobytes())])
                wire.sendall(line[sent:])
                answer = _line(wire)
                if not answer.startswith(b'{"id":0,'):
                    calls.read_answer("record", answer)  # it never began: raises why
                wait()
                wire.sendall(calls.request(0, "signal", (0,)))
                while (answer := _line(wire)).startswith(b'{"id":0,'):
                    continue
            except OSError as error:
                raise TargetGone(f"the lab {self.ref} ended while packets were captured in it") from error
        counted = calls.read_answer("record", answer)
        return {name: packets for (name, _, _), (packets, _) in zip(points, counted, strict=True)}

    def end(self) -> None:
        """End the lab, whoever started it; it is gone when this returns."""
        keeper = running.find(self.ref, self._home)
        self._call("end")
        self.close()
        if keeper is not None:
            running.await_end(keeper, self._home)

    def close(self) -> None:
        """Let go.  A lab that this process started goes away, and is gone when this returns."""
        with self._lock:
            idle, self._idle = self._idle, []
        for wire in idle:
            wire.close()
        if self._owner >= 0:
            keeper = running.find(self.ref, self._home)
            os.close(self._owner)
            self._owner = -1
            if keeper is not None:
                running.await_end(keeper, self._home)


def _line(wire: socket.socket) -> bytes:
    pieces = []
    while True:
        piece = wire.recv(1 << 20)
        if not piece:
            raise ConnectionResetError("it hung up")
        pieces.append(piece)
        if piece.endswith(b"\n"):
            return b"".join(pieces)
