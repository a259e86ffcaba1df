"""The embedded lab as a target: a network of real kernel parts in namespaces, held by one keeper process.

:func:`open_lab` starts or finds one, :func:`attach` finds one again.  Neither imports what only the keeper needs.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from chaosnet.errors import InputError, TargetGone
from chaosnet.shipped import default_lab

if TYPE_CHECKING:
    from chaosnet.targets.lab.client import LabTarget


def open_lab(lab: str = "", *, owned: bool = True) -> "LabTarget":
    """A lab for a run: the running one that ``lab`` names, else a new one from the topology file it names (empty: the default).

    A new one is called after its topology and this process, and ends with it; where ``owned`` is false it stays.
    """
    from chaosnet.targets.lab import running, spawn
    from chaosnet.targets.lab.client import LabTarget

    if lab and running.find(lab) is not None:
        return LabTarget(lab)
    path = topology_file(lab)
    started = spawn.start(path, _own_name(path), owned=owned)
    return LabTarget(started.name, started.owner, started.seconds)


def topology_file(lab: str) -> Path:
    """The topology file that ``lab`` names: a path, or the plain name of one that comes with chaosnet; empty is the default."""
    if not lab:
        return default_lab()
    path = Path(lab)
    if path.is_file():
        return path
    shipped = default_lab().parent / f"{path.name}.yaml"
    if "/" not in lab and shipped.is_file():
        return shipped
    raise InputError("the lab", f"{lab!r} is neither a running lab nor a topology file", "see chaosnet lab ls, or give a path")


def _own_name(path: Path) -> str:
    import itertools

    from chaosnet.targets.lab import running

    stem = "".join(c if c.isascii() and (c.isalnum() or c == "-") else "-" for c in path.stem.lower()).strip("-")[:40] or "lab"
    for number in itertools.count(1):
        name = f"{stem}-{os.getpid()}" + (f"-{number}" if number > 1 else "")
        if running.find(name) is None:
            return name
    raise AssertionError("unreachable")


def attach(ref: str) -> "LabTarget":
    """The running lab called ``ref``; TargetGone where there is none."""
    from chaosnet.targets.lab import running
    from chaosnet.targets.lab.client import LabTarget

    if running.find(ref) is None:
        raise TargetGone(f"the lab {ref} has ended, and everything in it")
    return LabTarget(ref)
