"""A small lab (emulated.yaml) that the tests of a module share, and sessions on it in which doors inject for real.

Tests marked ``vm`` need a kernel with sch_netem; ``make test-vm`` boots one, some ten times slower than this machine, so
everything here gives time.  Nothing here judges.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chaosnet.engine.session import Session, make_current
from chaosnet.model.target import Target
from chaosnet.targets import open_target

TOPOLOGY = Path(__file__).parent / "emulated.yaml"
# The sampler is not what is tried here: it asks little and lets an emulated processor take its time.
EXPERIMENT = {"title": "netem", "extensions": [{"name": "chaosnet", "watch": {"interval": "1s", "timeout": "3s"}}]}

OpenSession = Callable[..., Session]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The lab, settled."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("lab")))
        target = open_target("lab", str(TOPOLOGY))
    try:
        target.settle(120)
        yield target
    finally:
        target.close()


@pytest.fixture
def session(lab: Target, tmp_path: Path) -> Iterator[OpenSession]:
    """``session(placebo=False)`` opens a session on the lab and makes it current; it leaves the lab as it found it."""
    before = lab.snapshot()

    def begin(placebo: bool = False) -> Session:
        opened = Session.open(lab, EXPERIMENT, "netem.yaml", tmp_path / "run", placebo)
        make_current(opened)
        return opened

    yield begin
    make_current(None)
    lab.watch((), 1.0, 3.0)
    left = lab.owned()
    lab.panic()  # what a test left must fail it, and not the next one
    assert left == ()
    assert lab.snapshot() == before
