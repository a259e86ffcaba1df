"""Whether a fault's ``duration`` can outlive the method and the hypothesis after it.

``duration`` is the fuse, not the schedule: where it ends first, the hypothesis after the method looks at a network that is
whole again.  Reckons a lower bound of the time from inject to undo: pauses, and the probes that say how long they measure.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from chaosnet.errors import InputError
from chaosnet.model import units
from chaosnet.model.fault import Fault
from chaosnet.validate.shape import Activity
from chaosnet.validate.source import Source


def check(
    source: Source,
    found: Sequence[Activity],
    faults: Mapping[int, Fault],
    pauses: Mapping[int, tuple[float, float]],
    arguments: Mapping[int, Mapping[str, Any]],
) -> None:
    """Note each fault whose fuse goes off too soon.  All mappings go by the activity's index in ``found``."""
    runtime = source.document.get("runtime")
    block = runtime.get("hypothesis") if isinstance(runtime, Mapping) else None
    strategy = block.get("strategy", "default") if isinstance(block, Mapping) else "default"
    after = sum(
        _measured(arguments.get(index, {})) for index, each in enumerate(found)
        if each.block == "hypothesis" and strategy not in ("before-method-only", "during-method-only", "skip")
    )  # fmt: skip
    for index, fault in faults.items():
        if found[index].block != "method":
            continue
        later = [(i, each) for i, each in enumerate(found) if each.block == "method" and i > index]
        least = after + pauses.get(index, (0.0, 0.0))[1]
        least += sum(
            sum(pauses.get(i, (0.0, 0.0))) + _measured(arguments.get(i, {}))
            for i, each in later
            if each.value.get("background") is not True
        )
        if fault.duration <= least:
            source.wrong(
                (*found[index].path, "provider", "arguments", "duration"),
                f"the fuse of {units.say_seconds(fault.duration)} goes off before the method and the hypothesis after it "
                f"are over ({units.say_seconds(least)} at the least)",
                "give it twice that, or shorten the pauses",
            )


def _measured(arguments: Mapping[str, Any]) -> float:
    """How long a probe says that it measures."""
    try:
        return units.duration(arguments["seconds"], "seconds") if "seconds" in arguments else 0.0
    except InputError:
        return 0.0
