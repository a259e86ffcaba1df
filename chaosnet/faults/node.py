"""``stop_node``: a node is gone, with its pods, its routes and its BGP sessions.

What it does to packets: nothing enters or leaves the node any more; its pods are cut off with it.  Its peers notice when their
hold time runs out, the cluster when the node is no longer Ready and its pods leave their Services' endpoints.

What it does not do: move the node's pods elsewhere (Kubernetes waits five minutes before it evicts), or end its processes:
they are silent, and go on after undo as after a cable was plugged in again.

How it is proven: the node's pods, or the node, answered others before and answer nobody now, and the node's role stopped.

Undo brings the node back; routes return when its BGP sessions do, endpoints when it is Ready.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Dict

from chaosnet.engine.session import current
from chaosnet.errors import InputError, Refused
from chaosnet.model import units
from chaosnet.model.change import DaemonState
from chaosnet.model.edge import Edge
from chaosnet.model.effect import SILENT, TURNED_AWAY, cut, daemon_stops
from chaosnet.model.fault import Capabilities, Effect, Plan
from chaosnet.model.flow import carriers, edge_between, inside, outside
from chaosnet.model.inventory import Site, Sites
from chaosnet.model.place import Place, parse_place
from chaosnet.model.question import Reach

__all__ = ["stop_node"]

_MOST_EDGES = 8


@dataclass(frozen=True, slots=True)
class StopNode:
    """The settings."""

    kind: ClassVar[str] = "stop_node"
    at: Place
    duration: float = 60.0

    def places(self) -> Mapping[str, Place]:
        """The nodes."""
        return {"at": self.at}

    def plan(self, sites: Sites, capabilities: Capabilities) -> Plan:
        """The node's whole role stops; seen by others that try its pods and itself."""
        nodes = carriers(sites["at"], sites.inventory, "stop_node.at")
        effects: list[Effect] = []
        for site in nodes:
            if site.kind not in ("node", "router"):
                raise InputError("stop_node.at", f"{site} is not a node", "name a node, or a hop's node")
            edges = _edges(site, nodes, sites)
            # Nobody answers for a dead node; a router may say so with an ICMP error once it has given up on it.
            effects += [
                Effect(f"reach of {site}", Reach(edges), cut(SILENT | TURNED_AWAY), within=15.0),
                daemon_stops(site, "node"),
            ]
        return Plan(
            capabilities.require(self.kind, tuple(DaemonState(site, "node") for site in nodes)),
            tuple(effects),
            established="live flows to and from the node hang",
            fresh="new flows to its pods time out until they leave their Services' endpoints",
        )


def _edges(site: Site, stopped: tuple[Site, ...], sites: Sites) -> tuple[Edge, ...]:
    """From pods on nodes that go on, to the node and the pods on it."""
    names = {(other.cluster, other.name) for other in stopped}
    watchers = [pod for pod in outside(site, sites.inventory, elsewhere=False) if (pod.cluster, pod.node) not in names]
    if site.kind == "router":
        watchers = [pod for pod in watchers if pod.cluster != site.cluster] or watchers
    targets = [
        pod
        for pod in inside(site, sites.inventory)
        if pod.kind == "pod" and (pod.cluster, pod.node) not in names - {(site.cluster, site.name)}
    ]
    found: dict[str, Edge] = {}
    for watcher in watchers[:2]:
        # The node itself by ping, where it has an address; then its pods, by what they listen on.
        for target in (*([site] if site.addresses else []), *targets):
            protocol = "icmp" if target is site else ""
            edge = edge_between(watcher, target, sites.inventory, protocol)
            if edge is not None and not set(watcher.addresses) & set(target.addresses) and len(found) < _MOST_EDGES:
                found.setdefault(edge.name, edge)
    if not found:
        raise Refused(
            f"stop_node.at: no pod elsewhere could notice that {site} is gone, so nothing would show; choose another node"
        )
    return tuple(found.values())


def stop_node(at: str, duration: str = "60s") -> Dict[str, Any]:
    """Take a node away, with all that is on it.

    at: nodes or routers, or a hop's node.

    Example:
        module: chaosnet.faults.node
        func: stop_node
        arguments: {at: "node:prod/prod-1", duration: "60s"}
    """
    return current().inject(StopNode(at=parse_place(at, "stop_node.at"), duration=units.duration(duration, "stop_node.duration")))
