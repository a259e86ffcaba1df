"""What faults on the wire share: a place, perhaps a peer and a port, a direction, and streams that would notice.

Base of the faults that lose, slow or spoil packets.  It finds the spots and the witnesses (:mod:`chaosnet.model.flow`); what
happens to the packets, and how that is judged, each fault says itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypedDict

from chaosnet.errors import InputError, Refused
from chaosnet.model import units
from chaosnet.model.change import Match
from chaosnet.model.effect import Judge, answered, first_ready
from chaosnet.model.fault import Effect
from chaosnet.model.flow import (
    DIRECTIONS,
    Spot,
    Witness,
    both_ports,
    carriers,
    inside,
    outside,
    peer_addresses,
    pod_site,
    refuse_half,
    spots,
    witnesses,
)  # fmt: skip
from chaosnet.model.inventory import Inventory, Site, Sites
from chaosnet.model.place import Place, endpoint_place, parse_place
from chaosnet.model.question import Answer, Load, Stream

# Edges that are tried before the fault until one gets through.
_CANDIDATES = 4


class Settings(TypedDict):
    """The settings that all faults on the wire have, parsed."""

    at: Place
    peer: Place | None
    direction: str
    protocol: str
    port: int
    duration: float


def settings(kind: str, at: str, peer: str, direction: str, protocol: str, port: str, duration: str) -> Settings:
    """Parse the common arguments of the fault ``kind``; InputError names the argument."""
    return {
        "at": parse_place(at, f"{kind}.at"),
        "peer": endpoint_place(peer, f"{kind}.peer") if peer != "" else None,
        "direction": units.choice(direction, f"{kind}.direction", DIRECTIONS),
        "protocol": units.choice(protocol, f"{kind}.protocol", ("tcp", "udp", "icmp")) if protocol != "" else "",
        "port": units.port(port, f"{kind}.port") if port != "" else 0,
        "duration": units.duration(duration, f"{kind}.duration"),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """The common settings.  ``direction`` "to" is what leaves the place (towards the peer), "from" what comes in."""

    at: Place
    peer: Place | None = None
    direction: str = "to"
    protocol: str = ""
    port: int = 0
    duration: float = 60.0

    def places(self) -> Mapping[str, Place]:
        """The place and, if named, the peer."""
        return {"at": self.at} if self.peer is None else {"at": self.at, "peer": self.peer}

    def spots(self, sites: Sites, kind: str) -> tuple[Spot, ...]:
        """Where packets are met: the place's sides, narrowed to peer, protocol and port."""
        if self.protocol == "icmp" and self.port:
            raise InputError(f"{kind}.port", f"ICMP has no port {self.port}", "leave the port out, or choose tcp or udp")
        peers = sites["peer"]
        refuse_half(peers, sites.inventory, f"{kind}.peer")
        ports = both_ports(self.port, peers, sites.inventory) if self.port else ()
        match = Match(protocol=self.carried, ports=ports, side="either" if ports else "destination")
        return spots(
            carriers(sites["at"], sites.inventory, f"{kind}.at"), self.direction, match, peer_addresses(peers, sites.inventory)
        )

    @property
    def carried(self) -> str:
        """The protocol that is met; a port alone means TCP."""
        return self.protocol or ("tcp" if self.port else "")

    @property
    def by_datagrams(self) -> bool:
        """Whether a stream of datagrams can show the fault; else it meets TCP only."""
        return self.carried != "tcp"

    def seen(self, sites: Sites, kind: str, protocol: str) -> tuple[tuple[Site, tuple[Witness, ...]], ...]:
        """For each site some edges over it that would notice, each alone; Refused where a site has none.

        The far end lies outside all sites of the place where that is possible, so that no packet is hit twice.
        """
        inventory = sites.inventory
        found = []
        at = carriers(sites["at"], inventory, f"{kind}.at")
        for site in at[::2] if at[0].interface else at:
            near, far = self.ends(site, at, sites["peer"], inventory, protocol)
            edges = witnesses(near, far, inventory, protocol, self.port, most=_CANDIDATES)
            if not edges:
                what = f"{protocol} port {self.port}" if self.port else protocol
                raise Refused(f"{kind}: no pods exchange {what} through {site} as far as Services say, so nothing could show it")
            found.append((site, edges))
        return tuple(found)

    def ends(
        self, site: Site, at: tuple[Site, ...], peers: tuple[Site, ...], inventory: Inventory, protocol: str
    ) -> tuple[tuple[Site, ...], tuple[Site, ...]]:
        """The near and the far side of ``site``, one of the places ``at``, as a witness of ``protocol`` would go."""
        near, far = inside(site, inventory), outside(site, inventory, elsewhere=False)
        if peers:
            # An echo needs a pod at the far end, a connection may go by the Service's address.
            far = (
                peers
                if protocol == "tcp"
                else carriers([p for p in peers if p.kind == "service"], inventory, "peer")
                + tuple(p for p in peers if p.kind != "service")
            )
            if site.kind == "router" and all(peer.cluster == site.cluster for peer in far):
                near = tuple(pod_site(pod) for pod in inventory.pods if pod.ready and pod.cluster != site.cluster)
        mine = {str(inner) for other in at for inner in inside(other, inventory)}
        clear = tuple(other for other in far if str(other) not in mine)
        return near, clear or far

    def datagrams_only(self, kind: str) -> None:
        """Refused where the fault would meet TCP alone, whose retransmissions hide it from every count."""
        if not self.by_datagrams:
            raise Refused(
                f"{kind}.protocol: TCP repairs this by itself, so nothing could count it; choose udp or icmp, or neither"
            )

    def streams(
        self,
        sites: Sites,
        kind: str,
        judge: Callable[[bool], Judge],
        rate: int,
        seconds: float,
        ready: Callable[[Answer], bool] = answered,
    ) -> tuple[Effect, ...]:
        """One effect a site, measured by a stream over it; ``judge`` is made with whether the stream begins at the place."""
        return tuple(
            first_ready(
                [
                    Effect(
                        f"{kind} at {site}, by {witness.edge}",
                        Stream(witness.edge, rate, seconds),
                        judge(witness.outward),
                        2 * seconds + 4,
                        ready,
                    )
                    for witness in seen
                ]
            )
            for site, seen in self.seen(sites, kind, "udp" if self.carried == "udp" else "icmp")
        )

    def loads(self, sites: Sites, kind: str, judge: Judge, rate: int, seconds: float, timeout: float) -> tuple[Effect, ...]:
        """The same, measured by requests over TCP."""
        return tuple(
            first_ready(
                [
                    Effect(
                        f"{kind} at {site}, by {witness.edge}",
                        Load(witness.edge, rate, seconds, timeout),
                        judge,
                        2 * seconds + timeout + 4,
                        answered,
                    )
                    for witness in seen
                ]
            )
            for site, seen in self.seen(sites, kind, "tcp")
        )

    def ways(self) -> int:
        """How often a round trip meets the fault."""
        return 2 if self.direction == "both" else 1
