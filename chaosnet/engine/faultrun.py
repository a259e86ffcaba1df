"""What is known of one fault of one run, from its ticket to its last reading; plain enough to survive its process.

A value that fills up as the run goes on.  It does nothing by itself: :mod:`chaosnet.engine.inject` and the session fill it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chaosnet.model.change import say
from chaosnet.model.codec import from_plain, to_plain
from chaosnet.model.fault import Effect, Reading
from chaosnet.model.question import Answer
from chaosnet.model.ticket import Ticket


@dataclass(slots=True)
class Proof:
    """One effect: the answer before, and the last reading.  ``effect`` is absent once the run's process is gone."""

    name: str
    effect: Effect | None = None
    before: Answer | None = None
    reading: Reading | None = None
    before_plain: Any = None

    def plain(self) -> dict[str, Any]:
        """For the record: name, ok, sentence, before, figures."""
        reading = self.reading
        return {
            "name": self.name,
            "ok": bool(reading and reading.ok),
            "sentence": reading.sentence if reading else "not measured",
            "before": to_plain(self.before) if self.before is not None else self.before_plain,
            "figures": to_plain(reading.figures) if reading else {},
        }


@dataclass(slots=True)
class FaultRun:
    """One fault.  ``times`` are monotonic seconds by name (t_inject, t_effect, t_undo); ``lost`` says why proof did not hold."""

    ticket: Ticket
    established: str = ""
    fresh: str = ""
    fuse: str = ""
    warnings: tuple[str, ...] = ()
    proofs: list[Proof] = field(default_factory=list)
    proven: bool = False
    held: bool = False
    fuse_blown: bool = False
    undone: bool = False
    lost: str = ""
    drift: str = ""
    packets: int = 0
    bytes: int = 0
    times: dict[str, float] = field(default_factory=dict)
    undo_steps: tuple[str, ...] = ()
    residue: tuple[str, ...] = ()

    def changes(self) -> list[str]:
        """The changes, a sentence each."""
        return [say(change) for change in self.ticket.changes]

    def plain(self) -> dict[str, Any]:
        """Everything, as plain JSON."""
        return {
            **{name: getattr(self, name) for name in _PLAIN},
            "ticket": to_plain(self.ticket),
            "proofs": [proof.plain() for proof in self.proofs],
        }


_PLAIN = (
    "established", "fresh", "fuse", "warnings", "proven", "held", "fuse_blown", "undone", "lost", "drift", "packets", "bytes",
    "times", "undo_steps", "residue",
)  # fmt: skip


def fault_from_plain(plain: dict[str, Any]) -> FaultRun:
    """The fault that :meth:`FaultRun.plain` described; its effects can no longer be measured, only shown."""
    proofs = [
        Proof(
            entry["name"],
            reading=Reading(entry["ok"], entry["sentence"], entry["figures"]),
            before_plain=entry["before"],
        )
        for entry in plain["proofs"]
    ]
    known = {name: plain[name] for name in _PLAIN}
    for name in ("warnings", "undo_steps", "residue"):
        known[name] = tuple(known[name])
    return FaultRun(from_plain(Ticket, plain["ticket"]), proofs=proofs, **known)


_MOMENTS = {
    "armed": "t_armed", "inject": "t_inject", "done": "t_done", "proven": "t_effect", "undo": "t_undo", "undone": "t_undone",
}  # fmt: skip


def recall(run: FaultRun, events: Iterable[Mapping[str, Any]], start: float) -> None:
    """Fill in what a killed process had said of ``run`` in its events and not yet written down; ``start`` is their zero."""
    for event in events:
        if event.get("fault") != run.ticket.id:
            continue
        kind, moment = event["event"], start + event["t"]
        if kind in _MOMENTS:
            run.times.setdefault(_MOMENTS[kind], moment)
        if kind == "effect":
            reading = Reading(event["ok"], event["sentence"], {})
            known = next((proof for proof in run.proofs if proof.name == event["name"]), None)
            if known is None:
                run.proofs.append(Proof(event["name"], reading=reading))
            elif known.reading is None or not known.reading.ok:
                known.reading = reading
        run.proven = run.proven or kind == "proven"
        run.fuse = run.fuse or (event["fuse"] if kind == "armed" else "")
        if kind == "undone" and not event["left"]:
            run.undone, run.undo_steps = True, tuple(step.say for step in reversed(run.ticket.undo))
