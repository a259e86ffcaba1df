"""The session of one run: opened by the control, used by every activity, closed with a verdict.

It holds the run together: target, edges, sampler, ledger, faults, events; and it writes what it knows to its folder as it
goes (``session.json``), so that another process can close the run when this one was killed.  It opens no target itself: the
doors do.  The order inside one fault is :mod:`chaosnet.engine.inject`; the verdict is :mod:`chaosnet.engine.assess`.
"""

import json
import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chaosnet.engine import inject as injection
from chaosnet.engine import residue, runs, saved
from chaosnet.engine.assess import Facts, Hypothesis, Seen
from chaosnet.engine.events import Events
from chaosnet.engine.experiment import Spec, parse_spec
from chaosnet.engine.faultrun import FaultRun
from chaosnet.engine.ledger import Ledger
from chaosnet.engine.record import write_record
from chaosnet.engine.select import Watched, group, watched
from chaosnet.engine.watch import RUNNING, baseline, course
from chaosnet.errors import BaselineNotMet, ChaosnetError, NoSession, NotProven, Refused, TargetGone
from chaosnet.model.edge import Edge, Observation, State
from chaosnet.model.fault import Fault
from chaosnet.model.inventory import Inventory, Site
from chaosnet.model.place import parse_place, resolve
from chaosnet.model.question import Answer, Question
from chaosnet.model.target import Target

SETTLE_SECONDS = 60.0
_POLL = 0.1

_current: "Session | None" = None


def current() -> "Session":
    """The session of the run in this process.  NoSession where the experiment has no chaosnet control."""
    if _current is None:
        raise NoSession(
            "no chaosnet session is open: list the control in the experiment "
            "(controls: [{name: chaosnet, provider: {type: python, module: chaosnet.control}}])"
        )
    return _current


def make_current(session: "Session | None") -> None:
    """Set (or, with None, end) the session that activities of this process use."""
    global _current
    _current = session


@dataclass(frozen=True, slots=True)
class About:
    """What the run is called in reports: the experiment's own words, and where its file is."""

    title: str
    description: str = ""
    file: str = ""
    tags: tuple[str, ...] = ()


@dataclass(slots=True)
class Session:
    """One run.  Use :meth:`open` or :func:`chaosnet.engine.saved.resume`; ``out`` is its folder, ``start`` its monotonic zero."""

    target: Target
    spec: Spec
    about: About
    out: Path
    run: str
    start: float
    wall: float
    placebo: bool = False
    extensions: Sequence[Any] = ()
    watching: tuple[Watched, ...] = ()
    faults: list[FaultRun] = field(default_factory=list)
    hypothesis: Hypothesis = field(default_factory=Hypothesis)
    hypothesis_title: str = ""
    probes: dict[str, dict[str, bool | None]] = field(default_factory=dict)
    before: Mapping[str, str] = field(default_factory=dict)
    learned: list[str] = field(default_factory=list)
    refused: str = ""
    baseline_unmet: str = ""
    exit_hint: int = 0
    since: int = 0
    _samples: dict[str, list[Observation]] = field(default_factory=dict)
    _cursor: int = 0
    ledger: Ledger = field(default_factory=Ledger)
    _pods: frozenset[tuple[str, ...]] = frozenset()

    def __post_init__(self) -> None:
        self._cursor = self.since

    @classmethod
    def open(cls, target: Target, experiment: Mapping[str, Any], file: str, out: Path, placebo: bool = False) -> "Session":
        """Begin a run: settle the target, make the edges concrete, start the sampler, take the snapshot.

        Raises InputError for a wrong chaosnet block or edges that select nothing, Refused where another run goes on there,
        TargetError where the target does not become ready.
        """
        spec = parse_spec(experiment, file)
        tags = tuple(str(tag) for tag in experiment.get("tags") or ())
        about = About(str(experiment.get("title", "")), str(experiment.get("description", "")), file, tags)
        out.mkdir(parents=True, exist_ok=True)
        blocks = json.loads(json.dumps(experiment.get("extensions") or []))
        session = cls(target, spec, about, out, secrets.token_hex(4), time.monotonic(), time.time(), placebo, blocks)
        pid = int(os.environ.get("CHAOSNET_SUPERVISOR") or os.getpid())
        run = runs.RunningRun(session.run, pid, about.title, str(out.resolve()), target.name, target.ref, session.wall)
        runs.register(run)
        try:
            runs.refuse_company(run)
            session._begin(experiment)
        except BaseException:
            runs.unregister(session.run)
            raise
        return session

    def _begin(self, experiment: Mapping[str, Any]) -> None:
        target, spec, file = self.target, self.spec, self.about.file
        self.say("opened", target=target.name, ref=target.ref, run=self.run, placebo=self.placebo)
        target.settle(SETTLE_SECONDS)
        self.watching = watched(spec, target.inventory(), f"{Path(file).name or 'experiment'}: extensions.chaosnet.edges")
        stated = experiment.get("steady-state-hypothesis") or {}
        self.hypothesis, self.hypothesis_title = Hypothesis(stated=bool(stated)), str(stated.get("title", ""))
        self.before = dict(target.snapshot())
        target.watch([item.edge for item in self.watching], spec.interval, spec.timeout)
        # On a network that stays, what an earlier run's watch had seen is none of this run's.
        self.since = self._cursor = target.samples(0)[0]
        self.say("ready", edges=len(self.watching), declared=sum(bool(w.declared) for w in self.watching))
        self.save()

    # -- what activities use -------------------------------------------------------------------------------------------

    @property
    def edges(self) -> Mapping[str, Edge]:
        """The declared edges, concrete, by name; a declared name that fanned out is there under its first edge too."""
        named = {item.edge.name: item.edge for item in self.watching if item.declared}
        for item in self.watching:
            if item.declared:
                named.setdefault(item.declared, item.edge)
        return named

    @property
    def inventory(self) -> Inventory:
        """What exists now."""
        return self.target.inventory()

    @property
    def announced(self) -> tuple[Edge, ...]:
        """The concrete declared edges that must break or open."""
        return tuple(item.edge for item in self.watching if item.declared and item.expected in ("break", "open"))

    def group(self, names: Sequence[str], place: str = "edges") -> tuple[Edge, ...]:
        """The concrete edges of declared names.  InputError for one that is not declared."""
        return group(self.watching, names, self.spec.edges, place)

    def ask(self, question: Question) -> Answer:
        """Measure."""
        return self.target.ask(question)

    def sites(self, text: str, place: str) -> tuple[Site, ...]:
        """Every site a place means."""
        return resolve(parse_place(text, place), self.edges, self.inventory, place)

    def site(self, text: str, place: str) -> Site:
        """The first site a place means."""
        return self.sites(text, place)[0]

    def inject(self, fault: Fault) -> dict[str, Any]:
        """Inject one fault and prove it; its evidence as plain JSON.

        The error, where there is one, is also kept: the control stops the run for it.
        """
        try:
            stopped = runs.halted(self.out)
            if stopped:
                raise Refused(f"this run was halted by {stopped}; start it again when the network may be touched")
            self.require_baseline()
            self._pods = _identities(self.inventory)
            run = injection.inject(self._setting(), fault)
            return {
                "id": run.ticket.id,
                "kind": run.ticket.kind,
                "at": list(run.ticket.at),
                "fuse": run.fuse,
                "changes": run.changes(),
                "effects": [proof.plain()["sentence"] for proof in run.proofs],
            }
        except ChaosnetError as error:
            if isinstance(error, BaselineNotMet):
                self.baseline_unmet = str(error)
            elif not isinstance(error, NotProven):
                self.refused = str(error)
                self.exit_hint = error.exit
            self.say("not injected", kind=fault.kind, error=type(error).__name__, sentence=str(error))
            raise
        finally:
            self.save()

    def undo(self, ticket_id: str = "", by: str = "rollback", at_once: bool = False) -> dict[str, Any]:
        """Take back one fault of this run, or all of them, newest first; idempotent.

        First each effect is measured once more: did it hold?  ``at_once`` leaves that out, for runs that are being stopped.
        """
        chosen = [run for run in reversed(self.faults) if not ticket_id or run.ticket.id == ticket_id]
        try:
            # All of them before any undo: the first undo must not hide the second effect.
            for run in chosen:
                if not run.undone and not at_once:
                    with suppress(ChaosnetError):  # what cannot be measured was not held, and the undo goes on
                        injection.check_held(self._setting(), run)
                        run.drift = run.drift or self._drift(run)
        finally:
            for run in chosen:
                injection.take_back(self._setting(), run, by)
            self.save()
        return {"undone": [run.ticket.id for run in chosen if run.undone]}

    # -- what the control uses -----------------------------------------------------------------------------------------

    def say(self, event: str, **fields: Any) -> float:
        """Append an event; its monotonic second."""
        return Events(self.out / "events.ndjson", self.start).emit(event, **fields)

    def save(self) -> None:
        """Write down all that another process needs to close this run."""
        saved.save(self)

    def note_hypothesis(self, when: str, met: bool | None, probes: Mapping[str, bool | None]) -> None:
        """Keep what the hypothesis said ``before``, ``during`` or ``after``."""
        said = {name: getattr(self.hypothesis, name) for name in ("before", "during", "after")} | {when: met}
        self.hypothesis = Hypothesis(self.hypothesis.stated, **said)
        for name, ok in probes.items():
            self.probes.setdefault(name, {})[when] = ok
        self.say("hypothesis", when=when, met=met)
        self.save()

    def require_baseline(self) -> None:
        """BaselineNotMet unless every declared edge is steady in the state it must begin in."""
        deadline = time.monotonic() + RUNNING * self.spec.interval + 2 * self.spec.timeout + 2
        while True:
            self._fetch()
            waiting = [w for w in self.watching if len(self._samples.get(w.edge.name, ())) < RUNNING]
            if not waiting or time.monotonic() > deadline:
                break
            time.sleep(_POLL)
        unmet = []
        for item in self.watching:
            if item.declared and not item.any and item.expected != "may":
                state = baseline(self._samples.get(item.edge.name, ()))
                if state is State.UNKNOWN or state.passes == (item.expected in ("open", "shut")):
                    wanted = "closed" if item.expected in ("open", "shut") else "open"
                    unmet.append(f"{item.edge.name} must be {wanted} and is {state}{self._detail(item.edge.name)}")
        if unmet:
            raise BaselineNotMet(
                f"nothing was injected, for the network is not as the experiment needs it: {'; '.join(unmet[:5])}"
            )
        self.say("baseline", edges=len(self.watching))

    def close_out(self, cut_short: str = "", rerun: Callable[[], None] | None = None) -> dict[str, Any]:
        """Drain the ledger, wait for recovery, look for residue, ask the hypothesis again (``rerun``), judge, report.

        Returns the run's record (also written to its folder).  ``cut_short`` says why the run did not get to its end.
        """
        self.undo(by=cut_short or "end of run", at_once=bool(cut_short))
        for ticket in self.ledger.open(self.run):  # recorded by a process that died before it could tell us
            self.faults.append(FaultRun(ticket))
            injection.take_back(self._setting(), self.faults[-1], "end of run")
        left: tuple[str, ...] = ()
        clean_at = None
        try:
            if self.faults:
                self._forget()
                left, clean_at = self._recover()
            if rerun is not None and self.hypothesis.stated and self.faults:
                rerun()
            self._fetch()
        except TargetGone as gone:
            cut_short = cut_short or str(gone)
            # What was asked of a network that was not there any more says nothing of the fault.
            self.hypothesis = Hypothesis(self.hypothesis.stated, self.hypothesis.before)
        stopped = runs.halted(self.out)
        cut_short = f"halted by {stopped}" if stopped else cut_short
        facts = Facts(
            self.faults, self.seen(), self.hypothesis, left, self.spec.recover,
            cut_short, self.refused, self.baseline_unmet,
        )  # fmt: skip
        runs.unregister(self.run)
        return write_record(self, facts, clean_at)

    def seen(self) -> tuple[Seen, ...]:
        """Every watched edge with its course so far."""
        inject, undo = min(self._moments("t_inject"), default=None), self._moments("t_undo")
        first, last = min(undo, default=None), max(undo, default=None)
        return tuple(
            Seen(
                w.edge.name,
                bool(w.declared),
                w.expected,
                course(self._samples.get(w.edge.name, ()), inject, first, last),
                w.any,
            )
            for w in self.watching
        )

    def _moments(self, name: str) -> list[float]:
        return [run.times[name] for run in self.faults if name in run.times]

    def samples_of(self, edge: str) -> Sequence[Observation]:
        """All observations of one edge, in order."""
        return self._samples.get(edge, ())

    def _setting(self) -> injection.Setting:
        return injection.Setting(
            self.target, self.ledger, self.run, self.edges, self.spec.ceiling, self.faults, self.placebo, self._note,
            self.announced,
        )  # fmt: skip

    def _note(self, event: str, **fields: Any) -> float:
        """Say a step of a fault; from its first on, the session as written knows the fault, however this process ends."""
        moment = self.say(event, **fields)
        if event == "recorded":
            self.save()
        return moment

    def _fetch(self) -> None:
        self._cursor, fresh = self.target.samples(self._cursor)
        for sample in fresh:
            self._samples.setdefault(sample.edge, []).append(sample)
        for name in {sample.edge for sample in fresh}:
            self._samples[name].sort(key=lambda sample: sample.at)

    def _detail(self, edge: str) -> str:
        samples = self._samples.get(edge, ())
        return f" ({samples[-1].detail})" if samples and samples[-1].detail else ""

    def _drift(self, run: FaultRun) -> str:
        """Pods that a packet fault sits at and that came, went or moved meanwhile, as words."""
        own = {"Object", "DaemonState"}
        if not self._pods or any(type(change).__name__ in own for change in run.ticket.changes):
            return ""
        touched = {
            (site.cluster, site.namespace, site.name)
            for change in run.ticket.changes
            if (site := getattr(change, "site", None)) is not None and site.kind == "pod"
        }
        moved = {identity for identity in self._pods ^ _identities(self.inventory) if identity[:3] in touched}
        return ", ".join(sorted("/".join(identity[:3]) for identity in moved))

    def _forget(self) -> None:
        sites = {site for run in self.faults for c in run.ticket.changes if (site := getattr(c, "site", None)) is not None}
        with suppress(ChaosnetError):  # learned state that cannot be flushed is waited for, and shows in recovery
            self.learned = list(self.target.forget(sorted(sites, key=str)))
            self.say("learned", flushed=self.learned)

    def _recover(self) -> tuple[tuple[str, ...], float | None]:
        """Wait until every changed edge is back and nothing is left, or time is up; what is left, and when it was clean."""
        deadline = max(self._moments("t_undo"), default=time.monotonic()) + self.spec.recover
        told = False
        while True:
            self._fetch()
            away = [s.name for s in self.seen() if s.course.changed and s.course.recovered_at is None]
            if not away and not told:
                told = True
                self.say("recovered")
            late = time.monotonic() > deadline
            left = () if away and not late else residue.compare(self.before, self.target.snapshot(), self.target.owned())
            if not left and not away:
                return (), self.say("clean")
            if late:
                self.say("not recovered" if away else "residue", edges=away[:20], left=list(left[:20]))
                return left, None
            time.sleep(_POLL)


def _identities(inventory: Inventory) -> frozenset[tuple[str, ...]]:
    return frozenset((pod.cluster, pod.namespace, pod.name, pod.node, *pod.addresses) for pod in inventory.pods)


def folder_for(title: str, base: Path | None = None) -> Path:
    """A fresh folder for a run under ``base`` (by default ``chaosnet-runs`` here): time, title, and a few random letters."""
    slug = "-".join("".join(c if c.isalnum() and c.isascii() else " " for c in title.lower()).split())[:40] or "run"
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return (base or Path("chaosnet-runs")) / f"{stamp}-{slug}-{secrets.token_hex(2)}"
