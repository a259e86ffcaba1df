"""Topology and manifest files, judged by the lab's own readers: a file is wrong exactly when the lab would refuse it.

These readers stop at the first mistake of a file, so there is one problem at a time.  Nothing is started.
"""

import re
from collections.abc import Callable

from chaosnet.errors import InputError
from chaosnet.lab import kinds
from chaosnet.lab import manifests as reader
from chaosnet.validate import world
from chaosnet.validate.source import Problem, Source

_LINE = re.compile(r" line ([0-9]+)")


def topology(source: Source) -> None:
    """Note why a lab could not be made from this topology and its manifests."""
    _noting(source, lambda: world.inventory(source.file))


def manifests(source: Source) -> None:
    """Note what the lab would refuse in a manifest."""

    def load() -> None:
        for item, place in reader.load([source.file]):
            kinds.identify(item, place)
            kinds.check(item, place)

    _noting(source, load)


def lab(source: Source, path: str) -> bool:
    """Note, at the ``lab`` field of an experiment, why its lab could not be made; whether it could."""
    return _noting(source, lambda: world.inventory(path), "extensions.chaosnet.lab")


def _noting(source: Source, load: Callable[[], object], at: str = "") -> bool:
    try:
        load()
    except InputError as error:
        if at:
            line = next((line for path, line in source.lines.items() if path[:1] == ("extensions",) and path[-1] == "lab"), 0)
            source.problems.append(Problem(source.file, at, str(error), "", line))
            return False
        found = _LINE.search(error.place)
        place = error.place.removeprefix(source.file).strip()
        place = (_LINE.sub("", f" {place}") if found else place).strip(" :")
        # Where YAML itself has been named at this line, the reader's own word for it says nothing new.
        line = int(found.group(1)) if found else 0
        if not any(each.line == line and line for each in source.problems):
            source.problems.append(Problem(source.file, place, error.problem, error.remedy, line))
        return False
    return True
