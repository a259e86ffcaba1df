"""``bandwidth``: no more than so many bits a second leave, or reach, a place.

What it does to packets: a token bucket (tc-tbf(8)) at the place holds back what exceeds the rate and drops what its queue
cannot hold.  It needs no netem.

What it does not do: limit each flow (all that matches shares the rate), touch loopback, or slow small requests much while
the bucket has tokens.  TCP fills its congestion window and then feels the rate; pings between may pass at once.

Undo puts back the queueing discipline that was there before; packets queued at that moment are lost (pumba#166).
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Dict

from chaosnet.engine.session import current
from chaosnet.errors import Refused
from chaosnet.model import units
from chaosnet.model.change import Shape
from chaosnet.model.effect import Judge, first_ready, of
from chaosnet.model.fault import Capabilities, Effect, Plan, Reading
from chaosnet.model.flow import carriers, edge_between
from chaosnet.model.inventory import Site, Sites
from chaosnet.model.question import Answer, Carried, Throughput
from chaosnet.model.wire import Wire, settings

__all__ = ["bandwidth"]

# Payload may exceed the rate a little: the bucket begins full.
_SLACK = 1.1
# Edges that are tried before the fault until one gets through.
_CANDIDATES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Bandwidth(Wire):
    """The settings.  ``rate`` is bits a second."""

    kind: ClassVar[str] = "bandwidth"
    rate: int

    def plan(self, sites: Sites, capabilities: Capabilities) -> Plan:
        """A token bucket at the spots; seen by sending as fast as it goes."""
        changes = tuple(Shape(spot.site, spot.direction, spot.match, rate=self.rate) for spot in self.spots(sites, self.kind))
        if self.carried not in ("", "tcp"):
            raise Refused(
                f"bandwidth.protocol: a rate on {self.carried} alone cannot be measured; leave the protocol out, or choose tcp"
            )
        capabilities.require(self.kind, changes)
        at = carriers(sites["at"], sites.inventory, "bandwidth.at")
        effects = tuple(effect for site in (at[::2] if at[0].interface else at) for effect in self._effects(site, at, sites))
        return Plan(
            changes,
            effects,
            established="live flows slow down to the rate, all together",
            fresh="new flows start as before and slow down once the bucket is empty",
        )

    def _effects(self, site: Site, at: tuple[Site, ...], sites: Sites) -> tuple[Effect, ...]:
        """One effect for each way that is slowed and that something listens on the end of."""
        near, far = self.ends(site, at, sites["peer"], sites.inventory, "tcp")
        found = []
        for way, sources, destinations in (("to", near, far), ("from", far, near)):
            pairs = [(a, b) for b in destinations for a in sources if not set(a.addresses) & set(b.addresses)]
            edges = [edge for a, b in pairs if (edge := edge_between(a, b, sites.inventory, "tcp", self.port)) is not None]
            if edges and self.direction in (way, "both"):
                found.append(
                    first_ready(
                        [
                            Effect(
                                f"{self.kind} {'leaving' if way == 'to' else 'reaching'} {site}, by {edge}",
                                Throughput(edge),
                                capped(self.rate),
                                12.0,
                                _flows,
                            )
                            for edge in edges[:_CANDIDATES]
                        ]
                    )
                )
        if not found:
            raise Refused(
                f"bandwidth.direction: nothing known listens where what goes {self.direction} {site} arrives, so its rate "
                "cannot be measured; use direction both, or a peer that a Service names"
            )
        return tuple(found)


def _flows(before: Answer) -> bool:
    return of(Carried, before).bits_per_second > 0


def capped(rate: int) -> Judge:
    """Throughput: above ``rate`` before, and now at most a tenth above it, and not nothing."""

    def judge(before: Answer, now: Answer) -> Reading:
        was, seen = of(Carried, before).bits_per_second, of(Carried, now).bits_per_second
        sentence = f"{seen / 1e6:.3g} Mbit/s of payload now, {was / 1e6:.3g} before; the rate is {rate / 1e6:g} Mbit/s"
        figures = {"before": was, "now": seen, "rate": rate}
        if was <= rate * _SLACK:
            return Reading(False, f"{sentence}: it was not faster before, so nothing can be seen", figures)
        return Reading(0 < seen <= rate * _SLACK, sentence, figures)

    return judge


def bandwidth(
    at: str, rate: str, peer: str = "", direction: str = "to", protocol: str = "", port: str = "", duration: str = "60s"
) -> Dict[str, Any]:
    """Let no more than a rate pass a place.

    at: a pod, node, hop or link; rate: "10mbit"; peer, protocol, port: only this traffic; direction: to (leaving the place),
    from, or both (each way has the rate for itself).

    Example:
        module: chaosnet.faults.bandwidth
        func: bandwidth
        arguments: {at: "hop:upload/source-pod", rate: "1mbit", duration: "60s"}
    """
    common = settings("bandwidth", at, peer, direction, protocol, port, duration)
    return current().inject(Bandwidth(**common, rate=units.rate(rate, "bandwidth.rate")))
