"""JSON: the run record normalised: its own shape, every field there, texts safe to show, findings gravest first.

Reading it back gives an equal record.  Does not add anything that the record does not hold.
"""

import json

from chaosnet.report.record import MOMENTS, EdgeRecord, FaultRecord, Json, RunRecord

FILE = "report.json"


def render(record: RunRecord) -> str:
    """The record as one JSON document (RFC 8259), a line a field; ASCII only, so that nothing acts on a terminal."""
    lines = (f"{json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in normalised(record).items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def normalised(record: RunRecord, samples: bool = True) -> dict[str, Json]:
    """The record as plain values; without ``samples`` where only the story is wanted."""
    hypothesis = record.hypothesis
    return {
        "verdict": record.verdict,
        "exit": record.exit,
        "experiment": {
            "title": record.title, "description": record.description, "file": record.file,
            "tags": list(record.tags), "expect": record.expect,
        },
        "run": record.run,
        "placebo": record.placebo,
        "started": record.started,
        "duration": record.duration,
        "target": {"name": record.target, "ref": record.target_ref, "environment": dict(record.environment)},
        "faults": [_fault(fault) for fault in record.faults],
        "hypothesis": {
            "title": hypothesis.title, "stated": hypothesis.stated, "before": hypothesis.before, "during": hypothesis.during,
            "after": hypothesis.after, "recovered": hypothesis.recovered,
            "probes": [
                {"name": probe.name, "before": probe.before, "during": probe.during, "after": probe.after}
                for probe in hypothesis.probes
            ],
        },
        "findings": [
            {"outcome": finding.outcome, "about": finding.about, "sentence": finding.sentence}
            for finding in record.findings
        ],
        "edges": [_edge(edge, samples) for edge in record.edges],
        "events": [
            {"t": event.t, "wall": event.wall, "event": event.event, **event.fields} for event in record.events
        ],
        "learned": list(record.learned),
        "residue": list(record.residue),
        "how_to_rerun": record.how_to_rerun,
    }  # fmt: skip


def _fault(fault: FaultRecord) -> dict[str, Json]:
    return {
        "id": fault.id,
        "kind": fault.kind,
        "target": fault.target,
        "at": list(fault.at),
        "settings": dict(fault.settings),
        "changes": list(fault.changes),
        "proven": fault.proven,
        "held": fault.held,
        "effects": [
            {
                "name": effect.name, "ok": effect.ok, "sentence": effect.sentence,
                "before": effect.before, "figures": effect.figures,
            }
            for effect in fault.effects
        ],
        "evidence": list(fault.evidence),
        "counters": {"packets": fault.packets, "bytes": fault.bytes},
        "collateral": list(fault.collateral),
        "warnings": list(fault.warnings),
        "established": fault.established,
        "fresh": fault.fresh,
        "fuse": fault.fuse,
        "fuse_blown": fault.fuse_blown,
        **{f"t_{moment}": getattr(fault.times, moment) for moment in MOMENTS},
        "residue": list(fault.residue),
        "undo": list(fault.undo),
    }  # fmt: skip


def _edge(edge: EdgeRecord, samples: bool) -> dict[str, Json]:
    plain: dict[str, Json] = {
        "name": edge.name, "source": edge.source, "destination": edge.destination, "protocol": edge.protocol,
        "port": edge.port, "send": edge.send, "receive": edge.receive, "declared": edge.declared,
        "expected": edge.expected, "before": edge.before, "during": edge.during, "after": edge.after,
        "changed_at": edge.changed_at, "recovered_at": edge.recovered_at,
    }  # fmt: skip
    if samples:
        plain["samples"] = [[sample.at, sample.state, sample.ms] for sample in edge.samples]
    return plain
