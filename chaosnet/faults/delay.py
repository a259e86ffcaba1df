"""``delay``: packets arrive later, by a fixed time and perhaps a random one around it.

What it does to packets: netem (tc-netem(8)) holds each matching packet for ``delay``, plus or minus up to ``jitter`` drawn
evenly.  With ``direction: both`` a round trip is delayed twice.

What it does not do: touch loopback, lose packets (unless its queue of 1,000 overflows), or keep order: with a jitter above
the gap between packets some overtake others.  TCP feels every round trip: connecting, each request, each window.
It needs the kernel's sch_netem; where that is missing the fault is refused at plan time.

Undo puts back the queueing discipline that was there before; packets held at that moment are lost (pumba#166).
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar, Dict

from chaosnet.engine.session import current
from chaosnet.errors import InputError, Refused
from chaosnet.model import units
from chaosnet.model.change import Shape
from chaosnet.model.effect import Judge, of, or_else, say_change
from chaosnet.model.fault import Capabilities, Effect, Plan, Reading
from chaosnet.model.inventory import Sites
from chaosnet.model.question import Answer, Loaded, Streamed
from chaosnet.model.units import say_seconds
from chaosnet.model.wire import Wire, settings

__all__ = ["delay"]

# Seconds that a busy machine may add of its own: much more than asked for is another fault, a little is a slow machine.
_PATIENCE = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay(Wire):
    """The settings.  ``delay`` and ``jitter`` are seconds."""

    kind: ClassVar[str] = "delay"
    delay: float
    jitter: float = 0.0

    def plan(self, sites: Sites, capabilities: Capabilities) -> Plan:
        """netem at the spots; seen by the round trips of a stream, or of requests where it meets TCP only."""
        if self.jitter > self.delay:
            raise InputError(
                "delay.jitter", f"{say_seconds(self.jitter)} is more than the delay", "no packet can arrive before it was sent"
            )
        changes = tuple(
            Shape(spot.site, spot.direction, spot.match, delay=self.delay, jitter=self.jitter)
            for spot in self.spots(sites, self.kind)
        )
        capabilities.require(self.kind, changes)
        judge = later(self.delay * self.ways(), self.jitter * self.ways())
        if self.by_datagrams:
            effects = self.streams(sites, self.kind, lambda outward: judge, rate=100, seconds=1.0)
            if not self.carried:
                # Where policies let only TCP through, requests show the delay as well.
                with suppress(Refused):
                    effects = or_else(effects, self._requests(sites, judge))
        else:
            effects = self._requests(sites, judge)
        return Plan(
            changes,
            effects,
            established=f"live flows go on, {say_seconds(self.delay * self.ways())} later a round trip",
            fresh="new flows connect later by as much",
        )

    def _requests(self, sites: Sites, judge: Judge) -> tuple[Effect, ...]:
        return self.loads(sites, self.kind, judge, rate=50, seconds=1.0, timeout=2 + 4 * self.delay)


def later(expected: float, jitter: float) -> Judge:
    """Stream or Load: the median round trip grew by about ``expected`` seconds, give or take ``jitter``.

    Requests may grow by more: one may be several round trips.
    """

    def judge(before: Answer, now: Answer) -> Reading:
        stream = isinstance(now, Streamed)
        was, seen = (of(Streamed, before).p50, of(Streamed, now).p50) if stream else (of(Loaded, before).p50, of(Loaded, now).p50)
        answered = of(Streamed, now).received if stream else of(Loaded, now).succeeded
        grown, low, high = seen - was, 0.9 * expected - jitter, 3 * expected + jitter + _PATIENCE
        ok = answered > 0 and grown >= max(low, 0.2 * expected) and (grown <= high or not stream)
        more = f"{say_seconds(max(grown, 0.0))} more, of {say_seconds(expected)} expected"
        sentence = f"the median round trip took {say_change(was, seen)}: {more}"
        return Reading(ok, sentence if answered else "nothing came back at all", {"before": was, "now": seen, "grown": grown})

    return judge


def delay(
    at: str,
    delay: str,
    jitter: str = "",
    peer: str = "",
    direction: str = "to",
    protocol: str = "",
    port: str = "",
    duration: str = "60s",
) -> Dict[str, Any]:
    """Delay packets at a place by a fixed time, give or take a jitter.

    at: a pod, node, hop or link; delay: "100ms"; jitter: "20ms", at most the delay; peer, protocol, port: only this traffic;
    direction: to (leaving the place), from, or both.

    Example:
        module: chaosnet.faults.delay
        func: delay
        arguments: {at: "hop:upload/source-node", delay: "100ms", jitter: "10ms", duration: "60s"}
    """
    common = settings("delay", at, peer, direction, protocol, port, duration)
    return current().inject(
        Delay(
            **common,
            delay=units.duration(delay, "delay.delay"),
            jitter=units.duration(jitter, "delay.jitter") if jitter != "" else 0.0,
        )
    )
