"""``corrupt``: a share of the packets gets one bit flipped.

What it does to packets: netem (tc-netem(8)) flips one random bit of each matching packet with the given chance.  Most such
packets fail their checksum at the receiver and are dropped there; a flip that the checksum misses reaches the application.

What it does not do: touch loopback, or spare headers: a flip in an address may send a packet elsewhere.  To TCP it is loss.
It needs the kernel's sch_netem; where that is missing the fault is refused at plan time.

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

__all__ = ["corrupt"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrupt(Wire):
    """The settings.  ``share`` is a fraction of packets."""

    kind: ClassVar[str] = "corrupt"
    share: float

    def plan(self, sites: Sites, capabilities: Capabilities) -> Plan:
        """netem at the spots; seen by counting what a stream does not get back whole."""
        changes = tuple(Shape(spot.site, spot.direction, spot.match, corrupt=self.share) for spot in self.spots(sites, self.kind))
        capabilities.require(self.kind, changes)
        self.datagrams_only(self.kind)
        number = sample_size(self.share)
        rate = min(1000, max(200, number // 2))
        judge = share_hit("spoiled", 1 - (1 - self.share) ** self.ways(), spoiled)
        return Plan(
            changes,
            self.streams(sites, self.kind, lambda outward: judge, rate, number / rate),
            established="live flows lose what the checksum catches, and retransmit",
            fresh="new flows the same, from their first packet",
        )


def spoiled(stream: Streamed) -> Sequence[tuple[int, int]]:
    """Packets that did not come back whole, of those sent: spoiled, or dropped where a checksum failed."""
    return ((stream.sent - stream.received, stream.sent),)


def corrupt(
    at: str, share: str, peer: str = "", direction: str = "to", protocol: str = "", port: str = "", duration: str = "60s"
) -> Dict[str, Any]:
    """Flip a bit in a share of the packets at a place.

    at: a pod, node, hop or link; share: "5%"; peer, protocol (udp or icmp), port: only this traffic; direction: to (leaving
    the place), from, or both.

    Example:
        module: chaosnet.faults.corrupt
        func: corrupt
        arguments: {at: "test/shop/client", share: "5%", duration: "60s"}
    """
    common = settings("corrupt", at, peer, direction, protocol, port, duration)
    return current().inject(Corrupt(**common, share=units.percent(share, "corrupt.share")))
