"""The events of a run, as they happen: one JSON line each, with monotonic and wall time.

Written line by line and flushed, so that a reader follows a live run and a killed run keeps what it said.  It does not
decide what is worth saying.
"""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


class Events:
    """The event log of one run.  ``start`` is the monotonic second that ``t`` counts from."""

    def __init__(self, file: Path, start: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.file, self.start, self._clock = file, start, clock

    def emit(self, event: str, at: float | None = None, **fields: Any) -> float:
        """Append one event that happened now, or at the monotonic second ``at``; returns that second."""
        moment = self._clock() if at is None else at
        line = {
            "t": round(moment - self.start, 6),
            "wall": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "event": event,
        }
        with open(self.file, "a", encoding="utf-8") as file:
            file.write(json.dumps({**line, **fields}, ensure_ascii=False) + "\n")
        return moment

    def read(self) -> list[dict[str, Any]]:
        """All events so far; a line torn by a kill is left out."""
        events = []
        for line in self.file.read_text(encoding="utf-8").splitlines() if self.file.exists() else ():
            try:
                events.append(json.loads(line))
            except ValueError:
                continue
        return events
