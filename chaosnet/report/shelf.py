"""The shelf of report formats: which there are, and writing a run's reports into its folder.

Walks :mod:`chaosnet.report.formats`; a format is imported when it is asked for, not before.  Knows no single format.
"""

import importlib
import os
import pkgutil
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, cast

from chaosnet.errors import InputError
from chaosnet.report import formats
from chaosnet.report.reading import read
from chaosnet.report.record import RunRecord

__all__ = ["USUAL", "Format", "load", "names", "read", "render", "save", "write"]

# What a run leaves behind without being asked; the others are one --format away.
USUAL = ("html", "markdown", "json", "junit", "svg")


class Format(Protocol):
    """A format's module: the file it writes, and the document."""

    FILE: str

    def render(self, record: RunRecord) -> str:
        """The whole document as text."""
        ...


def names() -> tuple[str, ...]:
    """Every format on the shelf, in alphabetical order; imports none of them."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(formats.__path__)))


def load(name: str) -> Format:
    """The format ``name``; InputError listing those there are."""
    if name not in names():
        raise InputError("--format", f"{name!r} is not a report format", f"use one of {', '.join(names())}")
    return cast(Format, importlib.import_module(f"{formats.__name__}.{name}"))


def write(folder: Path, wanted: Sequence[str] = USUAL) -> tuple[Path, ...]:
    """Read the run in ``folder`` and write its reports there; see :func:`render`."""
    return render(read(folder), wanted, folder)


def render(record: RunRecord, wanted: Sequence[str], into: Path) -> tuple[Path, ...]:
    """``record`` in each format ``wanted``, into the folder ``into``; the files written.

    Each file is complete or absent: it is written aside and renamed.  Raises InputError where one cannot be written.
    """
    return tuple(save(into / load(name).FILE, load(name).render(record)) for name in wanted)


def save(path: Path, text: str) -> Path:
    """Write ``text`` to ``path`` as UTF-8, whole or not at all; InputError where the disk says no."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(text, encoding="utf-8", newline="\n")
        aside.replace(path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        problem = f"the report cannot be written ({error.strerror})"
        raise InputError(str(path), problem, "choose another --output") from None
    return path
