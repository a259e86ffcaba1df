"""A machine of injections, undos and deaths at any step: never a change without a record, never residue.

The engine's own ``inject`` and ``undo_ticket`` run on the in-memory network; a process dies where Hypothesis says so: at any
step of the target's, or between two steps of the engine's.  Whoever comes after has the ledger on disk, the network, and
time.
"""

import secrets
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from chaosnet.engine.experiment import Ceiling
from chaosnet.engine.inject import Setting, inject
from chaosnet.engine.ledger import Ledger
from chaosnet.engine.residue import compare
from chaosnet.engine.undo import undo_ticket
from chaosnet.errors import Refused
from chaosnet.model.change import Change, DaemonState, Filter, LinkMtu, Match, Object, RouteMtu, Sysctl
from chaosnet.model.effect import daemon_stops
from chaosnet.model.fault import Capabilities, Effect, Plan
from chaosnet.model.inventory import Site, Sites
from chaosnet.model.place import Place, parse_place
from chaosnet.model.target import Target
from chaosnet.targets.memory import Clock, MemoryTarget, SimulatedCrash, default_world, fresh, reopen

FUSE = 60.0
WORLD = default_world()
TARGET_STEPS = [
    f"{step}:{when}#{time}"
    for step in ("prepare", "arm", "do")
    for when in ("before", "after")
    for time in ((1, 2) if step != "arm" else (1,))
]
ENGINE_STEPS = ["recorded", "armed", "inject", "done", "in force", "effect", "proven"]
UNDO_STEPS = ["undo:before", "undo:between", "undo:between#2", "undo:after"]


def _changes(kind: str, node: Site) -> tuple[Change, ...]:
    match kind:
        case "black-hole":
            far = ("10.1.0.0/16",)
            return (RouteMtu(node, far, 1400), Filter(node, "egress", Match(icmp="fragmentation-needed")))
        case "stopped":
            return (DaemonState(node, "bird"),)
        case "forgetful":
            return (Sysctl(node, "net.ipv4.ip_forward", "0"), LinkMtu(node, 1300))
        case _:
            patch = '{"metadata": {"labels": {"app": "other"}}}'
            return (Object("prod", "patch", "Namespace", "", "prod-ns", patch), DaemonState(node, "policy"))


@dataclass(frozen=True, slots=True)
class Trouble:
    """A fault of the kind that the machine chose."""

    kind: ClassVar[str] = "trouble"
    what: str
    at: Place
    duration: float = FUSE

    def places(self) -> Mapping[str, Place]:
        """The node."""
        return {"at": self.at}

    def plan(self, sites: Sites, capabilities: Capabilities) -> Plan:
        """Its changes; a stopped daemon is also proven."""
        (node,) = sites["at"]
        effects: tuple[Effect, ...] = (daemon_stops(node, "bird"),) if self.what == "stopped" else ()
        return Plan(_changes(self.what, node), effects, "", "")


class Drill(RuleBasedStateMachine):
    """Some processes, one network, one ledger."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="chaosnet-machine-"))
        self.clock = Clock()
        self.network = fresh(WORLD, path=self.folder / "network.json", clock=self.clock)
        self.before = dict(self.network.snapshot())

    def process(self, fail_at: str = "") -> MemoryTarget:
        """A new process' handle on the network."""
        return reopen(self.network.ref, clock=self.clock, fail_at=fail_at)

    @property
    def ledger(self) -> Ledger:
        """The ledger as a new process finds it."""
        return Ledger(self.folder)

    def setting(self, target: Target, die_after: str, run: str) -> Setting:
        """A run in a process that dies right after the engine said ``die_after``."""

        def said(event: str, **fields: object) -> float:
            if event == die_after:
                assert isinstance(target, MemoryTarget)
                target.die()
            return self.clock()

        return Setting(target, self.ledger, run, {}, Ceiling(), [], False, said)

    @rule(
        what=st.sampled_from(["black-hole", "stopped", "forgetful", "relabelled"]),
        node=st.sampled_from(["node:test/test-1", "node:test/test-2", "node:prod/prod-1"]),
        die_in=st.sampled_from(["", "", *TARGET_STEPS, *UNDO_STEPS]),
        die_after=st.sampled_from(["", "", *ENGINE_STEPS]),
        run=st.sampled_from(["same", "other"]),
    )
    def someone_injects(self, what: str, node: str, die_in: str, die_after: str, run: str) -> None:
        setting = self.setting(self.process(die_in), die_after, run)
        try:
            found = inject(setting, Trouble(what, parse_place(node, "at")))
        except SimulatedCrash:
            return
        except Refused as refusal:
            assert " " in str(refusal)
            return
        assert found.proven
        assert all(self.network.in_force(found.ticket.id, change).ok for change in found.ticket.changes)

    @precondition(lambda self: any(self.ledger.open()))
    @rule(die_in=st.sampled_from(["", *UNDO_STEPS]), which=st.integers(0, 5))
    def someone_undoes(self, die_in: str, which: int) -> None:
        tickets = list(self.ledger.open())
        ticket = tickets[which % len(tickets)]
        try:
            undone = undo_ticket(self.process(die_in), self.ledger, ticket, by="the machine")
        except SimulatedCrash:
            assert ticket.id in {left.id for left in self.ledger.open()}, "forgotten before it was seen to be gone"
            return
        assert undone.still_there == ()
        assert ticket.id not in {left.id for left in self.ledger.open()}

    @precondition(lambda self: any(self.ledger.open()))
    @rule()
    def another_process_drains_the_ledger(self) -> None:
        target = self.process()
        for ticket in self.ledger.open():
            assert undo_ticket(target, self.ledger, ticket, by="drain").still_there == ()
        self.is_whole()

    @rule(seconds=st.sampled_from([0.1, 5.0, FUSE / 2]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @precondition(lambda self: bool(self.network.owned()))
    @rule()
    def everybody_is_dead_until_the_fuses_are_burnt(self) -> None:
        self.clock.advance(FUSE)
        self.is_whole()

    @precondition(lambda self: bool(self.network.owned()))
    @rule()
    def panic_without_a_ledger(self) -> None:
        shutil.move(self.folder / "tickets", self.folder / f"lost-{secrets.token_hex(4)}")
        assert self.process().panic()
        self.is_whole()

    @invariant()
    def whatever_is_there_is_written_down(self) -> None:
        """Write-ahead: no change and no fuse whose ticket the ledger has not."""
        known = {ticket.id for ticket in self.ledger.open()}
        for words in self.network.owned():
            assert any(ticket in words for ticket in known), f"{words}: not in the ledger"

    @invariant()
    def the_ledger_can_be_read(self) -> None:
        assert self.ledger.unreadable() == ()

    def is_whole(self) -> None:
        """Nothing of ours, to the rule."""
        assert compare(self.before, dict(self.network.snapshot()), self.network.owned()) == ()

    def teardown(self) -> None:
        """The last process drains the ledger."""
        try:
            for ticket in self.ledger.open():
                undo_ticket(self.process(), self.ledger, ticket, by="teardown")
            self.is_whole()
            assert list(self.ledger.open()) == []
        finally:
            shutil.rmtree(self.folder)


TestDrill = Drill.TestCase
TestDrill.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)
