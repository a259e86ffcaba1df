"""``loss``: a share of the packets is dropped, chosen at random.

What it does to packets: at the place, each matching packet is dropped with the given chance, by nftables' random number
(``numgen random``: nft(8)), so that no netem is needed.  A share of 100% is a silent cut.

What it does not do: make bursts (each packet is drawn by itself), touch loopback, or count the loss in both directions
unless ``direction: both`` (then a round trip is hit twice: 30% each way loses 51% of pings).  TCP hides a small loss behind
retransmissions: requests get slow before they fail.

Undo removes the fault's own tables by name; nothing is learned by anyone.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar, Dict

from chaosnet.engine.session import current
from chaosnet.errors import Refused
from chaosnet.model import units
from chaosnet.model.change import Filter
from chaosnet.model.effect import Judge, lost_packets, or_else, requests_fail, rules_matched, sample_size, share_hit
from chaosnet.model.fault import Capabilities, Effect, Plan
from chaosnet.model.inventory import Sites
from chaosnet.model.wire import Wire, settings

__all__ = ["loss"]

_LONGEST = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss(Wire):
    """The settings.  ``share`` is a fraction of packets."""

    kind: ClassVar[str] = "loss"
    share: float

    def plan(self, sites: Sites, capabilities: Capabilities) -> Plan:
        """Random drops at the spots; seen by counting what a stream loses, within binomial bounds."""
        changes = tuple(
            Filter(spot.site, spot.direction, spot.match, "drop", self.share) for spot in self.spots(sites, self.kind)
        )
        if self.by_datagrams:
            number = sample_size(self.share)
            rate = min(1000, max(200, number // 2))
            if number / rate > _LONGEST:
                raise Refused(
                    f"loss.share: {self.share:.3%} cannot be told from none in {_LONGEST:g} s of probing; give 0.15% or more"
                )
            effects = self.streams(sites, self.kind, self._judge(), rate, number / rate)
            if not self.carried:
                # Where policies let only TCP through, requests show the loss as well.
                with suppress(Refused):
                    effects = or_else(effects, self._requests(sites))
        else:
            effects = self._requests(sites)
        return Plan(
            capabilities.require(self.kind, changes),
            (*effects, rules_matched()),
            established="live flows lose the same share and retransmit",
            fresh=f"{self.share:.0%} of first packets are lost too: connecting takes a second more, or fails",
        )

    def _judge(self) -> Callable[[bool], Judge]:
        return lambda outward: share_hit("lost", self.share, lost_packets(self.direction, outward))

    def _requests(self, sites: Sites) -> tuple[Effect, ...]:
        # Below the first SYN retransmission (1 s: RFC 6298 section 2), so that a lost SYN is a failed request.
        number = sample_size(self.share, least=150)
        rate = min(200, max(50, number // 3))
        if number / rate > _LONGEST:
            raise Refused(
                f"loss.share: {self.share:.3%} of TCP cannot be told from none in {_LONGEST:g} s of requests; give 1% or more"
            )
        return self.loads(sites, self.kind, requests_fail(self.share), rate, number / rate, timeout=0.8)


def loss(
    at: str, share: str, peer: str = "", direction: str = "to", protocol: str = "", port: str = "", duration: str = "60s"
) -> Dict[str, Any]:
    """Lose a share of the packets at a place, at random.

    at: a pod, node, hop, link or router; share: "30%"; peer: only to or from this endpoint; direction: to (leaving the
    place), from, or both; protocol and port: only this traffic.

    Example:
        module: chaosnet.faults.loss
        func: loss
        arguments: {at: "link:transit-test--transit-prod", share: "30%", direction: both, duration: "60s"}
    """
    common = settings("loss", at, peer, direction, protocol, port, duration)
    return current().inject(Loss(**common, share=units.percent(share, "loss.share")))
