"""What tests of every room share: the in-memory network, a clock that a test drives, and a state folder of the test's own.

Fixtures: ``clock`` (stands still until advanced), ``memory`` (a fresh two-cluster network on that clock), ``inventory``
(what exists there).  Tests that need a lab are marked ``@pytest.mark.lab``.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from chaosnet.model.inventory import Inventory
from chaosnet.targets.memory import Clock, MemoryTarget, World, default_world, fresh

# Two shared cores: a slow example is no failure.  Each test says itself how many examples it is worth.
settings.register_profile("chaosnet", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("chaosnet")


@pytest.fixture(autouse=True)
def own_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tickets, audit and labs of a test never meet the user's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until the test advances it."""
    return Clock()


@pytest.fixture
def memory(tmp_path: Path, clock: Clock, world: World) -> Iterator[MemoryTarget]:
    """A fresh in-memory network; ``reopen(memory.ref, clock=clock)`` is another handle on it."""
    target = fresh(world, path=tmp_path / "network.json", clock=clock)
    yield target
    target.close()


@pytest.fixture(scope="session")
def world() -> World:
    """The default two clusters."""
    return default_world()


@pytest.fixture
def inventory(memory: MemoryTarget) -> Inventory:
    """What exists in the default network."""
    return memory.inventory()
