"""``stop_enforcement``: a node enforces no network policies any more, as one that joined without its policy agent.

What it does to packets: nothing is denied on the node: its pods' policies, ingress and egress, are as if they were not there.
The other nodes go on; edges between two nodes are still judged at the other end where a policy selects the other pod.

What it does not do: break anything.  It opens edges that policies had closed, which is worse and makes no alert.

How it is proven: the node's policy role ran before and does not now, and the edges that the experiment announces (or names
in ``edges``) opened.

Undo starts the role, which renders every policy again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Dict, List

from chaosnet.engine.session import current
from chaosnet.errors import InputError
from chaosnet.model import units
from chaosnet.model.change import DaemonState
from chaosnet.model.edge import Edge
from chaosnet.model.effect import daemon_stops, edges_change
from chaosnet.model.fault import Capabilities, Plan
from chaosnet.model.flow import carriers
from chaosnet.model.inventory import Sites
from chaosnet.model.place import Place, parse_place

__all__ = ["stop_enforcement"]

# Never changed: a default of an argument whose type chaostoolkit's discovery can read.
_ANNOUNCED: List[str] = []


@dataclass(frozen=True, slots=True)
class StopEnforcement:
    """The settings.  ``edges`` empty means those that the experiment announces, if any."""

    kind: ClassVar[str] = "stop_enforcement"
    at: Place
    edges: tuple[Edge, ...] = ()
    duration: float = 60.0

    def places(self) -> Mapping[str, Place]:
        """The nodes."""
        return {"at": self.at}

    def plan(self, sites: Sites, capabilities: Capabilities) -> Plan:
        """The policy role stops at each node."""
        nodes = carriers(sites["at"], sites.inventory, "stop_enforcement.at")
        enforcing = {(node.cluster, node.name): node.enforces for node in sites.inventory.nodes}
        for site in nodes:
            if site.kind != "node":
                raise InputError("stop_enforcement.at", f"{site} is not a node", "name a node")
            if not enforcing.get((site.cluster, site.name), False):
                raise InputError("stop_enforcement.at", f"{site} enforces no policies anyway", "name another node")
        edges = self.edges or sites.announced
        return Plan(
            capabilities.require(self.kind, tuple(DaemonState(site, "policy") for site in nodes)),
            (*(daemon_stops(site, "policy") for site in nodes), *([edges_change(edges)] if edges else [])),
            established="live flows go on; those that a policy had cut may resume",
            fresh="new flows are no longer judged at these nodes",
        )


def stop_enforcement(at: str, edges: List[str] = _ANNOUNCED, duration: str = "60s") -> Dict[str, Any]:
    """Let a node enforce no network policies.

    at: nodes; edges: those that must open, by default all under break and open.

    Example:
        module: chaosnet.faults.enforcement
        func: stop_enforcement
        arguments: {at: "node:prod/prod-3", duration: "60s"}
    """
    session = current()
    return session.inject(
        StopEnforcement(
            at=parse_place(at, "stop_enforcement.at"),
            edges=session.group(edges, "stop_enforcement.edges") if edges else (),
            duration=units.duration(duration, "stop_enforcement.duration"),
        )
    )
