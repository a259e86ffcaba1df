"""The ``extensions: - name: chaosnet`` block of an experiment: what chaostoolkit has no word for.

Plain values in, a typed :class:`Spec` out, or one InputError.  It does not read files (the caller has parsed the YAML)
and does not look at the method, the hypothesis or the rollbacks: those are chaostoolkit's, and ``validate`` lints them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from chaosnet.errors import InputError
from chaosnet.model import units
from chaosnet.model.edge import Edge, parse_edge
from chaosnet.model.verdict import Outcome

EXPECTATIONS = ("break", "open", "shut", "may")
FIELDS = ("name", "lab", "clusters", "edges", *EXPECTATIONS, "expect", "ceiling", "watch", "seed", "recover")


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The most that one run may touch."""

    pods: int = 20
    nodes: int = 8


@dataclass(frozen=True, slots=True)
class Spec:
    """The block, typed.

    ``breaks`` are edges that must stop passing (or degrade), ``opens`` edges that are closed and must open, ``may`` edges
    that may do either, ``shut`` edges that are closed and must stay so; every other watched edge must hold. ``interval``
    and ``timeout`` are the sampler's, ``recover`` how long recovery may take after undo, all in seconds. ``lab`` is a
    topology file or empty (the default lab).
    """

    edges: Mapping[str, Edge] = field(default_factory=dict)
    breaks: tuple[str, ...] = ()
    opens: tuple[str, ...] = ()
    shut: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    expect: Outcome = Outcome.PASS
    clusters: tuple[str, ...] = ()
    lab: str = ""
    ceiling: Ceiling = Ceiling()
    interval: float = 0.25
    timeout: float = 1.0
    recover: float = 30.0
    seed: int = 0

    def expected(self, name: str) -> str:
        """``break``, ``open``, ``shut``, ``may`` or ``hold`` for a declared edge's name."""
        lists = {"break": self.breaks, "open": self.opens, "shut": self.shut, "may": self.may}
        return next((word for word, names in lists.items() if name in names), "hold")


def parse_spec(experiment: Mapping[str, Any], file: str = "") -> Spec:
    """The chaosnet block of a chaostoolkit experiment; a default Spec where it has none.

    ``file`` is the experiment's own path: the lab file is found relative to it, and errors name it.  Raises InputError
    for unknown fields, edges that no list may name, and bad values.
    """
    where = Path(file).name if file else "experiment"
    blocks = [
        block for block in experiment.get("extensions") or () if isinstance(block, Mapping) and block.get("name") == "chaosnet"
    ]
    if len(blocks) > 1:
        raise InputError(f"{where}: extensions", "there are two blocks named chaosnet", "keep one")
    if not blocks:
        return Spec()
    block, place = blocks[0], f"{where}: extensions.chaosnet"
    for key in block:
        if key not in FIELDS:
            near = get_close_matches(str(key), FIELDS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"use {', '.join(FIELDS)}"
            raise InputError(place, f"unknown field {key!r}", hint)
    edges = _edges(block.get("edges", {}), f"{place}.edges")
    lists = {name: _names(block.get(name, []), f"{place}.{name}", edges) for name in EXPECTATIONS}
    for index, name in enumerate(EXPECTATIONS):
        for other in EXPECTATIONS[index + 1 :]:
            both = sorted(set(lists[name]) & set(lists[other]))
            if both:
                raise InputError(f"{place}.{name}", f"{both[0]!r} is also in {other!r}", "keep it in one of them")
    lab = block.get("lab", "")
    if not isinstance(lab, str):
        raise InputError(f"{place}.lab", f"{lab!r} is not a path", "name a topology file")
    if lab and file and not Path(lab).is_absolute():
        lab = str(Path(file).resolve().parent / lab)
    watch = _mapping(block.get("watch", {}), f"{place}.watch", ("interval", "timeout"))
    limits = _mapping(block.get("ceiling", {}), f"{place}.ceiling", ("pods", "nodes"))
    return Spec(
        edges=edges,
        breaks=lists["break"],
        opens=lists["open"],
        shut=lists["shut"],
        may=lists["may"],
        expect=Outcome(units.choice(block.get("expect", "pass"), f"{place}.expect", tuple(Outcome))),
        clusters=_strings(block.get("clusters", []), f"{place}.clusters"),
        lab=lab,
        ceiling=Ceiling(
            pods=units.count(limits.get("pods", Ceiling().pods), f"{place}.ceiling.pods", 0),
            nodes=units.count(limits.get("nodes", Ceiling().nodes), f"{place}.ceiling.nodes", 0),
        ),
        interval=units.duration(watch.get("interval", "250ms"), f"{place}.watch.interval"),
        timeout=units.duration(watch.get("timeout", "1s"), f"{place}.watch.timeout"),
        recover=units.duration(block.get("recover", "30s"), f"{place}.recover"),
        seed=units.count(block.get("seed", 0), f"{place}.seed", 0),
    )


def _edges(value: object, place: str) -> dict[str, Edge]:
    if not isinstance(value, Mapping):
        raise InputError(place, f"{value!r} is not a mapping", "write name: {from: ..., to: ..., port: ...}")
    edges = {}
    for name, fields in value.items():
        if isinstance(name, bool):
            raise InputError(place, f"YAML read an edge's name as the boolean {name}", "quote it, or use another name")
        if not isinstance(name, str) or not name or len(name) > 60 or any(c in name for c in "/[]\n") or not name.isprintable():
            raise InputError(place, f"{name!r} cannot name an edge", "use a short word without slashes or brackets")
        edges[name] = parse_edge(name, fields, place)
    return edges


def _names(value: object, place: str, edges: Mapping[str, Edge]) -> tuple[str, ...]:
    names = _strings(value, place)
    for name in names:
        if name not in edges:
            near = get_close_matches(name, list(edges), 1)
            hint = f"did you mean {near[0]!r}?" if near else f"declared are {', '.join(edges) or 'none'}"
            raise InputError(place, f"there is no edge {name!r}", hint)
    if len(set(names)) != len(names):
        raise InputError(place, "an edge is listed twice", "list it once")
    return names


def _strings(value: object, place: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise InputError(place, f"{value!r} is not a list", "write [name, name]")
    for item in value:
        if isinstance(item, bool):
            raise InputError(place, f"YAML read an entry as the boolean {item}", "quote it")
        if not isinstance(item, str):
            raise InputError(place, f"{item!r} is not a name", "write [name, name]")
    return tuple(value)


def _mapping(value: object, place: str, fields: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(place, f"{value!r} is not a mapping", f"use the fields {', '.join(fields)}")
    for key in value:
        if key not in fields:
            raise InputError(place, f"unknown field {key!r}", f"use {', '.join(fields)}")
    return value
