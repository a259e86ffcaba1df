"""``jitter``: packets arrive unevenly, each later by a random time.

What it does to packets: netem (tc-netem(8)) holds each matching packet for ``jitter``, plus or minus up to ``jitter`` drawn
evenly: from nothing to twice that.  The median moves by ``jitter`` too, for nothing can arrive before it was sent.

What it does not do: touch loopback, lose packets, or keep order.  For a steady delay with little jitter use ``delay``.
It needs the kernel's sch_netem; where that is missing the fault is refused at plan time.

Undo puts back the queueing discipline that was there before; packets held at that moment are lost (pumba#166).
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Dict

from chaosnet.engine.session import current
from chaosnet.model import units
from chaosnet.model.change import Shape
from chaosnet.model.effect import Judge, answered, of
from chaosnet.model.fault import Capabilities, Plan, Reading
from chaosnet.model.inventory import Sites
from chaosnet.model.question import Answer, Streamed
from chaosnet.model.units import say_seconds
from chaosnet.model.wire import Wire, settings

__all__ = ["jitter"]

# Seconds that a busy machine may add of its own.
_PATIENCE = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Jitter(Wire):
    """The settings.  ``jitter`` is seconds."""

    kind: ClassVar[str] = "jitter"
    jitter: float

    def plan(self, sites: Sites, capabilities: Capabilities) -> Plan:
        """netem at the spots; seen by how a stream's round trips differ from one to the next."""
        changes = tuple(
            Shape(spot.site, spot.direction, spot.match, delay=self.jitter, jitter=self.jitter)
            for spot in self.spots(sites, self.kind)
        )
        capabilities.require(self.kind, changes)
        self.datagrams_only(self.kind)
        return Plan(
            changes,
            self.streams(sites, self.kind, lambda outward: spread(self.jitter), rate=200, seconds=1.0, ready=self._calm),
            established="live flows go on, unevenly; TCP takes what arrives out of order for loss",
            fresh="new flows connect later by a random time",
        )

    def _calm(self, before: Answer) -> bool:
        """Ready: answers come back, and evenly enough for the jitter to show."""
        return answered(before) and of(Streamed, before).jitter < _least(self.jitter)


def _least(jitter: float) -> float:
    """The least mean difference between neighbours that is taken for the fault's."""
    return jitter / 3


def spread(jitter: float) -> Judge:
    """Stream: from one packet to the next the round trip differs by about ``jitter`` in the mean, and did not before.

    Two times drawn evenly from nothing to twice ``jitter`` differ by two thirds of it in the mean; by 0.93 of it where a round
    trip is hit twice.  Neighbours are compared, because a machine that stands still for a moment spreads a stream's round
    trips as much as jitter does, but delays its packets one like the next.
    """
    low, high = _least(jitter), 1.5 * jitter + _PATIENCE

    def judge(before: Answer, now: Answer) -> Reading:
        was, seen = of(Streamed, before), of(Streamed, now)
        sentence = (
            f"from packet to packet the round trip differed by {say_seconds(seen.jitter)} (before {say_seconds(was.jitter)}; "
            f"{say_seconds(low)} to {say_seconds(high)} expected)"
        )
        ok = seen.received > 0 and was.jitter < low <= seen.jitter <= high
        figures = {"before": was.jitter, "now": seen.jitter}
        return Reading(ok, sentence if seen.received else "nothing came back at all", figures)

    return judge


def jitter(
    at: str, jitter: str, peer: str = "", direction: str = "to", protocol: str = "", port: str = "", duration: str = "60s"
) -> Dict[str, Any]:
    """Delay each packet at a place by another time.

    at: a pod, node, hop or link; jitter: "20ms", so each waits from nothing to twice that; peer, protocol, port: only this
    traffic; direction: to (leaving the place), from, or both.

    Example:
        module: chaosnet.faults.jitter
        func: jitter
        arguments: {at: "test/shop/client", jitter: "30ms", duration: "60s"}
    """
    common = settings("jitter", at, peer, direction, protocol, port, duration)
    return current().inject(Jitter(**common, jitter=units.duration(jitter, "jitter.jitter")))
