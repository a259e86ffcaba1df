"""Reading the run record: ``run.json`` to :class:`~chaosnet.report.record.RunRecord`.

Missing fields, nulls and an aborted run are normal.  A field of the wrong type is an InputError that names it.  Every text
is made safe to show: control characters and bidirectional overrides become visible, for labels in a cluster are written
by strangers.  Nothing here judges.
"""

import json
import math
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from chaosnet.errors import InputError
from chaosnet.report.record import (
    MOMENTS,
    EdgeRecord,
    EffectRecord,
    EventRecord,
    FaultRecord,
    FindingRecord,
    HypothesisRecord,
    Json,
    ProbeRecord,
    RunRecord,
    Sample,
    Times,
)

_T = TypeVar("_T")

# Controls, lone surrogates (they cannot be encoded), and the bidirectional controls that reorder what is read after
# them (CVE-2021-42574, "Trojan Source"; Unicode Standard Annex #9).
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]")


def clean(text: str) -> str:
    """``text`` on one line, with nothing in it that acts instead of showing: ``"a<U+202E>b"``."""
    spaced = " ".join(text.split()) if any(ch in text for ch in "\n\t\r") else text
    return _UNSAFE.sub(lambda match: f"<U+{ord(match.group()):04X}>", spaced)


class _Fields:
    """One object of the record; each getter gives a typed field, or its default where it is missing or null."""

    def __init__(self, value: object, place: str) -> None:
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise InputError(place, f"{_short(value)} is not an object", "give the run.json that chaosnet wrote")
        self.value: dict[str, object] = value
        self.place = place

    def _wrong(self, key: str, kind: str) -> InputError:
        problem = f"{_short(self.value[key])} is not {kind}"
        return InputError(f"{self.place}.{key}", problem, "give the run.json that chaosnet wrote")

    def text(self, key: str, default: str = "") -> str:
        value = self.value.get(key)
        if value is None:
            return default
        if isinstance(value, (dict, list)):
            raise self._wrong(key, "a text")
        return clean(str(value))

    def flag(self, key: str) -> bool | None:
        value = self.value.get(key)
        if value is not None and not isinstance(value, bool):
            raise self._wrong(key, "true, false or null")
        return value

    def number(self, key: str) -> float | None:
        value = self.value.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self._wrong(key, "a number or null")
        return float(value) if math.isfinite(value) else None

    def count(self, key: str) -> int | None:
        value = self.number(key)
        return None if value is None else int(value)

    def items(self, key: str) -> list[object]:
        value = self.value.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self._wrong(key, "a list")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        items = self.items(key)
        if any(isinstance(item, (dict, list)) for item in items):
            raise self._wrong(key, "a list of texts")
        return tuple(clean(str(item)) for item in items if item is not None)

    def each(self, key: str, read: Callable[["_Fields"], _T]) -> tuple[_T, ...]:
        return tuple(read(_Fields(item, f"{self.place}.{key}[{i}]")) for i, item in enumerate(self.items(key)))

    def inner(self, key: str) -> "_Fields":
        return _Fields(self.value.get(key), f"{self.place}.{key}")

    def plain(self, key: str) -> Json:
        return _plain(self.value.get(key))

    def mapping(self, key: str) -> dict[str, Json]:
        return {clean(name): _plain(value) for name, value in self.inner(key).value.items()}


def _short(value: object) -> str:
    text = clean(repr(value))
    return text if len(text) <= 60 else f"{text[:57]}..."


def _plain(value: object) -> Json:
    """A JSON value with its texts cleaned and its infinities gone (JSON has none: RFC 8259, section 6)."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (bool, int, float)) else clean(str(value))


def _sample(item: object, place: str, number: int) -> Sample | None:
    # There are tens of thousands of them: the usual shape goes a short way.
    if isinstance(item, list) and len(item) == 3:
        at, state, ms = item
        if type(at) is float and type(state) is str and type(ms) is float and math.isfinite(at + ms):
            return Sample(at, _state(state), ms)
    where = f"{place}.samples[{number}]"
    if not isinstance(item, list) or len(item) < 2:
        raise InputError(where, f"{_short(item)} is not a sample", "a sample is [seconds, state, milliseconds]")
    fields = _Fields({"at": item[0], "state": item[1], "ms": item[2] if len(item) > 2 else None}, where)
    moment = fields.number("at")
    return None if moment is None else Sample(moment, fields.text("state", "unknown"), fields.number("ms"))


_state = lru_cache(maxsize=256)(clean)


def _edge(fields: _Fields) -> EdgeRecord:
    samples = (_sample(item, fields.place, i) for i, item in enumerate(fields.items("samples")))
    return EdgeRecord(
        name=fields.text("name", "(no name)"),
        source=fields.text("source"),
        destination=fields.text("destination"),
        protocol=fields.text("protocol"),
        port=fields.count("port") or 0,
        send=fields.count("send") or 0,
        receive=fields.count("receive") or 0,
        declared=bool(fields.flag("declared")),
        expected=fields.text("expected", "hold"),
        before=fields.text("before"),
        during=fields.text("during"),
        after=fields.text("after"),
        changed_at=fields.number("changed_at"),
        recovered_at=fields.number("recovered_at"),
        samples=tuple(sorted((sample for sample in samples if sample), key=lambda sample: sample.at)),
    )


def _effect(fields: _Fields) -> EffectRecord:
    return EffectRecord(
        name=fields.text("name"),
        ok=fields.flag("ok"),
        sentence=fields.text("sentence"),
        before=fields.plain("before"),
        figures=fields.plain("figures"),
    )


def _fault(fields: _Fields) -> FaultRecord:
    counters = fields.inner("counters")
    return FaultRecord(
        id=fields.text("id"),
        kind=fields.text("kind"),
        target=fields.text("target"),
        at=fields.texts("at"),
        settings=fields.mapping("settings"),
        changes=fields.texts("changes"),
        proven=bool(fields.flag("proven")),
        held=bool(fields.flag("held")),
        effects=fields.each("effects", _effect),
        evidence=fields.texts("evidence"),
        packets=counters.count("packets"),
        bytes=counters.count("bytes"),
        collateral=fields.texts("collateral"),
        warnings=fields.texts("warnings"),
        established=fields.text("established"),
        fresh=fields.text("fresh"),
        fuse=fields.text("fuse"),
        fuse_blown=bool(fields.flag("fuse_blown")),
        times=Times(*(fields.number(f"t_{name}") for name in MOMENTS)),
        residue=fields.texts("residue"),
        undo=fields.texts("undo"),
    )


def _hypothesis(fields: _Fields) -> HypothesisRecord:
    return HypothesisRecord(
        title=fields.text("title"),
        stated=fields.flag("stated") is not False,
        before=fields.flag("before"),
        during=fields.flag("during"),
        after=fields.flag("after"),
        recovered=fields.flag("recovered"),
        probes=fields.each(
            "probes",
            lambda probe: ProbeRecord(
                probe.text("name"), probe.plain("before"), probe.plain("during"), probe.plain("after")
            ),
        ),
    )


def _event(fields: _Fields) -> EventRecord:
    rest = {clean(k): _plain(v) for k, v in fields.value.items() if k not in ("t", "wall", "event")}
    return EventRecord(fields.number("t"), fields.text("wall"), fields.text("event"), rest)


_GRAVITY = {"fail": 0, "inconclusive": 1, "pass": 2}


def _finding(fields: _Fields) -> FindingRecord:
    return FindingRecord(fields.text("outcome", "inconclusive"), fields.text("about"), fields.text("sentence"))


def parse(value: object, place: str = "run.json") -> RunRecord:
    """The typed record of a parsed ``run.json``; findings gravest first.  InputError where a field is of a wrong type."""
    fields = _Fields(value, place)
    experiment, target = fields.inner("experiment"), fields.inner("target")
    verdict = fields.text("verdict")
    environment = target.inner("environment")
    return RunRecord(
        verdict=verdict if verdict in _GRAVITY else "inconclusive",
        exit=fields.count("exit"),
        title=experiment.text("title", "Untitled experiment"),
        description=experiment.text("description"),
        file=experiment.text("file"),
        tags=experiment.texts("tags"),
        expect=experiment.text("expect"),
        run=fields.text("run"),
        placebo=bool(fields.flag("placebo")),
        started=fields.text("started"),
        duration=fields.number("duration"),
        target=target.text("name"),
        target_ref=target.text("ref"),
        environment={clean(key): environment.text(key) for key in environment.value},
        faults=fields.each("faults", _fault),
        hypothesis=_hypothesis(fields.inner("hypothesis")),
        findings=tuple(sorted(fields.each("findings", _finding), key=lambda f: _GRAVITY.get(f.outcome, 1))),
        edges=fields.each("edges", _edge),
        events=fields.each("events", _event),
        learned=fields.texts("learned"),
        residue=fields.texts("residue"),
        how_to_rerun=fields.text("how_to_rerun"),
    )


def read(folder: Path) -> RunRecord:
    """The record of the run whose folder (or ``run.json``) is ``folder``; InputError where there is none to read."""
    path = folder / "run.json" if folder.is_dir() else folder
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(str(path), "there is no run record", "give the folder that a run wrote") from None
    except json.JSONDecodeError as error:
        problem = f"line {error.lineno} is not JSON ({error.msg})"
        raise InputError(str(path), problem, "give the folder of a run that ended") from None
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(str(path), f"it cannot be read ({error})", "give the folder that a run wrote") from None
    return parse(value, path.name)
