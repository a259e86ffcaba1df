"""The in-memory target: a small simulated network that satisfies the whole Target protocol without a kernel.

:func:`fresh` makes one, :func:`reopen` opens it again from its ``ref``, in this process or another.  It proves nothing
about real networks; it is what engines, plans and lessons are tried on.
"""

import os
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from chaosnet.errors import TargetError
from chaosnet.targets.memory.state import Kept, State
from chaosnet.targets.memory.target import Clock, MemoryTarget, SimulatedCrash
from chaosnet.targets.memory.world import World, two_clusters

__all__ = ["Clock", "MemoryTarget", "SimulatedCrash", "World", "fresh", "reopen", "two_clusters"]


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
    kept = Kept(path, State(world or two_clusters()))
    return MemoryTarget(kept, str(path), clock, lacking=lacking, fail_at=fail_at, own=own)


def reopen(ref: str, *, clock: Callable[[], float] = time.monotonic, fail_at: str = "") -> MemoryTarget:
    """Another handle on the network that ``ref`` names.  Raises TargetError where there is none."""
    if not Path(ref).is_file():
        raise TargetError(f"there is no in-memory network {ref!r}; it went away with the run that made it")
    target = MemoryTarget(Kept(Path(ref)), ref, clock, fail_at=fail_at)
    target.settle(0)
    target.describe()
    return target
