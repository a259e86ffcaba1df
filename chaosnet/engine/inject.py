"""One fault, in the order that makes it safe: the sequence is the product, so it stands here in one piece.

select → plan → preflight → its effects before → ledger → fuse → do → read back → prove.  Whatever goes wrong once the
ledger was written is taken back before the error leaves.  It does not judge the run (:mod:`chaosnet.engine.assess`) and
does not know any single fault.
"""

import secrets
import string
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from chaosnet.engine.experiment import Ceiling
from chaosnet.engine.faultrun import FaultRun, Proof
from chaosnet.engine.ledger import Ledger, owner
from chaosnet.engine.select import check_ceiling
from chaosnet.engine.undo import undo_ticket
from chaosnet.errors import ChaosnetError, InputError, NotProven, TargetError, Unsupported
from chaosnet.model.change import Change, Object, say
from chaosnet.model.codec import to_plain
from chaosnet.model.edge import Edge
from chaosnet.model.fault import Effect, Fault, Plan, Reading
from chaosnet.model.inventory import Inventory, Sites
from chaosnet.model.place import resolve
from chaosnet.model.question import Bgp, BgpState, Counted, Counters, Question
from chaosnet.model.target import Target
from chaosnet.model.ticket import Stage, Ticket, Undo

_ALPHABET = string.ascii_lowercase + string.digits
_POLL = 0.05


@dataclass(frozen=True, slots=True)
class Setting:
    """What an injection needs to know of its run.

    ``faults`` are the run's so far; a fault joins them the moment the ledger has it, so that whoever ends the run knows it.
    ``said`` is told each step by name and fields, and answers with the monotonic second.  ``announced`` are the concrete edges
    that the experiment says must break or open.
    """

    target: Target
    ledger: Ledger
    run: str
    edges: Mapping[str, Edge]
    ceiling: Ceiling
    faults: list[FaultRun]
    placebo: bool
    said: Callable[..., float]
    announced: tuple[Edge, ...] = ()


def select(
    target: Target, inventory: Inventory, fault: Fault, edges: Mapping[str, Edge], announced: tuple[Edge, ...] = ()
) -> Sites:
    """The sites of the fault's places now; InputError or Unsupported where there is none."""
    by_argument = {
        argument: resolve(place, edges, inventory, f"{fault.kind}.{argument}") for argument, place in fault.places().items()
    }
    holds: dict[str, float] = {}
    if "bgp" not in target.capabilities().missing:
        answer = target.ask(Bgp())
        if isinstance(answer, BgpState):
            for session in answer.sessions:
                holds[session.speaker] = max(session.hold_time, holds.get(session.speaker, 0.0))
    return Sites(by_argument, inventory, holds, announced)


def plan(target: Target, inventory: Inventory, fault: Fault, edges: Mapping[str, Edge], announced: tuple[Edge, ...] = ()) -> Plan:
    """What the fault would do here; touches nothing.  Raises Unsupported for a change this target cannot make."""
    capabilities = target.capabilities()
    planned = fault.plan(select(target, inventory, fault, edges, announced), capabilities)
    if not planned.changes:
        raise InputError(fault.kind, "this would change nothing", "choose a place that exists and a setting that differs")
    for change in planned.changes:
        lacking = capabilities.lacks(change)
        if lacking:
            raise Unsupported(f"{fault.kind}: {lacking}")
    return planned


def inject(setting: Setting, fault: Fault) -> FaultRun:
    """Put one fault in place and prove it.

    Returns the run of a proven fault.  Raises NotProven where it was made but not seen, and any other ChaosnetError where it
    could not be made; in either case it has been taken back.
    """
    target, ledger, said = setting.target, setting.ledger, setting.said
    planned = plan(target, target.inventory(), fault, setting.edges, setting.announced)
    check_ceiling(setting.ceiling, [*(other.ticket.changes for other in setting.faults), planned.changes])
    ticket_id = "".join(secrets.choice(_ALPHABET) for _ in range(10))
    undo = tuple(target.prepare(ticket_id, change) for change in planned.changes)
    ticket = _ticket(setting, fault, ticket_id, planned.changes, undo)
    ledger.refuse_overlap(ticket)
    run = FaultRun(ticket, planned.established, planned.fresh, warnings=planned.warnings)
    run.proofs = [_before(target, effect, ticket_id) for effect in planned.effects]
    for warning in planned.warnings:
        said("warning", fault=ticket_id, kind=fault.kind, sentence=warning)

    ticket = ledger.advance(ticket, Stage.RECORDED, recorded=time.time())
    run.ticket = ticket
    setting.faults.append(run)
    ledger.audit("recorded", ticket, settings=dict(ticket.settings), changes=run.changes())
    said("recorded", fault=ticket_id, kind=fault.kind, changes=run.changes(), undo=[step.say for step in undo])
    try:
        # The expiry counts from the fuse, and is known before it: a reader of the ledger may trust it.
        ticket = run.ticket = ledger.advance(replace(ticket, expires=time.time() + fault.duration), Stage.ARMED)
        run.fuse = target.arm(ticket_id, undo, fault.duration)
        run.times["t_armed"] = said("armed", fault=ticket_id, fuse=run.fuse, seconds=fault.duration)
        run.times["t_inject"] = said("inject", fault=ticket_id, kind=fault.kind)
        if not setting.placebo:
            for change, step in zip(planned.changes, undo, strict=True):
                target.do(ticket_id, change, step)
        run.times["t_done"] = said("done", fault=ticket_id, placebo=setting.placebo)
        ticket = run.ticket = ledger.advance(ticket, Stage.DONE)
        if not setting.placebo:
            _read_back(target, ticket)
            said("in force", fault=ticket_id)
        _prove(setting, run, run.times["t_armed"] + fault.duration)
        run.ticket = ledger.advance(ticket, Stage.PROVEN)
    except BaseException as error:
        # Whatever happened, a signal included: nothing stays that was not proven.
        take_back(setting, run, by=f"inject: {type(error).__name__}")
        raise
    ledger.audit("proven", run.ticket, effects=[proof.plain()["sentence"] for proof in run.proofs])
    return run


def _ticket(setting: Setting, fault: Fault, ticket_id: str, changes: tuple[Change, ...], undo: tuple[Undo, ...]) -> Ticket:
    settings: Mapping[str, Any] = {k: v for k, v in to_plain(fault).items() if k != "kind_"}
    # A policy has no place of its own: the object itself says where.
    places = tuple(str(place) for place in fault.places().values()) or tuple(str(c) for c in changes if isinstance(c, Object))
    return Ticket(
        ticket_id, fault.kind, setting.run, owner(), setting.target.name, setting.target.ref, places, settings, changes,
        undo, fault.duration, time.time() + fault.duration,
    )  # fmt: skip


def _ask(question: Question, ticket_id: str) -> Question:
    return Counters(ticket_id) if isinstance(question, Counters) else question


def _before(target: Target, effect: Effect, ticket_id: str) -> Proof:
    """The effect measured before the fault; or, where nothing could be seen by it, the first stand-in by which it can."""
    proofs = (Proof(each.name, each, target.ask(_ask(each.ask, ticket_id))) for each in (effect, *effect.instead))
    first = next(proofs)
    if first.before is not None and effect.ready(first.before):
        return first
    return next((proof for proof in proofs if proof.effect and proof.before and proof.effect.ready(proof.before)), first)


def _read_back(target: Target, ticket: Ticket) -> None:
    for change in ticket.changes:
        reading = target.in_force(ticket.id, change)
        if not reading.ok:
            raise NotProven(f"{say(change)} was made, but is not there on reading back: {reading.sentence}")


def _prove(setting: Setting, run: FaultRun, fuse_ends: float) -> None:
    """Measure every effect until it shows, each until its own deadline and none beyond the fuse."""
    for proof in run.proofs:
        assert proof.effect is not None
        deadline = min(run.times["t_done"] + proof.effect.within, fuse_ends)
        retrying = Retrying(
            stop=stop_after_delay(max(0.0, deadline - time.monotonic())),
            wait=wait_fixed(_POLL),
            retry=retry_if_result(lambda reading: not reading.ok),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )
        retrying(measure, setting.target, run, proof)
        reading = proof.reading
        assert reading is not None
        setting.said("effect", fault=run.ticket.id, name=proof.name, ok=reading.ok, sentence=reading.sentence)
        if not reading.ok:
            waited = deadline - run.times["t_done"]
            where = ", ".join(run.ticket.at)
            raise NotProven(f"{run.ticket.kind} at {where}: {proof.name} was not seen within {waited:.3g} s: {reading.sentence}")
    run.proven = True
    run.times["t_effect"] = setting.said("proven", fault=run.ticket.id)


def measure(target: Target, run: FaultRun, proof: Proof) -> Reading:
    """Measure one effect now; the reading is kept in the proof and returned."""
    assert proof.effect is not None
    assert proof.before is not None
    now = target.ask(_ask(proof.effect.ask, run.ticket.id))
    proof.reading = proof.effect.judge(proof.before, now)
    return proof.reading


def check_held(setting: Setting, run: FaultRun) -> None:
    """Measure the effects of a proven fault once more, just before it is taken back: they must still show."""
    if not run.proven:
        return
    run.fuse_blown = setting.target.fuse_blown(run.ticket.id)
    if run.fuse_blown:
        run.lost = f"its fuse of {run.ticket.fuse:g} s went off first"
        return
    for proof in run.proofs:
        reading = measure(setting.target, run, proof)
        if not reading.ok:
            run.lost = f"{proof.name} no longer showed before the undo: {reading.sentence}"
            setting.said("effect lost", fault=run.ticket.id, name=proof.name, sentence=reading.sentence)
            return
    run.held = True


def take_back(setting: Setting, run: FaultRun, by: str) -> None:
    """Count once more, undo, read back; idempotent.  Fills the run with what was counted and undone.

    A target that refuses is residue of the run, not an error of its own: the other faults still have to be taken back.
    """
    if run.undone:
        return
    with suppress(ChaosnetError):  # a count that cannot be had must not keep the fault in place
        counted = setting.target.ask(Counters(run.ticket.id))
        if isinstance(counted, Counted):
            run.packets, run.bytes = counted.packets, counted.bytes
    run.times["t_undo"] = setting.said("undo", fault=run.ticket.id, kind=run.ticket.kind, by=by)
    try:
        undone = undo_ticket(setting.target, setting.ledger, run.ticket, by)
    except TargetError as error:
        run.residue = (f"{run.ticket.kind} could not be taken back: {error}; run chaosnet undo {run.ticket.id}",)
        setting.said("not undone", fault=run.ticket.id, sentence=str(error))
        return
    run.fuse_blown = run.fuse_blown or undone.fuse_was_first
    run.undo_steps, run.residue = undone.steps, undone.still_there
    run.times["t_undone"] = setting.said("undone", fault=run.ticket.id, left=list(undone.still_there))
    run.undone = not undone.still_there
