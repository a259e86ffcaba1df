"""The shelves, read: every fault and probe with its arguments, first sentence and example, from the code and its docstrings.

Nothing is listed by hand: a new file on a shelf is found by itself.  It does not know what a fault does to packets; the
docstrings say that.
"""

import importlib
import inspect
import pkgutil
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

SHELVES = {"fault": "chaosnet.faults", "probe": "chaosnet.probes"}
_EXAMPLE = ("Example::", "Example:")


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a door; ``default`` is None where there must be a value, else the default as YAML writes it."""

    name: str
    type: str
    default: str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One door.  ``example`` is the provider's YAML without its type; ``about`` the file's own account, which is longer."""

    kind: str
    name: str
    module: str
    arguments: tuple[Argument, ...]
    sentence: str
    details: str
    example: str
    about: str

    @property
    def signature(self) -> str:
        """``shrink_mtu(at, mtu, icmp=pass)``."""
        return f"{self.name}({', '.join(a.name if a.default is None else f'{a.name}={a.default}' for a in self.arguments)})"


def entries(kind: str) -> tuple[Entry, ...]:
    """The faults (``fault``) or the probes (``probe``), by module and then in the order of ``__all__``."""
    return tuple(_entries(kind, SHELVES[kind]))


def _entries(kind: str, shelf: str) -> Iterator[Entry]:
    for found in pkgutil.iter_modules(importlib.import_module(shelf).__path__, f"{shelf}."):
        module = importlib.import_module(found.name)
        for name in getattr(module, "__all__", ()):
            yield _entry(kind, module.__name__, name, getattr(module, name), inspect.getdoc(module) or "")


def _entry(kind: str, module: str, name: str, door: Callable[..., Any], about: str) -> Entry:
    text, _, example = _split(inspect.getdoc(door) or "")
    sentence, _, details = text.partition("\n\n")
    arguments = tuple(
        Argument(
            parameter.name,
            _type(parameter.annotation),
            None if parameter.default is inspect.Parameter.empty else _yaml(parameter.default),
        )
        for parameter in inspect.signature(door).parameters.values()
    )
    return Entry(kind, name, module, arguments, " ".join(sentence.split()), details.strip(), example, about)


def _split(doc: str) -> tuple[str, str, str]:
    for marker in _EXAMPLE:
        before, found, after = doc.partition(f"\n{marker}\n")
        if found:
            return before.rstrip(), found, textwrap.dedent(after.strip("\n")).rstrip()
    return doc, "", ""


def _type(annotation: Any) -> str:
    """``str`` for str, ``List`` for typing.List[str]."""
    return str(getattr(annotation, "_name", None) or getattr(annotation, "__name__", annotation))


def _yaml(value: object) -> str:
    if value is None or value == "":
        return '""' if value == "" else "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def activity(entry: Entry) -> str:
    """The example as a whole activity, ready to paste into an experiment."""
    lines = [f"- type: {'action' if entry.kind == 'fault' else 'probe'}", f"  name: {entry.name.replace('_', ' ')}"]
    if entry.kind == "probe":
        lines.append("  tolerance: true")
    lines += ["  provider:", "    type: python", *(f"    {line}" for line in entry.example.splitlines())]
    return "\n".join(lines)


def markdown(kind: str) -> str:
    """The table of a shelf for the README: what, in one sentence, and the arguments."""
    rows = [f"| {kind} | what it does | arguments |", "|---|---|---|"]
    for entry in entries(kind):
        arguments = ", ".join(f"`{a.name}`" if a.default is None else f"`{a.name}={a.default}`" for a in entry.arguments)
        sentence = entry.sentence.replace("``", "`").replace("|", "\\|")
        rows.append(f"| `{entry.module.removeprefix('chaosnet.')}.{entry.name}` | {sentence} | {arguments} |")
    return "\n".join(rows) + "\n"
