"""What an experiment of the right shape means, and why it would not be what its author means.

Names, references, tolerances, strategies, the control, and where faults may stand.  Arguments are
:mod:`chaosnet.validate.doors`, times :mod:`chaosnet.validate.timing`, what exists :mod:`chaosnet.validate.world`.
"""

import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from chaosnet.validate.shape import Activity, activities
from chaosnet.validate.source import Path_, Source, show

CONTROL = "chaosnet.control"
_REMEDY = "write controls: [{name: chaosnet, provider: {type: python, module: chaosnet.control}}]"


def check(source: Source) -> None:
    """Note everything that chaostoolkit would let pass and that would end in a surprise."""
    found = list(activities(source.document))
    _names(source, found)
    _references(source, found)
    for activity in found:
        _faults(source, activity)
        _tolerance(source, activity)
        if "timeout" in activity.value:
            source.wrong(
                (*activity.path, "timeout"),
                "chaostoolkit ignores the timeout of an activity",
                "give the probe one as an argument",
            )
    if any(activity.module.startswith("chaosnet.") for activity in found):
        _control(source)
        _strategy(source)


def _names(source: Source, found: Sequence[Activity]) -> None:
    seen: dict[str, Activity] = {}
    for activity in found:
        name = activity.value.get("name")
        if not isinstance(name, str) or "ref" in activity.value:
            continue
        earlier = seen.setdefault(name, activity)
        if earlier is not activity:
            source.wrong(
                (*activity.path, "name"), f"{show(name)} is the name of another {earlier.value.get('type', 'activity')} too",
                "reports and references go by name; use another",
            )  # fmt: skip


def _references(source: Source, found: Sequence[Activity]) -> None:
    known = [str(each.value["name"]) for each in found if each.block != "rollbacks" and "name" in each.value]
    for activity in found:
        wanted = activity.value.get("ref")
        if wanted is not None and wanted not in known:
            near = get_close_matches(str(wanted), known, 1)
            remedy = f"did you mean {show(near[0])}?" if near else "a reference goes to the hypothesis or the method"
            source.wrong((*activity.path, "ref"), f"there is no activity {show(wanted)}", remedy)


def _faults(source: Source, activity: Activity) -> None:
    if activity.block == "hypothesis" and activity.value.get("type") == "action":
        source.wrong((*activity.path, "type"), "a hypothesis asks and does nothing", "move the action to the method")
    if not activity.module.startswith("chaosnet.faults."):
        return
    if activity.value.get("background") is True:
        source.wrong(
            (*activity.path, "background"),
            "a fault in the background may be injected after its rollback, and its failure is not noticed",
            "remove the line: a fault does not block, it is on until undo",
        )
    if activity.value.get("type") == "probe":
        source.wrong((*activity.path, "type"), "a fault is no probe", "write type: action")
    if activity.is_fault and activity.block == "rollbacks":
        source.wrong(activity.path, "a fault in the rollbacks would be injected when the run is over", "move it to the method")


def _tolerance(source: Source, activity: Activity) -> None:
    place: Path_ = (*activity.path, "tolerance")
    value = activity.value
    if "ref" in value:
        return
    if activity.block != "hypothesis":
        if "tolerance" in value:
            source.wrong(place, "chaostoolkit looks at tolerances in the hypothesis only", "move the probe there")
        return
    if "tolerance" not in value:
        source.wrong(activity.path, "a probe of the hypothesis needs a tolerance", "write tolerance: true")
        return
    tolerance = value["tolerance"]
    if isinstance(tolerance, float):
        source.wrong(
            place, f"chaostoolkit takes no fraction as a tolerance ({tolerance})",
            "write {type: range, range: [low, high]}",
        )  # fmt: skip
    elif tolerance is None:
        source.wrong(place, "the tolerance is empty", "write the value that the probe must return, such as true")
    elif isinstance(tolerance, list) and len(tolerance) == 2 and _backwards(tolerance):
        source.wrong(place, f"the range {show(tolerance)} is empty", "write the lower bound first")
    elif isinstance(tolerance, Mapping):
        _tolerance_block(source, place, tolerance)


def _tolerance_block(source: Source, place: Path_, tolerance: Mapping[str, Any]) -> None:
    kind = tolerance.get("type")
    known = {
        "range": ("type", "name", "range"), "regex": ("type", "name", "pattern", "target"),
        "jsonpath": ("type", "name", "path", "count", "expect", "target"), "probe": ("type", "name", "provider", "target"),
    }  # fmt: skip
    if not isinstance(kind, str) or kind not in known:
        source.wrong((*place, "type"), f"{show(kind)} is no type of tolerance", f"use {', '.join(known)}")
        return
    for key in tolerance:
        if key not in known[kind]:
            source.wrong((*place, key), f"unknown field {show(key)}, which chaostoolkit ignores", f"use {', '.join(known[kind])}")
    span = tolerance.get("range")
    if kind == "range" and isinstance(span, list) and _backwards(span):
        source.wrong((*place, "range"), f"the range {show(span)} is empty", "write the lower bound first")


def _backwards(span: list[Any]) -> bool:
    numbers = [each for each in span if isinstance(each, (int, float)) and not isinstance(each, bool)]
    return len(span) == len(numbers) == 2 and numbers[0] > numbers[1]


def _control(source: Source) -> None:
    document = source.document
    mine = [
        (index, entry) for index, entry in enumerate(document.get("controls") or ())
        if isinstance(entry, Mapping) and _module(entry) == CONTROL
    ]  # fmt: skip
    if not mine:
        near = [
            (index, module) for index, entry in enumerate(document.get("controls") or ())
            if isinstance(entry, Mapping) and (module := _module(entry)).startswith("chaosnet")
        ]  # fmt: skip
        if near:
            source.wrong(
                ("controls", near[0][0], "provider", "module"), f"there is no control {show(near[0][1])}", f"write {CONTROL}"
            )
        else:
            source.wrong((), "the chaosnet control is missing, and without it no fault is injected", _REMEDY)
    for index, _ in mine[1:]:
        source.wrong(
            ("controls", index), "the chaosnet control stands twice, so that every step would be taken twice", "keep one"
        )
    for index, entry in mine[:1]:
        for key, bad in (("scope", entry.get("scope")), ("automatic", entry.get("automatic") is False)):
            if bad:
                source.wrong(("controls", index, key), f"with {key} the control does not see the whole run", "remove the line")
    for path, block in _inner(document):
        for index, entry in enumerate(block if isinstance(block, list) else ()):
            if isinstance(entry, Mapping) and _module(entry) == CONTROL:
                source.wrong((*path, index), "the chaosnet control belongs to the whole experiment", "move it to the top")
    settings = _settings()
    if settings:
        source.wrong(
            (),
            f"the chaosnet control is registered in {settings} too, and chaostoolkit then drops one of them",
            "remove it there",
        )


def _inner(document: Mapping[str, Any]) -> list[tuple[Path_, Any]]:
    found: list[tuple[Path_, Any]] = [((*each.path, "controls"), each.value.get("controls")) for each in activities(document)]
    stated = document.get("steady-state-hypothesis")
    if isinstance(stated, Mapping):
        found.append((("steady-state-hypothesis", "controls"), stated.get("controls")))
    return found


def _module(control: Mapping[str, Any]) -> str:
    provider = control.get("provider")
    return str(provider.get("module", "")) if isinstance(provider, Mapping) else ""


def _settings() -> str:
    """The path of chaostoolkit's settings where they register our control, else empty."""
    import yaml

    path = Path(os.path.expanduser("~/.chaostoolkit/settings.yaml"))
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return ""
    controls = settings.get("controls") if isinstance(settings, Mapping) else None
    entries = controls.values() if isinstance(controls, Mapping) else controls if isinstance(controls, list) else ()
    return str(path) if any(isinstance(entry, Mapping) and _module(entry) == CONTROL for entry in entries) else ""


def _strategy(source: Source) -> None:
    runtime = source.document.get("runtime")
    block = runtime.get("rollbacks") if isinstance(runtime, Mapping) else None
    strategy = block.get("strategy") if isinstance(block, Mapping) else None
    if strategy == "always":
        return
    path: Path_ = ("runtime", "rollbacks", "strategy") if strategy is not None else ("runtime",) if runtime else ()
    said = (
        f"the rollback strategy is {show(strategy)}" if strategy is not None else "the rollback strategy is left to chaostoolkit"
    )
    source.wrong(path, f"{said}, which skips the undo of a run that fails", "write runtime: {rollbacks: {strategy: always}}")
