"""The in-memory target: a small simulated network that satisfies the whole Target protocol without a kernel.

:func:`fresh` makes one, :func:`reopen` opens it again from its ``ref``, in this process or another.  It proves nothing
about real networks; it is what engines, plans and lessons are tried on.
"""

import os
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from chaosnet.errors import TargetGone
from chaosnet.lab import topology
from chaosnet.shipped import default_lab
from chaosnet.targets.memory.state import Kept, State
from chaosnet.targets.memory.target import Clock, MemoryTarget, SimulatedCrash
from chaosnet.targets.memory.world import World, furnished

__all__ = ["Clock", "MemoryTarget", "SimulatedCrash", "World", "default_world", "fresh", "open_network", "reopen"]


def default_world() -> World:
    """The default lab's network: a test cluster and a prod cluster of three nodes each, and two transit routers."""
    return furnished(topology.load(default_lab()))


def open_network(lab: str = "") -> MemoryTarget:
    """The network that ``lab`` names: one that is kept already (its ref), else a new one from a topology file.

    Raises InputError where the file is not one.
    """
    if lab.endswith(".json"):
        return reopen(lab)
    return fresh(furnished(topology.load(lab)) if lab else None)


def fresh(
    world: World | None = None,
    *,
    path: Path | None = None,
    clock: Callable[[], float] = time.monotonic,
    lacking: Mapping[str, str] | None = None,
    fail_at: str = "",
) -> MemoryTarget:
    """A new network (the default two clusters) kept in ``path``, else in a file of its own that goes when it is closed."""
    own = path is None
    if path is None:
        handle, name = tempfile.mkstemp(prefix="chaosnet-memory-", suffix=".json")
        os.close(handle)
        path = Path(name)
    kept = Kept(path, State(world or default_world()))
    return MemoryTarget(kept, str(path), clock, lacking=lacking, fail_at=fail_at, own=own)


def reopen(ref: str, *, clock: Callable[[], float] = time.monotonic, fail_at: str = "") -> MemoryTarget:
    """Another handle on the network that ``ref`` names.  Raises TargetGone where there is none any more."""
    if not Path(ref).is_file():
        raise TargetGone(f"the in-memory network {ref} has ended, and everything in it")
    target = MemoryTarget(Kept(Path(ref)), ref, clock, fail_at=fail_at)
    target.describe()
    return target
