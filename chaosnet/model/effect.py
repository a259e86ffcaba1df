"""Judges: did a fault do what it must?  Pure functions of two answers, before and now, to one sentence with figures.

Each function here makes a judge for :class:`chaosnet.model.fault.Effect`.  A judge is not satisfied by a world in which
nothing happened, nor by one that was already so before: what was shut before cannot be shut by a fault.  Faults with a
measure of their own keep its judge in their own file.  Nothing here asks, waits or knows a fault.
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TypeVar

from chaosnet.errors import ChaosnetError, Refused
from chaosnet.model.edge import Edge, Observation, State
from chaosnet.model.fault import Effect, Reading
from chaosnet.model.inventory import Site
from chaosnet.model.question import (
    Answer,
    Counted,
    Counters,
    Daemons,
    DaemonsSeen,
    Loaded,
    Reach,
    Reached,
    Streamed,
)  # fmt: skip
from chaosnet.model.units import say_seconds

Judge = Callable[[Answer, Answer], Reading]
SILENT = frozenset({State.TIMED_OUT})
TURNED_AWAY = frozenset({State.REFUSED, State.RESET})

# Chance that an honest measurement falls outside its bounds, on each side: one in a hundred thousand.
_TAIL = 1e-5

T = TypeVar("T")


def of(kind: type[T], answer: Answer) -> T:
    """``answer`` as the kind that was asked for; ChaosnetError where a target answered another question."""
    if not isinstance(answer, kind):
        raise ChaosnetError(f"the target answered with {type(answer).__name__} where {kind.__name__} was asked for")
    return answer


def some(names: Collection[str], most: int = 3) -> str:
    """The first few names, and how many more there are."""
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _was_open(before: Answer, now: Answer) -> tuple[list[Observation], int]:
    """What is observed now over the edges that passed before, and how many edges there are in all."""
    first, second = of(Reached, before).observations, of(Reached, now).observations
    return [b for a, b in zip(first, second, strict=True) if a.state.passes], len(second)


def cut(allowed: Collection[State]) -> Judge:
    """Reach: every edge that passed before is now in one of the ``allowed`` states; at least one passed before."""

    def judge(before: Answer, now: Answer) -> Reading:
        seen, asked = _was_open(before, now)
        figures = {"asked": asked, "open_before": len(seen), "now": {o.edge: str(o.state) for o in seen}}
        if not seen:
            return Reading(False, f"none of the {asked} edges tried was open before, so nothing could be seen to break", figures)
        wrong = [f"{o.edge} is {o.state}" for o in seen if o.state not in allowed]
        if wrong:
            return Reading(
                False, f"{len(wrong)} of {len(seen)} edges that were open did not break as they must: {some(wrong)}", figures
            )
        states = " or ".join(sorted({str(o.state) for o in seen}))
        return Reading(
            True, f"{len(seen)} of {len(seen)} edges that were open are now {states}: {some([o.edge for o in seen])}", figures
        )

    return judge


def holds(before: Answer, now: Answer) -> Reading:
    """Reach: every edge that passed before still passes, and at least one did.  Shows what a fault leaves alone."""
    seen, asked = _was_open(before, now)
    lost = [f"{o.edge} is {o.state}" for o in seen if not o.state.passes]
    figures = {"asked": asked, "open_before": len(seen), "lost": lost}
    if lost or not seen:
        return Reading(
            False,
            f"{len(lost)} of {len(seen)} edges that were open are lost: {some(lost)}" if lost else "no edge was open before",
            figures,
        )
    return Reading(True, f"{len(seen)} of {len(seen)} edges still get an answer", figures)


def changed(before: Answer, now: Answer) -> Reading:
    """Reach: every edge passes where it did not, or no longer passes where it did."""
    pairs = list(zip(of(Reached, before).observations, of(Reached, now).observations, strict=True))
    said = [f"{b.edge} was {a.state} and is {b.state}" for a, b in pairs]
    same = [text for text, (a, b) in zip(said, pairs, strict=True) if a.state.passes == b.state.passes]
    figures = {"asked": len(pairs), "unchanged": len(same)}
    if same or not pairs:
        return Reading(False, f"{len(same)} of {len(pairs)} edges did not change: {some(same)}", figures)
    return Reading(True, f"{len(pairs)} of {len(pairs)} edges changed: {some(said)}", figures)


def matched(before: Answer, now: Answer) -> Reading:
    """Counters: the fault's own rules have matched at least one packet."""
    del before  # the rules did not exist then
    count = of(Counted, now)
    figures = {"packets": count.packets, "bytes": count.bytes}
    if count.packets > 0:
        return Reading(True, f"the rules of the fault matched {count.packets} packets ({count.bytes} bytes)", figures)
    return Reading(False, "the rules of the fault matched no packet", figures)


def binomial_bounds(trials: int, chance: float) -> tuple[int, int]:
    """The least and the most successes of ``trials`` that are credible at ``chance`` each (1 in 100,000 lies beyond a side)."""
    if chance <= 0 or trials == 0:
        return 0, 0
    if chance >= 1:
        return trials, trials
    log_p, log_q, total = math.log(chance), math.log1p(-chance), math.lgamma(trials + 1)
    low, high, cumulated = 0, trials, 0.0
    below = False
    for k in range(trials + 1):
        cumulated += math.exp(total - math.lgamma(k + 1) - math.lgamma(trials - k + 1) + k * log_p + (trials - k) * log_q)
        if not below and cumulated > _TAIL:
            low, below = k, True
        if cumulated >= 1 - _TAIL:
            high = k
            break
    return low, high


def sample_size(share: float, least: int = 200) -> int:
    """Packets to send so that a ``share`` of them cannot be mistaken for none: some thirty must be hit."""
    return max(least, math.ceil(30 / share))


def answered(before: Answer) -> bool:
    """Ready: nearly every packet or request of a Stream or Load came back, so that a fault could be seen in it."""
    if isinstance(before, Streamed):
        return before.sent > 0 and before.received >= 0.95 * before.sent
    load = of(Loaded, before)
    return load.requests > 0 and load.succeeded >= 0.95 * load.requests


def first_ready(effects: Sequence[Effect]) -> Effect:
    """The first effect, with the others to take its place where it is not ready."""
    return replace(effects[0], instead=tuple(effects[1:]))


def or_else(effects: Sequence[Effect], others: Sequence[Effect]) -> tuple[Effect, ...]:
    """Each effect with its counterpart in ``others`` (and that one's stand-ins) to take its place after its own stand-ins."""
    return tuple(
        replace(effect, instead=(*effect.instead, replace(other, instead=()), *other.instead))
        for effect, other in zip(effects, others, strict=True)
    )


def share_hit(verb: str, share: float, count: Callable[[Streamed], Sequence[tuple[int, int]]], ceiling: bool = True) -> Judge:
    """Stream: of each pair (hit, of how many) that ``count`` gives, a share of about ``share`` was hit, and not before.

    ``verb`` is the past participle for the sentence (lost, duplicated).  Without ``ceiling`` more than the share is fine:
    one delayed packet may overtake, or spoil, several.
    """

    def judge(before: Answer, now: Answer) -> Reading:
        was, seen = of(Streamed, before), of(Streamed, now)
        parts: list[str] = []
        ok = True
        figures: dict[str, object] = {"sent": seen.sent, "sent_before": was.sent}
        for (hit_before, of_before), (hit, trials) in zip(count(was), count(seen), strict=True):
            if trials == 0 and parts:
                parts.append("nothing was left to go on from there")
                continue
            already = hit_before / of_before if of_before else 1.0
            low, _ = binomial_bounds(trials, share)
            _, high = binomial_bounds(trials, min(1.0, share + already))
            most = high if ceiling else trials
            credible = trials > 0 and low <= hit <= most and hit > 0
            news = of_before > 0 and hit_before < binomial_bounds(of_before, share)[0]
            ok = ok and credible and news
            bounds = f"{low} to {most}" if ceiling else f"at least {low}"
            parts.append(
                f"{hit} of {trials} packets {verb} ({bounds} expected of {share:.3g}; before {hit_before} of {of_before})"
            )
        figures["counts"] = [list(pair) for pair in count(seen)]
        figures["before"] = [list(pair) for pair in count(was)]
        return Reading(ok, "; ".join(parts), figures)

    return judge


def lost_packets(direction: str, outward: bool) -> Callable[[Streamed], Sequence[tuple[int, int]]]:
    """Lost and sent, per way that ``direction`` names, of a stream over a witness (``outward``: it begins at the place)."""

    def count(stream: Streamed) -> Sequence[tuple[int, int]]:
        there = (stream.sent - stream.forward, stream.sent)
        back = (stream.forward - stream.received, stream.forward)
        to, from_ = (there, back) if outward else (back, there)
        return {"to": (to,), "from": (from_,), "both": (to, from_)}[direction]

    return count


def requests_fail(share: float) -> Judge:
    """Load: about ``share`` of the requests fail, or more: a request is several packets, and any of them may be hit."""

    def judge(before: Answer, now: Answer) -> Reading:
        was, seen = of(Loaded, before), of(Loaded, now)
        failed, failed_before = seen.requests - seen.succeeded, was.requests - was.succeeded
        low, _ = binomial_bounds(seen.requests, share)
        low_before, _ = binomial_bounds(was.requests, share)
        ok = failed >= max(1, low) and failed_before < max(1, low_before)
        expected = f"at least {low} expected of {share:.3g}; before {failed_before} of {was.requests}"
        sentence = f"{failed} of {seen.requests} requests failed ({expected})"
        return Reading(ok, sentence, {"failed": failed, "requests": seen.requests, "failed_before": failed_before})

    return judge


def stopped(daemon: str) -> Judge:
    """Daemons: the role ran before and does not now."""

    def judge(before: Answer, now: Answer) -> Reading:
        was, seen = dict(of(DaemonsSeen, before).running), dict(of(DaemonsSeen, now).running)
        figures = {"before": was.get(daemon), "now": seen.get(daemon)}
        if not was.get(daemon):
            return Reading(False, f"{daemon} was not running before, so nothing could stop it", figures)
        return Reading(
            not seen.get(daemon, False),
            f"{daemon} ran before and {'still runs' if seen.get(daemon) else 'does not run now'}",
            figures,
        )

    return judge


def rules_matched(within: float = 3.0) -> Effect:
    """The effect that the fault's own rules met packets."""
    return Effect("rules matched", Counters(""), matched, within)


def daemon_stops(site: Site, daemon: str, within: float = 3.0) -> Effect:
    """The effect that a role stopped at ``site``."""
    return Effect(f"{daemon} stopped at {site}", Daemons(site), stopped(daemon), within)


def edges_change(edges: tuple[Edge, ...], within: float = 10.0) -> Effect:
    """The effect that all these edges open or close."""
    return Effect("declared edges changed", Reach(edges), changed, within)


def say_change(before: float, now: float) -> str:
    """Two times in words: ``"1.2 ms before, 101 ms now"``."""
    return f"{say_seconds(before)} before, {say_seconds(now)} now"


def declared_edges(kind: str, edges: tuple[Edge, ...], announced: tuple[Edge, ...], within: float = 10.0) -> Effect:
    """The effect of a fault that shows on the wire by opened or closed edges only: ``edges``, else those announced.

    Raises Refused where there are none: such a fault could be replaced by nothing and nobody would know.
    """
    chosen = edges or announced
    if not chosen:
        raise Refused(
            f"{kind}: no edge is said to change, so nothing could show that it did anything; list edges under break or open "
            "in the experiment, or name them in the argument edges"
        )
    return edges_change(chosen, within)
