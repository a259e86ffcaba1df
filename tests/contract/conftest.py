"""The targets that the contract is tried on, each with a second way in and a way to let time pass.

``memory`` is always there, ``lab`` where the machine has what a lab needs.  Another target joins by one more maker in
``MAKERS``.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest

from chaosnet.model.target import Target
from chaosnet.targets import attach, open_target
from chaosnet.targets.memory import Clock, fresh, reopen

_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Subject:
    """One target under test.  ``reopen`` opens it again from its ref alone; ``rest`` lets seconds pass on its clock."""

    target: Target
    reopen: Callable[[], Target]
    rest: Callable[[float], None]
    _others: list[Target] = field(default_factory=list)

    def another(self) -> Target:
        """A second handle, closed with the test."""
        self._others.append(self.reopen())
        return self._others[-1]

    def close_others(self) -> None:
        """Let go of the second handles."""
        while self._others:
            self._others.pop().close()

    def until(self, ask: Callable[[], _Answer], ok: Callable[[_Answer], bool], within: float) -> _Answer:
        """Ask until the answer is ok; fails after ``within`` seconds of the target's clock with the last answer."""
        left = within
        while not ok(answer := ask()):
            if left <= 0:
                pytest.fail(f"not within {within:g} s: {answer}")
            began = time.monotonic()
            self.rest(0.05)
            left -= max(0.05, time.monotonic() - began)
        return answer


@contextmanager
def _memory(folder: Path) -> Iterator[Subject]:
    clock = Clock()
    target = fresh(path=folder / "network.json", clock=clock)
    yield Subject(target, lambda: reopen(target.ref, clock=clock), clock.advance)


@contextmanager
def _memory_with_less(folder: Path) -> Iterator[Subject]:
    """As on a kernel without netem, and a target without rewriting: what is missing must be said."""
    clock = Clock()
    lacking = {"netem": "this kernel has no sch_netem", "Rewrite": "there is no address translation here"}
    target = fresh(path=folder / "network.json", clock=clock, lacking=lacking)
    yield Subject(target, lambda: reopen(target.ref, clock=clock), clock.advance)


@contextmanager
def _lab(folder: Path) -> Iterator[Subject]:
    # What the machine must have is asked for by the mark; from there on, a lab that does not come up is a failure.
    target = open_target("lab")
    try:
        target.settle(60)
        yield Subject(target, lambda: attach("lab", target.ref), time.sleep)
    finally:
        target.close()


MAKERS = {"memory": _memory, "memory-with-less": _memory_with_less, "lab": _lab}


@pytest.fixture(autouse=True)
def own_state_folder() -> None:
    """One state folder for the whole module (see ``opened``): a running lab is found by it."""


@pytest.fixture(scope="module", params=[pytest.param(n, marks=[pytest.mark.lab] if n == "lab" else []) for n in MAKERS])
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    """One target for the whole module: a lab takes its time to come up."""
    folder = tmp_path_factory.mktemp("contract")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        with MAKERS[request.param](folder) as subject:
            yield subject


@pytest.fixture
def subject(opened: Subject, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Subject]:
    """A target with nothing of ours on it, before and after the test."""
    opened.target.settle(30)
    assert opened.target.owned() == ()
    yield opened
    opened.close_others()
    opened.target.panic()
    left = opened.target.owned()
    assert left == (), f"{request.node.name} left {left}"
