"""``duplicate``: a share of the packets arrives twice.

What it does to packets: netem (tc-netem(8)) queues a copy of each matching packet with the given chance.

What it does not do: touch loopback, or reach applications that speak TCP (the second copy is thrown away by the receiver's
kernel: RFC 9293 section 3.4); datagram protocols see both copies.  It needs the kernel's sch_netem; where that is missing
the fault is refused at plan time.

Undo puts back the queueing discipline that was there before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Dict

from chaosnet.engine.session import current
from chaosnet.model import units
from chaosnet.model.change import Shape
from chaosnet.model.effect import sample_size, share_hit
from chaosnet.model.fault import Capabilities, Plan
from chaosnet.model.inventory import Sites
from chaosnet.model.question import Streamed
from chaosnet.model.wire import Wire, settings

__all__ = ["duplicate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate(Wire):
    """The settings.  ``share`` is a fraction of packets."""

    kind: ClassVar[str] = "duplicate"
    share: float

    def plan(self, sites: Sites, capabilities: Capabilities) -> Plan:
        """netem at the spots; seen by counting what a stream gets twice."""
        changes = tuple(
            Shape(spot.site, spot.direction, spot.match, duplicate=self.share) for spot in self.spots(sites, self.kind)
        )
        capabilities.require(self.kind, changes)
        self.datagrams_only(self.kind)
        number = sample_size(self.share)
        rate = min(1000, max(200, number // 2))
        # Hit on both ways a packet may come back as three or four: no upper bound then.
        judge = share_hit("came twice", self.share, twice, ceiling=self.direction != "both")
        return Plan(
            changes,
            self.streams(sites, self.kind, lambda outward: judge, rate, number / rate),
            established="live TCP flows throw the copies away; datagram flows see them",
            fresh="new flows the same",
        )


def twice(stream: Streamed) -> Sequence[tuple[int, int]]:
    """Copies that came back beyond the first, of the packets sent."""
    return ((stream.duplicates, stream.sent),)


def duplicate(
    at: str, share: str, peer: str = "", direction: str = "to", protocol: str = "", port: str = "", duration: str = "60s"
) -> Dict[str, Any]:
    """Let a share of the packets at a place arrive twice.

    at: a pod, node, hop or link; share: "10%"; peer, protocol (udp or icmp), port: only this traffic; direction: to (leaving
    the place), from, or both.

    Example:
        module: chaosnet.faults.duplicate
        func: duplicate
        arguments: {at: "test/shop/client", share: "10%", duration: "60s"}
    """
    common = settings("duplicate", at, peer, direction, protocol, port, duration)
    return current().inject(Duplicate(**common, share=units.percent(share, "duplicate.share")))
