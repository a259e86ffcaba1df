"""The run record, typed: what ``run.json`` holds, for every report format.

Values only; a time that never came is ``None``, a list that was never written is empty.  Reading them from the file is
:mod:`chaosnet.report.reading`; nothing here judges.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

# The fields of Times, in the order of time; in the record each has "t_" in front.
MOMENTS = ("inject", "effect", "detect", "undo", "recover", "clean")


@dataclass(frozen=True, slots=True)
class Sample:
    """One attempt over an edge: when it began (seconds from the start), what it met, and how many ms it took."""

    at: float
    state: str
    ms: float | None = None


@dataclass(frozen=True, slots=True)
class EdgeRecord:
    """One watched edge.  ``expected`` is break, open, hold, shut or may; ``declared`` whether the experiment names it."""

    name: str
    source: str = ""
    destination: str = ""
    protocol: str = ""
    port: int = 0
    send: int = 0
    receive: int = 0
    declared: bool = False
    expected: str = "hold"
    before: str = ""
    during: str = ""
    after: str = ""
    changed_at: float | None = None
    recovered_at: float | None = None
    samples: tuple[Sample, ...] = ()


@dataclass(frozen=True, slots=True)
class EffectRecord:
    """One thing a fault had to be seen to do; ``before`` and ``figures`` are what was measured, plain values."""

    name: str
    ok: bool | None = None
    sentence: str = ""
    before: Json = None
    figures: Json = None


@dataclass(frozen=True, slots=True)
class Times:
    """The moments of one fault, seconds from the run's start; ``None`` is a moment that never came."""

    inject: float | None = None
    effect: float | None = None
    detect: float | None = None
    undo: float | None = None
    recover: float | None = None
    clean: float | None = None


@dataclass(frozen=True, slots=True)
class FaultRecord:
    """One injected fault: what it was, whether it was proven and held, what it changed and what was taken back."""

    id: str
    kind: str = ""
    target: str = ""
    at: tuple[str, ...] = ()
    settings: Mapping[str, Json] = field(default_factory=dict)
    changes: tuple[str, ...] = ()
    proven: bool = False
    held: bool = False
    effects: tuple[EffectRecord, ...] = ()
    evidence: tuple[str, ...] = ()
    packets: int | None = None
    bytes: int | None = None
    collateral: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    established: str = ""
    fresh: str = ""
    fuse: str = ""
    fuse_blown: bool = False
    times: Times = Times()
    residue: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProbeRecord:
    """One probe of the hypothesis; each answer is true, false, a plain value, or ``None`` for not asked."""

    name: str
    before: Json = None
    during: Json = None
    after: Json = None


@dataclass(frozen=True, slots=True)
class HypothesisRecord:
    """The team's claim, if it ``stated`` one, and whether it held; ``None`` is not asked."""

    title: str = ""
    stated: bool = True
    before: bool | None = None
    during: bool | None = None
    after: bool | None = None
    recovered: bool | None = None
    probes: tuple[ProbeRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class FindingRecord:
    """One reason for the verdict, in one sentence."""

    outcome: str
    about: str
    sentence: str


@dataclass(frozen=True, slots=True)
class EventRecord:
    """One line of the run's log: seconds from the start, wall clock, what, and the rest."""

    t: float | None
    wall: str
    event: str
    fields: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run.  ``verdict`` is pass, fail or inconclusive (the latter also for a run that wrote none).

    ``placebo`` is a run whose fault was replaced by nothing; ``residue`` what was left at its end, whoever's fault it was.
    """

    verdict: str
    exit: int | None
    title: str
    description: str = ""
    file: str = ""
    tags: tuple[str, ...] = ()
    expect: str = ""
    run: str = ""
    placebo: bool = False
    started: str = ""
    duration: float | None = None
    target: str = ""
    target_ref: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    faults: tuple[FaultRecord, ...] = ()
    hypothesis: HypothesisRecord = HypothesisRecord()
    findings: tuple[FindingRecord, ...] = ()
    edges: tuple[EdgeRecord, ...] = ()
    events: tuple[EventRecord, ...] = ()
    learned: tuple[str, ...] = ()
    residue: tuple[str, ...] = ()
    how_to_rerun: str = ""
