"""SIGKILL of the process that injects, before and after every step; afterwards the network is as it was before.

Either nobody comes and the fuse does it, or somebody drains the ledger: both must end in the snapshot from before.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chaosnet.cli.takeback import take_back
from chaosnet.engine.ledger import Ledger
from chaosnet.engine.residue import compare
from chaosnet.model.target import Target
from chaosnet.targets import open_target
from tests.crash.driver import FUSE, faults

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A lab that outlives the processes that die, with a state folder of its own."""
    state = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(state))
        target = open_target("lab")
        target.settle(30)
        yield target
        target.close()


@pytest.fixture(autouse=True)
def own_state_folder(lab: Target, request: pytest.FixtureRequest) -> None:
    """The state folder is the module's here: the driver's ledger must be found by the test."""


def drive(lab: Target, fault: str, step: int) -> "subprocess.CompletedProcess[str]":
    """Inject and take back in a process that dies at ``step``."""
    return subprocess.run(
        [sys.executable, "-m", "tests.crash.driver", lab.ref, fault, str(step)],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60, check=False, env=dict(os.environ),
    )  # fmt: skip


def left(lab: Target, before: dict[str, str], within: float) -> tuple[str, ...]:
    """What differs from before, once it has stopped changing or time is up."""
    deadline = time.monotonic() + within
    while True:
        now = compare(before, lab.snapshot(), lab.owned())
        if not now or time.monotonic() > deadline:
            return now
        time.sleep(0.1)


@pytest.mark.parametrize("fault", list(faults()))
def test_undying_it_leaves_nothing_and_says_its_steps(lab: Target, fault: str) -> None:
    before = dict(lab.snapshot())
    done = drive(lab, fault, -1)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10
    assert left(lab, before, 2) == ()
    assert list(Ledger().open()) == []


# Some sixteen calls a fault, each with a before and an after.
@settings(max_examples=24, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(fault=st.sampled_from(list(faults())), step=st.integers(0, 40), drained=st.booleans())
def test_killed_at_any_step_nothing_is_left(lab: Target, fault: str, step: int, drained: bool) -> None:
    before = dict(lab.snapshot())
    done = drive(lab, fault, step)
    assert done.returncode in (-9, 0), done.stderr
    if drained:
        for ticket, words, error in take_back(list(Ledger().open()), by="test"):
            assert error is None, (ticket.kind, words)
        assert left(lab, before, 3) == ()
    else:
        assert left(lab, before, FUSE + 3) == ()
    for _ticket, words, error in take_back(list(Ledger().open()), by="test"):
        assert error is None, words
    assert list(Ledger().open()) == []
    assert compare(before, lab.snapshot(), lab.owned()) == ()
