"""``reorder``: a share of the packets overtakes the others.

What it does to packets: netem (tc-netem(8)) holds every matching packet for ``delay``, except the given share, which goes at
once and so overtakes those that wait.  Without a delay there is nothing to overtake.

What it does not do: touch loopback, or reorder packets further apart than ``delay``: a slow sender notices the delay only.
It needs the kernel's sch_netem; where that is missing the fault is refused at plan time.

Undo puts back the queueing discipline that was there before; packets held at that moment are lost (pumba#166).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Dict

from chaosnet.engine.session import current
from chaosnet.errors import Refused
from chaosnet.model import units
from chaosnet.model.change import Shape
from chaosnet.model.effect import sample_size, share_hit
from chaosnet.model.fault import Capabilities, Plan
from chaosnet.model.inventory import Sites
from chaosnet.model.question import Streamed
from chaosnet.model.units import say_seconds
from chaosnet.model.wire import Wire, settings

__all__ = ["reorder"]

# Packets a second that a stream is sent at, and so the gap between two.
_RATE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Reorder(Wire):
    """The settings.  ``share`` is a fraction of packets, ``delay`` seconds."""

    kind: ClassVar[str] = "reorder"
    share: float
    delay: float = 0.01

    def plan(self, sites: Sites, capabilities: Capabilities) -> Plan:
        """netem at the spots; seen by counting what a stream gets out of order."""
        changes = tuple(
            Shape(spot.site, spot.direction, spot.match, delay=self.delay, reorder=self.share)
            for spot in self.spots(sites, self.kind)
        )
        capabilities.require(self.kind, changes)
        self.datagrams_only(self.kind)
        if self.delay * _RATE < 3:
            raise Refused(
                f"reorder.delay: in {say_seconds(self.delay)} too few packets pass for one to be overtaken; give 6ms or more"
            )
        number = sample_size(self.share)
        # One that overtakes puts itself, or all that it passed, out of order: half the share is the least to expect.
        judge = share_hit("out of order", self.share / 2, out_of_order, ceiling=False)
        return Plan(
            changes,
            self.streams(sites, self.kind, lambda outward: judge, _RATE, number / _RATE),
            established="live TCP flows take what is overtaken for lost and slow down (RFC 5681 section 3.2)",
            fresh="new flows connect later by the delay, most of the time",
        )


def out_of_order(stream: Streamed) -> Sequence[tuple[int, int]]:
    """Packets that came back out of order, of those that came back."""
    return ((stream.out_of_order, stream.received),)


def reorder(
    at: str,
    share: str,
    delay: str = "10ms",
    peer: str = "",
    direction: str = "to",
    protocol: str = "",
    port: str = "",
    duration: str = "60s",
) -> Dict[str, Any]:
    """Let a share of the packets at a place overtake the rest.

    at: a pod, node, hop or link; share: "25%"; delay: what the others wait, at least "6ms"; peer, protocol (udp or icmp),
    port: only this traffic; direction: to (leaving the place), from, or both.

    Example:
        module: chaosnet.faults.reorder
        func: reorder
        arguments: {at: "test/shop/client", share: "25%", delay: "20ms", duration: "60s"}
    """
    common = settings("reorder", at, peer, direction, protocol, port, duration)
    return current().inject(
        Reorder(**common, share=units.percent(share, "reorder.share"), delay=units.duration(delay, "reorder.delay"))
    )
