"""A YAML or JSON file as plain values, with the line of each, and what YAML itself would have let pass.

Finds duplicate keys and the words that YAML 1.1 turns into booleans (on, off, yes, no).  It does not know what the values
mean.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import yaml

from chaosnet.lab.manifests import check_depth

Path_ = tuple[str | int, ...]

_LARGEST = 4 * 2**20
_MOST_NODES = 200_000
_TRAP = re.compile(r"(?:on|off|yes|no|y|n)", re.IGNORECASE | re.ASCII)
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]
    """Leaves dates as the text they are."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in _Base.yaml_implicit_resolvers.items()
    }


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend: where (file, line, path in the document), what is wrong with which value, and what to do."""

    file: str
    path: str
    problem: str
    remedy: str = ""
    line: int = 0

    def __str__(self) -> str:
        place = f"{self.file} line {self.line}" if self.line else self.file
        shown = self.problem if len(self.problem) <= 400 else f"{self.problem[:250]} ... {self.problem[-100:]}"
        text = f"{place}: {self.path}: {shown}" if self.path else f"{place}: {shown}"
        return " ".join((f"{text}; {self.remedy}" if self.remedy else text).split())


@dataclass(slots=True)
class Source:
    """One file, read.  ``problems`` grows while the file is looked at; ``document`` is None where it cannot be read."""

    file: str
    document: Any = None
    lines: dict[Path_, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def wrong(self, path: Path_, problem: str, remedy: str = "") -> None:
        """Note a problem at ``path``; a value that stands nowhere takes the line of what it should stand in."""
        line, at = 0, path
        while not line and at:
            line, at = self.lines.get(at, 0), at[:-1]
        found = Problem(self.file, say(path), problem, remedy, line)
        if found not in self.problems:
            self.problems.append(found)


def say(path: Path_) -> str:
    """``("method", 0, "pauses")`` as ``method[0].pauses``."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).lstrip(".")


def show(value: object) -> str:
    """A value in a sentence: short, on one line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def read(path: str) -> Source:
    """The file, read as far as it can be."""
    source = Source(path)
    try:
        if not Path(path).is_file():
            what = "is a folder, not a file" if Path(path).is_dir() else "there is no such file"
            source.wrong((), what, "check the path")
            return source
        raw = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        source.wrong((), f"cannot be read ({getattr(error, 'strerror', None) or error})", "check its permissions")
        return source
    if len(raw) > _LARGEST:
        source.wrong((), f"is {len(raw)} bytes long", f"an experiment has at most {_LARGEST}")
        return source
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        source.wrong((), f"byte {error.start} is not UTF-8", "save the file as UTF-8")
        return source
    _parse(source, text)
    return source


def _parse(source: Source, text: str) -> None:
    try:
        check_depth(text)
        nodes = list(yaml.compose_all(text, Loader=_Loader))
        present = [node for node in nodes if node is not None and node.tag != "tag:yaml.org,2002:null"]
        first = present[0].value if present and isinstance(present[0], yaml.MappingNode) else ()
        manifests = any(key.value == "apiVersion" for key, _ in first)
        if len(present) != 1 and not manifests:
            found = "is empty" if not present else f"holds {len(nodes)} YAML documents"
            source.wrong((), found, "write one experiment or topology in a file")
        elif all(_walk(source, node) for node in present):
            source.document = next(document for document in yaml.load_all(text, Loader=_Loader) if document is not None)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(str(error.problem or error.context or "cannot be parsed").split())
        source.problems.append(
            Problem(
                source.file, "", f"is not YAML: {what}", "check the indentation and quotes there", mark.line + 1 if mark else 0
            )
        )
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        what = "too deeply nested" if isinstance(error, RecursionError) else str(error).splitlines()[0]
        source.wrong((), f"is not YAML: {what}", "check its characters and nesting")


def _walk(source: Source, root: Any) -> bool:
    """Note lines, duplicate keys and boolean words; False where the document must not be built at all."""
    for count, (path, node, above) in enumerate(_nodes(root)):
        if count > _MOST_NODES or len(path) > 100:
            source.wrong((), "has too many values or too deep nesting", "take out the aliases that multiply it")
            return False
        if id(node) in above:
            source.wrong(path, "an alias refers to what it stands in", "write the value out")
            return False
        source.lines.setdefault(path, node.start_mark.line + 1)
        if node.tag == "tag:yaml.org,2002:bool" and _TRAP.fullmatch(node.value):
            source.wrong(path, f"YAML reads the bare word {node.value} as a boolean", f'quote it: "{node.value}"')
        if isinstance(node, yaml.MappingNode):
            _keys(source, path, node)
    return True


def _keys(source: Source, path: Path_, node: Any) -> None:
    seen: set[str] = set()
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            source.problems.append(Problem(source.file, say(path), "a key is a list or a mapping", "use text", line))
        elif key.tag == "tag:yaml.org,2002:bool":
            source.problems.append(
                Problem(source.file, say(path), f"YAML reads the key {key.value} as a boolean", f'quote it: "{key.value}"', line)
            )
        elif key.value in seen and key.tag != "tag:yaml.org,2002:merge":
            source.problems.append(
                Problem(source.file, say(path), f"the key {show(key.value)} stands twice", "keep one of them", line)
            )
        seen.add(key.value if isinstance(key, yaml.ScalarNode) else "")


def _nodes(root: Any) -> Iterator[tuple[Path_, Any, frozenset[int]]]:
    """Every node with its path and the nodes that it stands in."""
    waiting: list[tuple[Path_, Any, frozenset[int]]] = [((), root, frozenset())]
    while waiting:
        path, node, above = waiting.pop()
        yield path, node, above
        inside = above | {id(node)}
        if isinstance(node, yaml.MappingNode):
            waiting.extend(
                ((*path, str(key.value) if isinstance(key, yaml.ScalarNode) else "?"), value, inside) for key, value in node.value
            )
        elif isinstance(node, yaml.SequenceNode):
            waiting.extend(((*path, index), value, inside) for index, value in enumerate(node.value))
