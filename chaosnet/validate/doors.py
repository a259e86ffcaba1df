"""Faults and probes as an experiment calls them: do they exist, and would they take these arguments?

Calls the doors themselves, in a session in which nothing can be touched or asked: an argument is wrong exactly when the run
would find it wrong.  What an endpoint or place resolves to is looked at only where the network is known.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from typing import Any

from chaosnet.engine import session as sessions
from chaosnet.engine.experiment import Spec
from chaosnet.errors import ChaosnetError, InputError
from chaosnet.model.edge import Edge
from chaosnet.model.fault import Fault
from chaosnet.model.inventory import Inventory, Site
from chaosnet.model.place import parse_place, resolve
from chaosnet.validate.shape import Activity
from chaosnet.validate.source import Source, show

_SHELVES = ("chaosnet.faults", "chaosnet.probes")


class _EnoughError(Exception):
    """A door has taken its arguments and would now measure."""


@dataclass(slots=True)
class _Dry:
    """A session that takes a fault and answers no question."""

    spec: Spec
    known: Inventory | None
    faults: list[Fault] = field(default_factory=list)

    @property
    def edges(self) -> Mapping[str, Edge]:
        return self.spec.edges

    @property
    def inventory(self) -> Inventory:
        if self.known is None:
            raise _EnoughError
        return self.known

    def group(self, names: Sequence[str], place: str = "edges") -> tuple[Edge, ...]:
        for name in names:
            _edge(str(name), self.spec, place)
        return tuple(self.spec.edges[str(name).partition("[")[0]] for name in names)

    def sites(self, text: str, place: str) -> tuple[Site, ...]:
        where = parse_place(text, place)
        if where.kind == "hop":
            _edge(where.name, self.spec, place)
        return resolve(where, self.spec.edges, self.inventory, place)

    def site(self, text: str, place: str) -> Site:
        return self.sites(text, place)[0]

    def inject(self, fault: Fault) -> dict[str, Any]:
        self.faults.append(fault)
        raise _EnoughError

    def ask(self, question: object) -> Any:
        raise _EnoughError

    def __getattr__(self, name: str) -> Any:
        raise _EnoughError


def _edge(name: str, spec: Spec, place: str) -> None:
    if name.partition("[")[0] not in spec.edges:
        near = get_close_matches(name, list(spec.edges), 1)
        remedy = f"did you mean {near[0]!r}?" if near else f"declared are {', '.join(spec.edges) or 'none'}"
        raise InputError(place, f"there is no edge {name!r}", remedy)


@cache
def shelf() -> dict[str, tuple[str, ...]]:
    """Every door module with its functions."""
    found = {}
    for name in _SHELVES:
        for entry in pkgutil.iter_modules(importlib.import_module(name).__path__, f"{name}."):
            found[entry.name] = tuple(getattr(importlib.import_module(entry.name), "__all__", ()))
    return found


def check(
    source: Source, activity: Activity, arguments: Mapping[str, Any], spec: Spec | None, known: Inventory | None
) -> Fault | None:
    """Note what is wrong with one call of ours; the fault it would inject, where it is one and nothing is wrong.

    ``arguments`` have the configuration put in; without ``spec`` (the block is wrong itself) names of edges are not judged.
    """
    place = (*activity.path, "provider")
    door = _door(source, activity)
    if door is None:
        return None
    parameters = inspect.signature(door).parameters
    for name in activity.arguments:
        if name not in parameters:
            near = get_close_matches(str(name), list(parameters), 1)
            remedy = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(parameters) or 'none'}"
            source.wrong((*place, "arguments", str(name)), f"{activity.func} takes no argument {show(name)}", remedy)
    missing = [
        each.name for each in parameters.values()
        if each.default is inspect.Parameter.empty and each.name not in activity.arguments
    ]  # fmt: skip
    for name in missing:
        source.wrong(
            (*place, "arguments"),
            f"{activity.func} needs the argument {name!r}",
            f"see chaosnet {_kind(activity)}s {activity.func}",
        )
    if missing or spec is None or any(name not in parameters for name in arguments):
        return None
    if any("${" in str(value) for value in arguments.values()):
        return None  # names a variable that is known at run time only; the undeclared ones have been noted
    return _call(source, activity, door, arguments, spec, known)


def _call(
    source: Source,
    activity: Activity,
    door: Callable[..., Any],
    arguments: Mapping[str, Any],
    spec: Spec,
    known: Inventory | None,
) -> Fault | None:
    dry = _Dry(spec, known)
    earlier = sessions._current
    sessions.make_current(dry)  # type: ignore[arg-type]  # by design no session: it can neither touch nor ask
    try:
        door(**arguments)
    except _EnoughError:
        pass
    except ChaosnetError as error:
        _note(source, activity, error)
        return None
    except Exception as error:  # noqa: BLE001  a door that trips over an argument would do so in the run
        source.wrong(
            (*activity.path, "provider", "arguments"), f"{activity.func} cannot take these ({show(str(error))})", "correct them"
        )
        return None
    finally:
        sessions.make_current(earlier)
    if not dry.faults:
        return None
    try:
        for name, where in dry.faults[0].places().items():
            if where.kind == "hop":
                _edge(where.name, spec, f"{activity.func}.{name}")
            if known is not None:
                resolve(where, spec.edges, known, f"{activity.func}.{name}")
    except ChaosnetError as error:
        _note(source, activity, error)
        return None
    return dry.faults[0]


def _note(source: Source, activity: Activity, error: ChaosnetError) -> None:
    """A door names its arguments ``func.argument``; the file knows them by their path."""
    path = (*activity.path, "provider", "arguments")
    if not isinstance(error, InputError):
        source.wrong(path, str(error))
        return
    last = error.place.rpartition(".")[2].partition("[")[0]
    if last in activity.arguments:
        source.wrong((*path, last), error.problem, error.remedy)
    else:
        source.wrong(path, f"{error.place}: {error.problem}" if error.place else error.problem, error.remedy)


def _door(source: Source, activity: Activity) -> Callable[..., Any] | None:
    place = (*activity.path, "provider")
    doors = shelf()
    if activity.module not in doors:
        near = get_close_matches(activity.module, list(doors), 1)
        owner = next((module for module, functions in doors.items() if activity.func in functions), near[0] if near else "")
        remedy = f"did you mean {owner}?" if owner else "see chaosnet faults and chaosnet probes"
        source.wrong((*place, "module"), f"there is no module {show(activity.module)} of faults or probes", remedy)
        return None
    functions = doors[activity.module]
    if activity.func not in functions:
        everywhere = {name: module for module, names in doors.items() for name in names}
        near = get_close_matches(activity.func, functions, 1) or get_close_matches(activity.func, list(everywhere), 1)
        remedy = f"did you mean {near[0]} of {everywhere[near[0]]}?" if near else f"it has {', '.join(functions)}"
        source.wrong((*place, "func"), f"{activity.module} has no {show(activity.func)}", remedy)
        return None
    found: Callable[..., Any] = getattr(importlib.import_module(activity.module), activity.func)
    return found


def _kind(activity: Activity) -> str:
    return "fault" if activity.module.startswith("chaosnet.faults") else "probe"
