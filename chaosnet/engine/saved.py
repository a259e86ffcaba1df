"""A session in its run's folder (``session.json``): written at every step, read by whoever closes a run whose process died.

Plain JSON, replaced whole by a rename.  Tickets are not here: the ledger is what undo is done from.
"""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from chaosnet.engine.assess import Hypothesis
from chaosnet.engine.events import Events
from chaosnet.engine.experiment import parse_spec
from chaosnet.engine.faultrun import FaultRun, fault_from_plain, recall
from chaosnet.engine.select import watched
from chaosnet.model.target import Target

if TYPE_CHECKING:
    from chaosnet.engine.session import Session

FILE = "session.json"
_AS_IT_IS = (
    "run", "start", "wall", "placebo", "extensions", "hypothesis_title", "probes", "refused", "baseline_unmet",
    "since",
)  # fmt: skip


def save(session: "Session") -> None:
    """Write down all that another process needs to close this run."""
    about = session.about
    plain = {
        **{name: getattr(session, name) for name in _AS_IT_IS},
        "about": {"title": about.title, "description": about.description, "file": about.file, "tags": list(about.tags)},
        "hypothesis": {name: getattr(session.hypothesis, name) for name in ("stated", "before", "during", "after")},
        "before": dict(session.before),
        "faults": [run.plain() for run in session.faults],
    }
    fresh = session.out / f"{FILE}.new"
    fresh.write_text(json.dumps(plain), encoding="utf-8")
    os.replace(fresh, session.out / FILE)


def resume(target: Target, out: Path) -> "Session":
    """The session of a run whose process is gone, as far as it had written itself down, and every ticket of it in the ledger.

    Raises FileNotFoundError where the run had not got as far as a session.
    """
    from chaosnet.engine.session import About, Session

    plain = json.loads((out / FILE).read_text(encoding="utf-8"))
    spec = parse_spec({"extensions": plain["extensions"]}, plain["about"]["file"])
    about = About(**{**plain["about"], "tags": tuple(plain["about"]["tags"])})
    session = Session(target, spec, about, out, **{name: plain[name] for name in _AS_IT_IS})
    session.watching = watched(spec, target.inventory())
    session.hypothesis = Hypothesis(**plain["hypothesis"])
    session.before = plain["before"]
    session.faults = [fault_from_plain(fault) for fault in plain["faults"]]
    known = {fault.ticket.id for fault in session.faults}
    session.faults += [FaultRun(ticket) for ticket in session.ledger.open(session.run) if ticket.id not in known]
    said = Events(out / "events.ndjson", session.start).read()
    for run in session.faults:
        recall(run, said, session.start)
    return session
