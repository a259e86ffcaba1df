"""Manifests as people keep them, and as ``kubectl get -o yaml`` writes them, to objects.

Files and folders, several documents in one file, and Lists.  Two traps of YAML are refused instead of loaded: a key that
stands twice, and a bare key that YAML 1.1 reads as a boolean (on, off, yes, no).  Dates stay text.  Nothing here checks an
object's fields (:mod:`chaosnet.lab.kinds` does) or places pods (:mod:`chaosnet.lab.placement`).
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import yaml

from chaosnet.errors import InputError
from chaosnet.lab import kinds
from chaosnet.lab.kinds import Manifest

_SUFFIXES = (".yaml", ".yml", ".json")
_LARGEST = 64 * 2**20
_DEEPEST = 200
# libyaml's loader is about ten times as fast; a PyYAML built without it has only the other one.
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]
    """Refuses keys that are booleans or stand twice, and leaves dates as text."""

    yaml_implicit_resolvers: ClassVar[dict[Any, Any]] = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in _Base.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, bool):
                problem = f"the bare key {key_node.value} is the boolean {key} in YAML; quote it"
            elif not isinstance(key, str | int | float) and key is not None:
                problem = "a key is a list or a mapping; use text"
            elif key in seen:
                problem = f"the key {key!r} stands twice; keep one of them"
            else:
                seen.add(key)
                continue
            raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
        built: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return built


def check_depth(text: str | bytes) -> None:
    """RecursionError for YAML nested beyond all use: libyaml's composer would overflow the C stack, which nobody can catch."""
    depth = 0
    for event in yaml.parse(text, Loader=_Base):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise RecursionError


def load_yaml(text: str | bytes, place: str) -> list[Any]:
    """Every document of YAML ``text``; InputError names ``place``, the line and what is wrong there."""
    try:
        check_depth(text)
        return list(yaml.load_all(text, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f" line {mark.line + 1}:" if mark is not None else ""
        raise InputError(f"{place}:{line}".rstrip(":"), " ".join(str(error.problem or error.context).split())) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(place, f"this is not YAML text ({' '.join(str(error).split())[:120]})", "save it as UTF-8") from None
    except RecursionError:
        raise InputError(place, "it is nested too deeply", "write it flatter") from None
    except ValueError as error:
        # A number such as 0o or a date out of range that the loader takes for one.
        raise InputError(place, f"a value cannot be read ({' '.join(str(error).split())[:120]})", "quote it") from None


def load(paths: Iterable[Path | str]) -> list[tuple[Manifest, str]]:
    """Every object of these files and folders with the place it stands at, in the order of the files' names.

    A folder means the .yaml, .yml and .json files in it and below it.  InputError names the file.
    """
    found: list[tuple[Manifest, str]] = []
    for path in paths:
        for file in _files(Path(path)):
            found.extend(parse(_read(file), str(file)))
    return found


def parse(text: str | bytes, place: str) -> list[tuple[Manifest, str]]:
    """Every object of one file's text with its place."""
    found: list[tuple[Manifest, str]] = []
    for number, document in enumerate(load_yaml(text, place), 1):
        if document is not None:
            found.extend(_objects(document, place if number == 1 else f"{place} document {number}", 0))
    return found


def _objects(document: object, place: str, depth: int) -> Iterator[tuple[Manifest, str]]:
    """The object itself, or the items of a List (``kubectl get`` writes v1 List; typed ones exist too)."""
    if isinstance(document, dict) and str(document.get("kind", "")).endswith("List") and "items" in document:
        entries = document["items"] or []
        if not isinstance(entries, list) or depth > 3:
            raise InputError(place, f"the items of this {document['kind']} are not a list of objects", "write a list")
        single = str(document["kind"])[: -len("List")]
        for index, entry in enumerate(entries):
            if single and isinstance(entry, dict):
                # Items of a typed List from the API itself leave out what the List says already.
                entry = {"apiVersion": document.get("apiVersion"), "kind": single} | entry
            yield from _objects(entry, f"{place} item {index + 1}", depth + 1)
        return
    kinds.identify(document, place)
    assert isinstance(document, dict)
    yield document, place


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        inside = sorted(
            file
            for file in path.rglob("*")
            if file.suffix in _SUFFIXES and not any(part.startswith(".") for part in file.relative_to(path).parts)
        )
        if not inside:
            raise InputError(str(path), "no manifest is in this folder", f"put {', '.join(_SUFFIXES)} files there")
        return inside
    return [path]


def _read(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():  # a device or a pipe may never end
            raise InputError(str(path), "this is no regular file", "name a manifest")
        with path.open("rb") as file:
            text = file.read(_LARGEST + 1)
    except OSError as error:
        raise InputError(str(path), f"it cannot be read ({error.strerror})", "check the path") from None
    if len(text) > _LARGEST:
        raise InputError(str(path), f"it is larger than {_LARGEST >> 20} MB", "split it")
    return text

