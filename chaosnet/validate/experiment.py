"""An experiment from its shape to its meaning: the order in which this room looks at one.

chaostoolkit's own validation comes last, for what only it knows; what we have said it need not say again.
"""

import logging
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chaosnet import shipped
from chaosnet.engine.experiment import Spec, parse_spec
from chaosnet.engine.select import watched
from chaosnet.errors import ChaosnetError, InputError
from chaosnet.model.fault import Fault
from chaosnet.model.inventory import Inventory
from chaosnet.validate import doors, labs, meaning, shape, timing, world
from chaosnet.validate.shape import Activity
from chaosnet.validate.source import Path_, Source, show

_BLOCK = "extensions.chaosnet"
_VARIABLE = re.compile(r"(?<!\$)\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def check(source: Source, lab: str | None = "") -> None:
    """Note everything wrong with an experiment.

    ``lab`` stands in for the topology file that it names; with None, what its endpoints mean is not looked at.
    """
    if not shape.check(source):
        return
    source.document = shape.sane(source.document)
    meaning.check(source)
    spec = _spec(source)
    known = _inventory(source, spec, lab) if spec is not None and lab is not None else None
    configuration = _configuration(source)
    found = list(shape.activities(source.document))
    _calls(source, found, configuration, spec, known)
    if not source.problems:
        _chaostoolkit(source)


def _spec(source: Source) -> Spec | None:
    """The chaosnet block; None, with what is wrong noted, where it cannot be read."""
    try:
        return parse_spec(source.document, source.file)
    except InputError as error:
        name = f"{Path(source.file).name}: "
        _note_block(source, error, error.place.removeprefix(name))
        return None


def _note_block(source: Source, error: ChaosnetError, place: str) -> None:
    blocks = source.document.get("extensions") or ()
    index = next((i for i, each in enumerate(blocks) if isinstance(each, Mapping) and each.get("name") == "chaosnet"), 0)
    path: Path_ = ("extensions",)
    if place.startswith(_BLOCK):
        # Names of edges may hold dots, so the parts are matched with what is there.
        path, rest, here = (*path, index), place.removeprefix(_BLOCK).lstrip("."), blocks[index]
        while rest and isinstance(here, Mapping):
            key = next((k for k in sorted(map(str, here), key=len, reverse=True) if rest == k or rest.startswith(f"{k}.")), "")
            if not key:
                break
            path, rest, here = (*path, key), rest.removeprefix(key).lstrip("."), here.get(key)
    problem, remedy = (error.problem, error.remedy) if isinstance(error, InputError) else (str(error), "")
    source.wrong(path, problem, remedy)


def _inventory(source: Source, spec: Spec, lab: str) -> Inventory | None:
    """What exists in the experiment's lab; None where that cannot be known."""
    path = lab or spec.lab or str(shipped.default_lab())
    if not labs.lab(source, path):
        return None
    known = world.inventory(path)
    for name in spec.clusters:
        if name not in known.clusters:
            source.wrong(
                (*_block_path(source), "clusters"), f"the lab has no cluster {show(name)}", f"it has {', '.join(known.clusters)}"
            )
    try:
        watched(spec, known, f"{_BLOCK}.edges")
    except ChaosnetError as error:
        _note_block(source, error, error.place if isinstance(error, InputError) else _BLOCK)
        return None
    return known


def _block_path(source: Source) -> Path_:
    blocks = source.document.get("extensions") or ()
    return ("extensions", next((i for i, b in enumerate(blocks) if isinstance(b, Mapping) and b.get("name") == "chaosnet"), 0))


def _configuration(source: Source) -> Mapping[str, Any]:
    """The configuration as a run would have it here; dynamic values stay unknown."""
    from chaoslib.configuration import load_configuration
    from chaoslib.exceptions import ChaosException

    stated = source.document.get("configuration")
    if not isinstance(stated, Mapping):
        return {}
    values: dict[str, Any] = {}
    for key, value in stated.items():
        if isinstance(value, Mapping) and value.get("type") in ("probe", "action"):
            continue  # dynamic: known at run time only
        try:
            with _quiet():
                values.update(load_configuration({key: value}))
        except (ChaosException, KeyError, ValueError, TypeError, AttributeError) as error:
            source.wrong(
                ("configuration", str(key)), f"cannot be read ({show(str(error))})", "give it a default, or set its variable"
            )
    return values


def _calls(
    source: Source, found: list[Activity], configuration: Mapping[str, Any], spec: Spec | None, known: Inventory | None
) -> None:
    from chaoslib import substitute

    declared = {*map(str, source.document.get("configuration") or {}), *_secrets(source.document)}
    faults: dict[int, Fault] = {}
    pauses: dict[int, tuple[float, float]] = {}
    arguments: dict[int, Mapping[str, Any]] = {}
    for index, activity in enumerate(found):
        for path, name in _variables(activity.value, activity.path):
            if name not in declared:
                source.wrong(path, f"the variable ${{{name}}} is not declared", "declare it under configuration")
        stated = activity.value.get("pauses")
        stated = substitute(dict(stated), configuration, {}) if isinstance(stated, Mapping) else {}
        pauses[index] = (_seconds(stated.get("before")), _seconds(stated.get("after")))
        arguments[index] = substitute(dict(activity.arguments), configuration, {}) or {}
        if activity.module.startswith("chaosnet."):
            fault = doors.check(source, activity, arguments[index], spec, known)
            if fault is not None:
                faults[index] = fault
    timing.check(source, found, faults, pauses, arguments)


def _secrets(document: Mapping[str, Any]) -> Iterator[str]:
    secrets = document.get("secrets")
    for block in secrets.values() if isinstance(secrets, Mapping) else ():
        if isinstance(block, Mapping):
            yield from map(str, block)


def _variables(value: object, path: Path_) -> Iterator[tuple[Path_, str]]:
    if isinstance(value, str):
        for name in _VARIABLE.findall(value):
            yield path, name
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _variables(entry, (*path, str(key)))
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            yield from _variables(entry, (*path, index))


def _seconds(value: object) -> float:
    try:
        seconds = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else 0.0
    except (ValueError, OverflowError):
        return 0.0
    return max(0.0, seconds) if math.isfinite(seconds) else 0.0


def _chaostoolkit(source: Source) -> None:
    from chaoslib.exceptions import ChaosException
    from chaoslib.experiment import ensure_experiment_is_valid

    try:
        with _quiet():
            ensure_experiment_is_valid(source.document)
    except ChaosException as error:
        source.wrong((), f"chaostoolkit refuses it: {str(error).rstrip('.')}", "correct that")
    except Exception as error:  # noqa: BLE001  chaostoolkit trips over many a malformed value
        source.wrong((), f"chaostoolkit trips over it: {type(error).__name__}: {show(str(error))}", "correct that value")


@contextmanager
def _quiet() -> Iterator[None]:
    """chaostoolkit says in its log what we say in a sentence."""
    logger = logging.getLogger("chaostoolkit")
    was = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = was
