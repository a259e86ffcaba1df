"""A rehearsal: a session in which doors plan and nothing is injected.

``chaosnet plan`` makes it current and calls the method's doors, so that a plan comes from the same code as the fault.  It
measures nothing and writes no ledger.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaosnet.engine import inject as injection
from chaosnet.engine.experiment import parse_spec
from chaosnet.engine.select import Watched, check_ceiling, hit, watched
from chaosnet.engine.session import About, Session
from chaosnet.model.change import Object, say
from chaosnet.model.fault import Fault, Plan
from chaosnet.model.target import Target


@dataclass(slots=True)
class Rehearsal(Session):
    """A session that collects plans.  ``plans`` are those made so far, with their faults' names and fuses."""

    plans: list[dict[str, Any]] = field(default_factory=list)
    planned: list[Plan] = field(default_factory=list)

    def inject(self, fault: Fault) -> dict[str, Any]:
        """Plan and check; nothing is touched.  Raises what injecting would raise before its first change."""
        plan = injection.plan(self.target, self.inventory, fault, self.edges, self.announced)
        self.planned.append(plan)
        check_ceiling(self.spec.ceiling, [earlier.changes for earlier in self.planned])
        undo = [self.target.prepare("rehearsal0", change) for change in plan.changes]
        pods, nodes = hit(plan.changes)
        entry = {
            "kind": fault.kind,
            "at": [str(p) for p in fault.places().values()] or [str(c) for c in plan.changes if isinstance(c, Object)],
            "changes": [say(change) for change in plan.changes],
            "undo": [step.say for step in undo],
            "effects": [effect.name for effect in plan.effects],
            "established": plan.established,
            "fresh": plan.fresh,
            "warnings": list(plan.warnings),
            "fuse": fault.duration,
            "pods": sorted(pods),
            "nodes": sorted(nodes),
        }
        self.plans.append(entry)
        return entry

    def undo(self, ticket_id: str = "", by: str = "rollback", at_once: bool = False) -> dict[str, Any]:
        """Nothing was done, so nothing is undone."""
        return {"undone": []}


def rehearse(target: Target, experiment: Mapping[str, Any], file: str) -> Rehearsal:
    """A rehearsal of an experiment on ``target``.  InputError for a wrong chaosnet block or edges that select nothing."""
    spec = parse_spec(experiment, file)
    about = About(str(experiment.get("title", "")), file=file)
    session = Rehearsal(target, spec, about, Path(), "rehearsal", 0.0, 0.0)
    session.watching = watched(spec, target.inventory(), f"{Path(file).name}: extensions.chaosnet.edges")
    return session


def expectations(watching: tuple[Watched, ...]) -> dict[str, list[str]]:
    """What the plan says of the watched edges: which must break, open, may change, and how many must hold."""
    named: dict[str, list[str]] = {"break": [], "open": [], "shut": [], "may": [], "hold": []}
    for item in watching:
        named[item.expected].append(item.edge.name)
    return named
