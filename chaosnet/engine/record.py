"""The record of a run (``run.json``): facts and verdict as one plain document, which reports render and ``--json`` prints.

Every time in it is seconds since the run's start.  It does not judge (:mod:`chaosnet.engine.assess`) or lay out
(:mod:`chaosnet.report`).
"""

import json
import os
import shlex
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from chaosnet.engine.assess import Facts, Seen, assess, collateral
from chaosnet.engine.events import Events
from chaosnet.engine.faultrun import FaultRun
from chaosnet.errors import ChaosnetError
from chaosnet.model.edge import Edge
from chaosnet.model.verdict import EXIT_RESIDUE, exit_status, judge, worst_exit

if TYPE_CHECKING:
    from chaosnet.engine.session import Session

_MOST_SAMPLES = 2400


def write_record(session: "Session", facts: Facts, clean_at: float | None) -> dict[str, Any]:
    """Judge, write ``run.json`` and the reports into the run's folder, and return the record."""
    verdict = judge(assess(facts))
    codes = [exit_status(verdict.outcome)]
    if any(finding.about == "residue" and finding.outcome == "fail" for finding in verdict.findings):
        codes.append(EXIT_RESIDUE)
    if session.exit_hint and not facts.faults:
        codes = [session.exit_hint]
    session.say("verdict", verdict=verdict.outcome, exit=worst_exit(codes))
    record: dict[str, Any] = {
        "verdict": verdict.outcome,
        "exit": worst_exit(codes),
        "experiment": {
            "title": session.about.title,
            "description": session.about.description,
            "file": session.about.file,
            "tags": list(session.about.tags),
            "expect": session.spec.expect,
        },
        "run": session.run,
        "placebo": session.placebo,
        "started": datetime.fromtimestamp(session.wall, UTC).isoformat(timespec="milliseconds"),
        "duration": _since(session, time.monotonic()),
        "target": {"name": session.target.name, "ref": session.target.ref, "environment": _environment(session)},
        "faults": [_fault(session, run, facts, clean_at) for run in facts.faults],
        "hypothesis": _hypothesis(session, facts),
        "findings": [
            {"outcome": finding.outcome, "about": finding.about, "sentence": finding.sentence} for finding in verdict.findings
        ],
        "edges": _edges(session, facts),
        "learned": session.learned,
        "residue": list(facts.residue),
        "how_to_rerun": f"chaosnet run {shlex.quote(session.about.file or 'FILE')} --target {session.target.name}",
        "report": str(session.out / "report.html"),
    }
    record["events"] = Events(session.out / "events.ndjson", session.start).read()
    fresh = session.out / "run.json.new"
    fresh.write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")
    os.replace(fresh, session.out / "run.json")
    return record


def _since(session: "Session", moment: float | None) -> float | None:
    return None if moment is None else round(moment - session.start, 6)


def _environment(session: "Session") -> dict[str, str]:
    try:
        return dict(session.target.describe())
    except ChaosnetError as error:
        return {"unknown": str(error)}


def _fault(session: "Session", run: FaultRun, facts: Facts, clean_at: float | None) -> dict[str, Any]:
    announced = [s for s in facts.edges if s.expected in ("break", "open") and s.course.changed]
    detected = min((s.course.confirmed_at for s in announced if s.course.confirmed_at is not None), default=None)
    back = [s.course.recovered_at for s in facts.edges if s.course.changed]
    recovered = max((moment for moment in back if moment is not None), default=None) if all(back) else None
    plain = run.plain()
    return {
        "id": run.ticket.id,
        "kind": run.ticket.kind,
        "target": run.ticket.target,
        "at": list(run.ticket.at),
        "settings": dict(run.ticket.settings),
        "changes": run.changes(),
        "proven": run.proven,
        "held": run.held,
        "effects": plain["proofs"],
        "evidence": _evidence(run),
        "counters": {"packets": run.packets, "bytes": run.bytes},
        "collateral": list(collateral(facts.edges)),
        "warnings": list(run.warnings),
        "established": run.established,
        "fresh": run.fresh,
        "fuse": run.fuse,
        "fuse_blown": run.fuse_blown,
        "t_inject": _since(session, run.times.get("t_inject")),
        "t_effect": _since(session, run.times.get("t_effect")),
        "t_detect": _since(session, detected),
        "t_undo": _since(session, run.times.get("t_undo")),
        "t_recover": _since(session, recovered),
        "t_clean": _since(session, clean_at),
        "residue": list(run.residue),
        "undo": list(run.undo_steps),
    }


def _evidence(run: FaultRun) -> list[str]:
    lines = [proof.reading.sentence for proof in run.proofs if proof.reading]
    if run.packets:
        lines.append(f"the fault's own rules matched {run.packets} packets ({run.bytes} bytes)")
    if run.lost:
        lines.append(run.lost)
    return lines


def _hypothesis(session: "Session", facts: Facts) -> dict[str, Any]:
    hypothesis = facts.hypothesis
    return {
        "title": session.hypothesis_title,
        "stated": hypothesis.stated,
        "before": hypothesis.before,
        "during": hypothesis.during,
        "after": hypothesis.after,
        "recovered": hypothesis.after if hypothesis.stated else None,
        "probes": [
            {"name": name, **{when: seen.get(when) for when in ("before", "during", "after")}}
            for name, seen in session.probes.items()
        ],
    }


def _edges(session: "Session", facts: Facts) -> list[dict[str, Any]]:
    by_name = {item.edge.name: item.edge for item in session.watching}
    return [_edge(session, seen, by_name[seen.name]) for seen in facts.edges]


def _edge(session: "Session", seen: Seen, edge: Edge) -> dict[str, Any]:
    samples = session.samples_of(seen.name)
    step = max(1, len(samples) // _MOST_SAMPLES)
    return {
        "name": seen.name,
        "source": str(edge.source),
        "destination": str(edge.destination),
        "protocol": edge.protocol,
        "port": edge.port,
        "send": edge.send,
        "receive": edge.receive,
        "declared": seen.declared,
        "expected": seen.expected,
        "before": seen.course.before,
        "during": seen.course.during,
        "after": seen.course.after,
        "changed_at": _since(session, seen.course.changed_at),
        "recovered_at": _since(session, seen.course.recovered_at),
        "samples": [[round(s.at - session.start, 3), s.state, round(s.seconds * 1000, 2)] for s in samples[::step]],
    }
