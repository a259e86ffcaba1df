"""``block_port``: a node's own firewall drops a port, against what the CNI and its policies allow.

What it does to packets: at the node, packets to the port that come in from outside (direction ``from``), go out (``to``), or
both, are dropped or rejected, also those that are only forwarded to pods.  With ``placement: after-established`` the rule stands
behind an ``established accept``, as rules added by hand often do: live flows go on and hide the fault.

What it does not do: touch pods on the node talking to each other, or answers from the port.  Policies and their counters show
nothing of it: that is what makes it hard to find.

How it is proven: connections to that port that the Services know of break, and the rules met packets.  For a port that no
Service names (a tunnel, a node's own service) the rules' counters alone show it, and the plan warns of that.

Undo removes the fault's own tables by name.  Source: a node firewall that blocked what calico-node had opened.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Dict

from chaosnet.engine.session import current
from chaosnet.model import units
from chaosnet.model.change import Filter, Match
from chaosnet.model.edge import Edge
from chaosnet.model.effect import SILENT, TURNED_AWAY, cut, rules_matched
from chaosnet.model.fault import Capabilities, Effect, Plan
from chaosnet.model.flow import (
    DIRECTIONS,
    both_ports,
    carriers,
    edge_between,
    inside,
    outside,
    peer_addresses,
    refuse_half,
    spots,
)
from chaosnet.model.inventory import Sites
from chaosnet.model.place import Place, endpoint_place, parse_place
from chaosnet.model.question import Reach

__all__ = ["block_port"]

_MOST_EDGES = 16


@dataclass(frozen=True, slots=True)
class BlockPort:
    """The settings.  ``peer`` None is everybody."""

    kind: ClassVar[str] = "block_port"
    at: Place
    port: int
    protocol: str = "tcp"
    direction: str = "from"
    how: str = "drop"
    peer: Place | None = None
    placement: str = "first"
    duration: float = 60.0

    def places(self) -> Mapping[str, Place]:
        """The nodes and, if named, the peer."""
        return {"at": self.at} if self.peer is None else {"at": self.at, "peer": self.peer}

    def plan(self, sites: Sites, capabilities: Capabilities) -> Plan:
        """Filters on the destination port; seen by connections to it that were open."""
        inventory = sites.inventory
        refuse_half(sites["peer"], inventory, "block_port.peer")
        at = carriers(sites["at"], inventory, "block_port.at")
        ports = both_ports(self.port, sites["peer"], inventory)
        match = Match(protocol=self.protocol, ports=ports)
        late = self.placement == "after-established"
        changes = tuple(
            Filter(spot.site, spot.direction, spot.match, self.how, after_established=late)
            for spot in spots(at, self.direction, match, peer_addresses(sites["peer"], inventory))
        )
        edges = self._edges(sites)
        warnings = [] if edges else [
            f"no Service names {self.protocol} port {self.port} there: only the rules' counters can show the fault"
        ]  # fmt: skip
        # A reject of what others forward may come back as an ICMP error or not at all, so silence counts too.
        allowed = SILENT if self.how == "drop" else TURNED_AWAY | SILENT
        reach = (Effect(f"connections to port {self.port}", Reach(edges), cut(allowed), within=6.0),) if edges else ()
        return Plan(
            capabilities.require(self.kind, changes),
            (*reach, rules_matched(10.0)),
            established="live flows go on: the rule stands behind an established accept"
            if late
            else "live flows to the port stop at once",
            fresh="new connections to the port time out" if self.how == "drop" else "new connections to the port are turned away",
            warnings=tuple(warnings),
        )

    def _edges(self, sites: Sites) -> tuple[Edge, ...]:
        inventory = sites.inventory
        found: dict[str, Edge] = {}
        for site in carriers(sites["at"], inventory, "block_port.at"):
            near, far = inside(site, inventory), sites["peer"] or outside(site, inventory, elsewhere=False)
            ways = [(a, b) for a in near for b in far] * (self.direction != "from")
            ways += [(b, a) for b in far for a in near] * (self.direction != "to")
            for source, destination in ways:
                if not set(source.addresses) & set(destination.addresses):
                    edge = edge_between(source, destination, inventory, self.protocol, self.port)
                    if edge is not None and len(found) < _MOST_EDGES:
                        found.setdefault(edge.name, edge)
        return tuple(found.values())


def block_port(
    at: str,
    port: str,
    protocol: str = "tcp",
    direction: str = "from",
    how: str = "drop",
    peer: str = "",
    placement: str = "first",
    duration: str = "60s",
) -> Dict[str, Any]:
    """Block a port at a node's own firewall.

    at: nodes (or pods); port and protocol (tcp or udp): the destination's; direction: from (what comes in), to (what goes
    out), or both; how: drop or reject; peer: only this endpoint; placement: first, or after-established.

    Example:
        module: chaosnet.faults.port
        func: block_port
        arguments: {at: "node:prod/prod-1", port: "8080", duration: "60s"}
    """
    return current().inject(
        BlockPort(
            at=parse_place(at, "block_port.at"),
            port=units.port(port, "block_port.port"),
            protocol=units.choice(protocol, "block_port.protocol", ("tcp", "udp")),
            direction=units.choice(direction, "block_port.direction", DIRECTIONS),
            how=units.choice(how, "block_port.how", ("drop", "reject")),
            peer=endpoint_place(peer, "block_port.peer") if peer != "" else None,
            placement=units.choice(placement, "block_port.placement", ("first", "after-established")),
            duration=units.duration(duration, "block_port.duration"),
        )
    )
