"""The shape of a chaostoolkit experiment: which keys may stand where, and of which type.

chaostoolkit has no schema and ignores what it does not know, so that ``rollback:`` or ``pause:`` silently does nothing.  Only
the shape is looked at here; what the values mean is looked at elsewhere in this room.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from chaosnet.validate.source import Path_, Source, show

ROLLBACKS = ("default", "always", "never", "deviated")
HYPOTHESIS = ("default", "before-method-only", "after-method-only", "during-method-only", "continuously", "skip")

_TOP: dict[str, type | tuple[type, ...]] = {
    "version": (str, float, int), "title": str, "description": str, "tags": list, "contributions": dict,
    "configuration": dict, "secrets": dict, "controls": list, "extensions": list, "runtime": dict,
    "steady-state-hypothesis": dict, "method": list, "rollbacks": list, "dry": str,
}  # fmt: skip
_ACTIVITY: dict[str, type | tuple[type, ...]] = {
    "type": str, "name": str, "description": str, "provider": dict, "tolerance": object, "pauses": dict,
    "background": bool, "controls": list, "timeout": (int, float), "ref": str, "dry": bool,
}  # fmt: skip
_PROVIDER: dict[str, dict[str, type | tuple[type, ...]]] = {
    "python": {"type": str, "module": str, "func": str, "arguments": dict, "secrets": list},
    "process": {"type": str, "path": str, "arguments": (dict, str, list), "timeout": (int, float, list), "secrets": list},
    "http": {
        "type": str, "url": str, "method": str, "headers": dict, "arguments": dict, "timeout": (int, float, list),
        "verify_tls": bool, "max_retries": int, "secrets": list,
    },
}  # fmt: skip
_CONTROL: dict[str, type | tuple[type, ...]] = {
    "name": str, "provider": dict, "scope": str, "automatic": bool, "ref": str, "background": bool,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Activity:
    """One activity and where it stands.  ``block`` is hypothesis, method or rollbacks."""

    block: str
    path: Path_
    value: Mapping[str, Any]

    @property
    def provider(self) -> Mapping[str, Any]:
        """Its provider, or nothing."""
        found = self.value.get("provider")
        return found if isinstance(found, Mapping) else {}

    @property
    def module(self) -> str:
        """The Python module that it calls, or empty."""
        found = self.provider.get("module")
        return found if isinstance(found, str) and self.provider.get("type") == "python" else ""

    @property
    def func(self) -> str:
        """The function that it calls, or empty."""
        found = self.provider.get("func")
        return found if isinstance(found, str) else ""

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The arguments as written."""
        found = self.provider.get("arguments")
        return found if isinstance(found, Mapping) else {}

    @property
    def is_fault(self) -> bool:
        """Whether it injects a fault of ours."""
        return self.module.startswith("chaosnet.faults.") and self.module != "chaosnet.faults.undo"


def activities(experiment: Mapping[str, Any]) -> Iterator[Activity]:
    """Every activity that is one, in the order in which it is first used."""
    stated = experiment.get("steady-state-hypothesis")
    blocks = (
        ("hypothesis", ("steady-state-hypothesis", "probes"), stated.get("probes") if isinstance(stated, Mapping) else None),
        ("method", ("method",), experiment.get("method")),
        ("rollbacks", ("rollbacks",), experiment.get("rollbacks")),
    )
    for block, path, entries in blocks:
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            if isinstance(entry, Mapping):
                yield Activity(block, (*path, index), entry)


def sane(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document without the blocks that are of a wrong type, which :func:`check` has named."""
    return {key: value for key, value in document.items() if key in _TOP and isinstance(value, _TOP[key])}


def check(source: Source) -> bool:
    """Note everything of a wrong shape; whether the document is an experiment at all."""
    document = source.document
    if not isinstance(document, Mapping):
        source.wrong((), f"{show(document)} is not an experiment", "write title, description, method and so on, as key: value")
        return False
    _mapping(source, (), document, _TOP)
    for key in ("title", "description"):
        if not document.get(key):
            source.wrong((key,) if key in document else (), f"an experiment needs a {key}", "say it in one line")
    if "method" not in document:
        source.wrong((), "the method is missing", "list the faults to inject under method:")
    for index, tag in enumerate(_list(document.get("tags"))):
        if not isinstance(tag, str) or not tag:
            source.wrong(("tags", index), f"{show(tag)} is not a tag", "quote it, or remove it")
    _runtime(source, document.get("runtime"))
    _hypothesis(source, document.get("steady-state-hypothesis"))
    for block in ("method", "rollbacks"):
        for index, entry in enumerate(_list(document.get(block))):
            _activity(source, (block, index), entry)
    _controls(source, ("controls",), document.get("controls"))
    for index, entry in enumerate(_list(document.get("extensions"))):
        if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str) or not entry["name"].strip():
            source.wrong(("extensions", index), "an extension needs a name", "write - name: chaosnet")
    for name, entry in _items(document.get("configuration")):
        if isinstance(entry, Mapping) and entry.get("type") == "env":
            _mapping(source, ("configuration", name), entry, {"type": str, "key": str, "default": object, "env_var_type": str})
            if not entry.get("key"):
                source.wrong(("configuration", name), "an env value needs the key of a variable", "write key: NAME")
    return True


def _runtime(source: Source, value: object) -> None:
    if not isinstance(value, Mapping):
        return
    _mapping(source, ("runtime",), value, {"rollbacks": dict, "hypothesis": dict})
    for key, allowed in (("rollbacks", ROLLBACKS), ("hypothesis", HYPOTHESIS)):
        block = value.get(key)
        if isinstance(block, Mapping):
            _mapping(source, ("runtime", key), block, {"strategy": str})
            strategy = block.get("strategy")
            if isinstance(strategy, str) and strategy not in allowed:
                source.wrong(("runtime", key, "strategy"), f"{show(strategy)} is no strategy", f"use {_near(strategy, allowed)}")


def _hypothesis(source: Source, value: object) -> None:
    place: Path_ = ("steady-state-hypothesis",)
    if not isinstance(value, Mapping):
        return
    _mapping(source, place, value, {"title": str, "description": str, "probes": list, "controls": list})
    if not value.get("title"):
        source.wrong(place, "a hypothesis needs a title", "say what goes on meanwhile, in one line")
    _controls(source, (*place, "controls"), value.get("controls"))
    for index, entry in enumerate(_list(value.get("probes"))):
        _activity(source, (*place, "probes", index), entry)


def _activity(source: Source, path: Path_, value: object) -> None:
    if not isinstance(value, Mapping):
        source.wrong(path, f"{show(value)} is not an activity", "write type, name and provider")
        return
    _mapping(source, path, value, _ACTIVITY)
    if "ref" in value:
        for key in value:
            if key != "ref":
                source.wrong((*path, key), "chaostoolkit ignores everything beside ref", "remove it, or write the activity out")
        return
    if value.get("type") not in ("action", "probe"):
        source.wrong((*path, "type"), f"{show(value.get('type'))} is no type of activity", "write action or probe")
    if not value.get("name"):
        source.wrong(path, "an activity needs a name", "say in a few words what it does")
    _controls(source, (*path, "controls"), value.get("controls"))
    _pauses(source, (*path, "pauses"), value.get("pauses"))
    _provider(source, (*path, "provider"), value.get("provider"))


def _pauses(source: Source, path: Path_, value: object) -> None:
    if not isinstance(value, Mapping):
        return
    _mapping(source, path, value, {"before": object, "after": object})
    for key in ("before", "after"):
        pause = value.get(key)
        variable = isinstance(pause, str) and pause.startswith("${") and pause.endswith("}")
        number = isinstance(pause, (int, float)) and not isinstance(pause, bool) and 0 <= pause < 1e6
        if pause is not None and not variable and not number:
            source.wrong((*path, key), f"{show(pause)} is not a number of seconds", "write it without a unit, such as 5")


def _provider(source: Source, path: Path_, value: object) -> None:
    if not isinstance(value, Mapping):
        if value is None:
            source.wrong(path, "the provider is missing", "write {type: python, module: ..., func: ...}")
        return
    kind = value.get("type")
    if not isinstance(kind, str) or kind not in _PROVIDER:
        source.wrong((*path, "type"), f"{show(kind)} is no type of provider", "use python, process or http")
        return
    _mapping(source, path, value, _PROVIDER[kind])
    for key in {"python": ("module", "func"), "process": ("path",), "http": ("url",)}[kind]:
        if not value.get(key):
            source.wrong(path, f"a {kind} provider needs {key}", "add it")


def _controls(source: Source, path: Path_, value: object) -> None:
    if value is not None and not isinstance(value, list):
        if path != ("controls",):  # the top one is of a wrong type, which has been said
            source.wrong(path, f"{show(value)} is not a list", "begin each control with a dash")
        return
    for index, entry in enumerate(_list(value)):
        here = (*path, index)
        if not isinstance(entry, Mapping):
            source.wrong(here, f"{show(entry)} is not a control", "write name and provider")
            continue
        _mapping(source, here, entry, _CONTROL)
        if "ref" in entry:
            continue
        if not entry.get("name"):
            source.wrong(here, "a control needs a name", "add it")
        provider = entry.get("provider")
        if isinstance(provider, Mapping):
            _mapping(source, (*here, "provider"), provider, {"type": str, "module": str, "arguments": dict, "secrets": list})
        elif provider is None:
            source.wrong(here, "a control needs a provider", "write provider: {type: python, module: chaosnet.control}")


def _mapping(source: Source, path: Path_, value: Mapping[Any, Any], known: Mapping[str, type | tuple[type, ...]]) -> None:
    for key, entry in value.items():
        if not isinstance(key, str):
            if not isinstance(key, bool):  # that trap has been named
                source.wrong(path, f"the key {show(key)} is not text", "quote it")
        elif key not in known:
            if not key.startswith("x-"):
                source.wrong((*path, key), f"unknown field {show(key)}, which chaostoolkit ignores", _did_you_mean(key, known))
        elif not isinstance(entry, known[key]) or (isinstance(entry, bool) and known[key] not in (bool, object)):
            if entry is None and key not in ("method", "provider", "type", "name", "title", "description"):
                source.wrong((*path, key), f"{key} is empty", "fill it, or remove the line")
            else:
                source.wrong((*path, key), f"{show(entry)} is not {_words(known[key])}", "change it")


def _words(kind: type | tuple[type, ...]) -> str:
    words = {str: "text", dict: "a mapping", list: "a list", bool: "true or false", int: "a whole number", float: "a number"}
    kinds = kind if isinstance(kind, tuple) else (kind,)
    return " or ".join(words[each] for each in kinds if not (each is int and float in kinds))


def _near(word: str, known: tuple[str, ...]) -> str:
    near = get_close_matches(word, known, 1)
    return near[0] if near else f"one of {', '.join(known)}"


def _did_you_mean(key: str, known: Mapping[str, Any]) -> str:
    near = get_close_matches(key, list(known), 1, 0.7)
    return f"did you mean {near[0]!r}?" if near else f"use {', '.join(known)}"


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _items(value: object) -> list[tuple[Any, Any]]:
    return list(value.items()) if isinstance(value, Mapping) else []
