"""Tickets: one injected fault each, as the ledger writes it down before the deed.

A ticket is enough to undo the fault in another process, on another day, with nothing else known.  Values only; writing
them is :mod:`chaosnet.engine.ledger`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from chaosnet.model.change import Change


class Stage(StrEnum):
    """How far a ticket got; each is written before the next step begins."""

    RECORDED = "recorded"
    ARMED = "armed"
    DONE = "done"
    PROVEN = "proven"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True)
class Undo:
    """How to take one change back, in the target's own words: ``op`` and plain ``arguments``; ``say`` for people."""

    op: str
    arguments: Mapping[str, Any]
    say: str


@dataclass(frozen=True, slots=True)
class Ticket:
    """One fault: who, what, where, until when, and how to take it back (``undo`` in the order of ``changes``).

    ``fuse`` is seconds; ``expires`` is wall-clock seconds since the epoch, for another process to judge by; ``target_ref``
    says how to open the target again (for the lab: its name).
    """

    id: str
    kind: str
    run: str
    owner: str
    target: str
    target_ref: str
    at: tuple[str, ...]
    settings: Mapping[str, Any]
    changes: tuple[Change, ...]
    undo: tuple[Undo, ...]
    fuse: float
    expires: float
    stage: Stage = Stage.RECORDED
    times: Mapping[str, float] = field(default_factory=dict)
