"""``block_bgp``: BGP sessions of a node die, as behind a firewall that forgot TCP port 179.

What it does to packets: at the nodes, TCP segments with port 179 on either side are dropped or rejected, in both directions
unless told.  Both sides matter: a session has port 179 on the side that was dialled, and BGP speakers dial each other
(RFC 4271 section 8.2.1), so a block of destination port 179 alone heals itself as soon as the other side dials.

When it shows: after ``drop`` a session lives until its hold time runs out (RFC 4271 section 4.2; 90 s or more by default in
most speakers), after ``reject`` until its next message.  Then the routes learned over it go, and with them the traffic.

What it does not do: touch traffic of pods by itself, BFD, or routes that came another way.  With ``placement:
after-established`` it does nothing to live sessions: that is a lesson, not an outage.

Undo removes the fault's own tables by name; the sessions come back when a speaker dials again (connect retry).  Sources:
RFC 4271; kops#18739 (a mesh that half came up); cilium#31249 (hold time 90 s by default).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Dict

from chaosnet.engine.session import current
from chaosnet.errors import InputError, Unsupported
from chaosnet.model import units
from chaosnet.model.change import Filter, Match
from chaosnet.model.effect import Judge, of, some
from chaosnet.model.fault import Capabilities, Effect, Plan, Reading
from chaosnet.model.flow import DIRECTIONS, carriers
from chaosnet.model.inventory import Inventory, Site, Sites
from chaosnet.model.place import Place, endpoint_place, parse_place
from chaosnet.model.question import Answer, Bgp, BgpState, Routes, RouteTable

__all__ = ["block_bgp"]

_PORT = 179
_SIDES = {"both": "either", "destination": "destination", "source": "source"}


@dataclass(frozen=True, slots=True)
class BlockBgp:
    """The settings.  ``ports`` is the side of port 179 that is met; ``peer`` None is every peer."""

    kind: ClassVar[str] = "block_bgp"
    at: Place
    peer: Place | None = None
    how: str = "drop"
    ports: str = "both"
    direction: str = "both"
    placement: str = "first"
    duration: float = 60.0

    def places(self) -> Mapping[str, Place]:
        """The speakers and, if named, the peer."""
        return {"at": self.at} if self.peer is None else {"at": self.at, "peer": self.peer}

    def plan(self, sites: Sites, capabilities: Capabilities) -> Plan:
        """Filters on port 179 at each speaker; seen by its sessions and its routes, once the hold time has passed."""
        if "bgp" in capabilities.missing:
            raise Unsupported(f"block_bgp: {capabilities.missing['bgp']}")
        speakers = carriers(sites["at"], sites.inventory, "block_bgp.at")
        changes: list[Filter] = []
        effects: list[Effect] = []
        slowest = max(sites.hold_time(site) for site in speakers)
        for site in speakers:
            if site.kind == "pod":
                raise InputError("block_bgp.at", f"{site} is a pod and speaks no BGP", "name a node, or a hop's node")
            peers = self._peers(site, sites)
            changes += [
                Filter(site, direction, match, self.how, after_established=self.placement == "after-established")
                for direction, match in self._ways(peers)
            ]
            effects.append(Effect(f"BGP routes at {site}", Routes(site, "bird"), routes_gone(peers), slowest + 5))
        first = Effect("BGP sessions", Bgp(speakers), sessions_down(speakers, sites.addresses("peer")), slowest + 5)
        return Plan(
            capabilities.require(self.kind, tuple(changes)),
            (first, *effects),
            established="a live session dies when its hold time runs out"
            if self.how == "drop"
            else "a live session is reset at its next message",
            fresh="no new session comes up",
            warnings=self._warnings(speakers, sites),
        )

    def _peers(self, site: Site, sites: Sites) -> tuple[str, ...]:
        if self.peer is not None:
            return tuple(address for address in sites.addresses("peer") if address not in site.addresses)
        # A hop of an edge between nodes means their session; of any other edge, all sessions of the node.
        return tuple(address for address in site.toward if _is_speaker(address, sites.inventory))

    def _ways(self, peers: tuple[str, ...]) -> list[tuple[str, Match]]:
        side = _SIDES[self.ports]
        out = ("egress", Match(destinations=peers, protocol="tcp", ports=(_PORT,), side=side))
        back = ("ingress", Match(sources=peers, protocol="tcp", ports=(_PORT,), side=side))
        return [out] * (self.direction != "from") + [back] * (self.direction != "to")

    def _warnings(self, speakers: tuple[Site, ...], sites: Sites) -> tuple[str, ...]:
        found = []
        for site in speakers:
            hold = sites.hold_time(site)
            known = f"is {hold:g} s" if sites.hold_time(site, 0.0) else f"is unknown, {hold:g} s as a rule"
            if self.how == "drop" and hold + 5 > self.duration:
                found.append(
                    f"the hold time of {site.name}'s BGP sessions {known}: {self.duration:g} s of drop may be over before they "
                    f"notice; make the duration more than {hold + 5:g} s, or reject"
                )
            elif self.how == "reject" and hold / 3 > self.duration:
                found.append(
                    f"the hold time of {site.name}'s BGP sessions {known}, and they speak every third of it: in "
                    f"{self.duration:g} s there may be nothing to reject; make the duration more than {hold / 3:g} s"
                )
        if self.placement == "after-established":
            found.append("behind established accept the rules never meet a live session: expect no effect")
        elif self.ports != "both" or self.direction != "both":
            found.append("the sessions may come up again from the side that is not blocked: expect the effect not to last")
        return tuple(found)


def _is_speaker(address: str, inventory: Inventory) -> bool:
    return any(address in node.addresses for node in inventory.nodes)


def sessions_down(speakers: Collection[Site], peers: Collection[str]) -> Judge:
    """Bgp: every session of the speakers (with the peers, if any) that was Established is so no more; there was one."""

    def judge(before: Answer, now: Answer) -> Reading:
        def live(state: BgpState) -> dict[str, bool]:
            return {
                f"{s.speaker} → {s.neighbor}": s.established
                for s in state.sessions
                if any(site.speaks_as(s.speaker) for site in speakers) and (not peers or s.address in peers)
            }

        was = [name for name, established in live(of(BgpState, before)).items() if established]
        seen = live(of(BgpState, now))
        up = [name for name in was if seen.get(name)]
        figures = {"established_before": len(was), "established": len(up)}
        if not was:
            return Reading(False, "no BGP session was Established here before, so none could be seen to die", figures)
        if up:
            return Reading(False, f"{len(up)} of {len(was)} BGP sessions are still Established: {some(up)}", figures)
        return Reading(True, f"{len(was)} of {len(was)} BGP sessions are no longer Established: {some(was)}", figures)

    return judge


def routes_gone(peers: Collection[str]) -> Judge:
    """Routes: those that came by way of the peers are gone; without peers, or where none names them as next hop, fewer."""

    def judge(before: Answer, now: Answer) -> Reading:
        was = {(r.destination, r.via) for r in of(RouteTable, before).routes}
        seen = {(r.destination, r.via) for r in of(RouteTable, now).routes}
        hit = {route for route in was if route[1] in peers} if peers else was
        left = (hit or was) & seen
        figures = {"before": len(was), "now": len(seen), "expected_gone": len(hit)}
        if not was:
            return Reading(False, "no BGP route was there before, so none could be seen to go", figures)
        gone = not left if hit else len(left) < len(was)
        which = "by way of the peers" if peers and hit else "learned by BGP"
        return Reading(gone, f"{len(left)} of {len(hit or was)} routes {which} are left", figures)

    return judge


def block_bgp(
    at: str,
    peer: str = "",
    how: str = "drop",
    ports: str = "both",
    direction: str = "both",
    placement: str = "first",
    duration: str = "60s",
) -> Dict[str, Any]:
    """Block BGP (TCP port 179) at nodes, so that sessions die and their routes go.

    at: nodes, routers or a hop's node; peer: only sessions with this node; how: drop (felt after the hold time) or reject;
    ports: both, destination or source (one alone heals itself); direction: both, to or from; placement: first, or
    after-established (a firewall that lets live sessions be).

    Example:
        module: chaosnet.faults.bgp
        func: block_bgp
        arguments: {at: "node:test/*", duration: "60s"}
    """
    return current().inject(
        BlockBgp(
            at=parse_place(at, "block_bgp.at"),
            peer=endpoint_place(peer, "block_bgp.peer") if peer != "" else None,
            how=units.choice(how, "block_bgp.how", ("drop", "reject")),
            ports=units.choice(ports, "block_bgp.ports", tuple(_SIDES)),
            direction=units.choice(direction, "block_bgp.direction", DIRECTIONS),
            placement=units.choice(placement, "block_bgp.placement", ("first", "after-established")),
            duration=units.duration(duration, "block_bgp.duration"),
        )
    )
