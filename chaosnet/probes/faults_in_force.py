"""Is what this run injected really there now?

Reads back from the kernel, daemon or API; it does not measure the effect (the verdict does that, always).
"""

from typing import Any, Dict, List

from chaosnet.engine.session import current
from chaosnet.model.change import say

__all__ = ["in_force", "readings"]


def in_force(kind: str = "") -> bool:
    """True when at least one fault of this run (of ``kind``, where given) is open and each of its changes is there now.

    Example::

        module: chaosnet.probes.faults_in_force
        func: in_force
        arguments: {kind: shrink_mtu}
    """
    seen = readings(kind)
    return bool(seen) and all(entry["there"] for entry in seen)


def readings(kind: str = "") -> List[Dict[str, Any]]:
    """Each change of this run's open faults with what reading it back says.

    Example::

        module: chaosnet.probes.faults_in_force
        func: readings
    """
    session = current()
    found = []
    for run in session.faults:
        if run.undone or (kind and run.ticket.kind != kind):
            continue
        for change in run.ticket.changes:
            reading = session.target.in_force(run.ticket.id, change)
            found.append({"fault": run.ticket.id, "change": say(change), "there": reading.ok, "sentence": reading.sentence})
    return found
