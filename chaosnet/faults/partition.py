"""``partition``: two sides can no longer reach each other, in one direction or both.

What it does to packets: at the place, packets from ``source`` to ``destination`` (direction ``to``), back (``from``), or both
are dropped in silence, or rejected (``how: reject``: a TCP reset, else ICMP "administratively prohibited").  A Service
means its address and the pods behind it; a node means itself and its pods.  Both address families are cut.

Where it sits: at the source's own end by default, so that "prod loses everything that comes from test" is source prod,
destination test, direction ``from``.  Any place on the way may be named with ``at`` instead.

What it does not do: touch loopback, traffic to third parties, or packets that reach the same pods by other addresses than
the inventory shows.  Live flows are cut too: the rules sit before any ``established accept``.  With ``from`` and ``reject`` the
far side gets the reset; the near side just waits.

Undo removes the fault's own tables by name.  Sources: Chaos Mesh NetworkChaos (direction to, from, both is its wording);
chaos-mesh#3425 (a rule for one address family is no partition); litmus#2461 (an empty filter must never mean everybody).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Dict

from chaosnet.engine.session import current
from chaosnet.errors import Refused
from chaosnet.model import units
from chaosnet.model.change import Filter, Match
from chaosnet.model.edge import State
from chaosnet.model.effect import SILENT, TURNED_AWAY, cut, rules_matched
from chaosnet.model.fault import Capabilities, Effect, Plan
from chaosnet.model.flow import (
    DIRECTIONS,
    Spot,
    Witness,
    both_ports,
    carriers,
    inside,
    peer_addresses,
    refuse_half,
    spots,
    witnesses,
)  # fmt: skip
from chaosnet.model.inventory import Inventory, Site, Sites
from chaosnet.model.place import Place, endpoint_place, parse_place
from chaosnet.model.question import Reach

__all__ = ["partition"]


@dataclass(frozen=True, slots=True)
class Partition:
    """The settings.  ``at`` None is the source's own end; ``port`` 0 and ``protocol`` empty are any."""

    kind: ClassVar[str] = "partition"
    source: Place
    destination: Place
    direction: str = "both"
    how: str = "drop"
    port: int = 0
    protocol: str = ""
    at: Place | None = None
    duration: float = 60.0

    def places(self) -> Mapping[str, Place]:
        """The two sides and, if named, the place between."""
        ends = {"source": self.source, "destination": self.destination}
        return ends if self.at is None else {**ends, "at": self.at}

    def plan(self, sites: Sites, capabilities: Capabilities) -> Plan:
        """Filters at the place, seen by edges between the two sides."""
        inventory = sites.inventory
        refuse_half((*sites["source"], *sites["destination"]), inventory, "partition")
        here = peer_addresses(sites["source"], inventory)
        there = tuple(a for a in peer_addresses(sites["destination"], inventory) if a not in here)
        if not there:
            raise Refused("partition.destination: it is the source itself, and nothing can be cut off from itself; name another")
        protocol = self.protocol or ("tcp" if self.port else "")
        ports = both_ports(self.port, (*sites["source"], *sites["destination"]), inventory) if self.port else ()
        match = Match(protocol=protocol, ports=ports, side="either" if ports else "destination")
        if self.at is None:
            at = carriers(sites["source"], inventory, "partition.source")
            cuts = spots(at, self.direction, match, there)
        else:
            at = carriers(sites["at"], inventory, "partition.at")
            cuts = tuple(spot for site in at for spot in _between(site, self.direction, match, here, there, inventory))
        changes = tuple(
            Filter(spot.site, spot.direction, spot.match, "drop" if self.how == "drop" else "reject") for spot in cuts
        )
        return Plan(
            capabilities.require(self.kind, changes),
            self._effects(sites, protocol),
            established="live flows stop at once: the rules stand before any established accept",
            fresh="new flows time out" if self.how == "drop" else "new flows are turned away at once",
        )

    def _effects(self, sites: Sites, protocol: str) -> tuple[Effect, ...]:
        near = carriers(sites["source"], sites.inventory, "partition.source")
        far = tuple(
            s
            for site in sites["destination"]
            for s in ((site, *inside(site, sites.inventory)) if site.kind == "node" else (site,))
        )
        near = tuple(s for site in near for s in ((site, *inside(site, sites.inventory)) if site.kind == "node" else (site,)))
        seen = witnesses(near, far, sites.inventory, protocol, self.port)
        if not seen:
            what = f"{protocol or 'any'} port {self.port}" if self.port else protocol or "anything"
            raise Refused(
                f"partition: no Service says that either side answers on {what}, so nothing could show it; choose another port"
            )
        turned = tuple(w for w in seen if self.how == "reject" and self._meets_initiator(w))
        silent = tuple(w for w in seen if w not in turned)
        effects = []
        if turned:
            # ICMP has nothing to refuse with: a prohibited echo may read as refused, or as no answer.
            allowed = TURNED_AWAY | (SILENT if any(w.edge.protocol == "icmp" for w in turned) else frozenset())
            effects.append(_gone("turned away", turned, allowed))
        if silent:
            effects.append(_gone("cut off", silent, SILENT))
        return (*effects, rules_matched())

    def _meets_initiator(self, witness: Witness) -> bool:
        return self.direction == "both" or (self.direction == "to") == witness.outward


def _gone(name: str, seen: tuple[Witness, ...], allowed: frozenset[State]) -> Effect:
    return Effect(name, Reach(tuple(w.edge for w in seen)), cut(allowed), within=6.0)


def _between(
    site: Site, direction: str, match: Match, here: tuple[str, ...], there: tuple[str, ...], inventory: Inventory
) -> tuple[Spot, ...]:
    """The spots at one place between (or at) the two ends, for what goes from ``here`` to ``there`` and back."""
    own = peer_addresses([site], inventory) + tuple(
        a for pod in inside(site, inventory) for a in pod.addresses if site.kind == "node"
    )
    ends = site.kind in ("pod", "node") and not site.interface and not set(own) & set(here)
    if ends and set(own) & set(there):
        # The destination's own end: what leaves it is what comes "from" the destination.
        turned = {"to": "from", "from": "to"}.get(direction, direction)
        return spots((replace(site, across=there, toward=here),), turned, match)
    if ends:
        raise Refused(
            f"partition.at: {site} is at neither end, so the traffic between them does not pass it; use a hop, link or transit"
        )
    return spots((replace(site, across=here, toward=there),), direction, match)


def partition(
    source: str,
    destination: str,
    direction: str = "both",
    how: str = "drop",
    port: str = "",
    protocol: str = "",
    at: str = "",
    duration: str = "60s",
) -> Dict[str, Any]:
    """Cut off source and destination from each other, also across clusters.

    direction: to (what goes to the destination), from (what comes back), both; how: drop or reject; port and protocol: only
    this traffic; at: where the rules sit, by default the source's own end.

    Example:
        module: chaosnet.faults.partition
        func: partition
        arguments: {source: "prod/prod-ns/*", destination: "test/*/*", direction: from, duration: "60s"}
    """
    return current().inject(
        Partition(
            source=endpoint_place(source, "partition.source"),
            destination=endpoint_place(destination, "partition.destination"),
            direction=units.choice(direction, "partition.direction", DIRECTIONS),
            how=units.choice(how, "partition.how", ("drop", "reject")),
            port=units.port(port, "partition.port") if port != "" else 0,
            protocol=units.choice(protocol, "partition.protocol", ("tcp", "udp", "icmp")) if protocol != "" else "",
            at=parse_place(at, "partition.at") if at != "" else None,
            duration=units.duration(duration, "partition.duration"),
        )
    )
