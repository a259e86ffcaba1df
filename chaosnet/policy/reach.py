"""The reach table that policies alone allow: edges → open or timed out, comparable with what a lab or a cluster measures.

Policies drop, so a denied edge times out.  A Service is decided backend by backend: all of them admit (open), some
(degraded), none (timed out), or there are none (refused).  Only policies are looked at: a table that says open knows nothing of
routes, listeners, DNS or faults.
"""

import ipaddress
from collections.abc import Iterable

from chaosnet.model.edge import Edge, ReachTable, State
from chaosnet.model.inventory import Inventory, Service, Site, find, one
from chaosnet.policy.decide import Decision, decide
from chaosnet.policy.world import End, World

_TRANSPORT = {"tcp": "TCP", "http": "TCP", "bgp": "TCP", "udp": "UDP", "dns": "UDP", "icmp": "ICMP"}


def reach(world: World, inventory: Inventory, edges: Iterable[Edge]) -> ReachTable:
    """What policies make of each edge; the details hold the deciding sentence.

    InputError where an edge's end selects nothing in ``inventory``.
    """
    states: dict[str, State] = {}
    details: dict[str, str] = {}
    for edge in edges:
        states[edge.name], details[edge.name] = _state(world, inventory, edge)
    return ReachTable(states, details)


def _state(world: World, inventory: Inventory, edge: Edge) -> tuple[State, str]:
    source = world.end(one(inventory, edge.source, edge.name).addresses[0])
    protocol = _TRANSPORT[edge.protocol]
    if edge.destination.kind == "entity":
        return State.UNKNOWN, f"{edge.destination} has no address"
    decisions: list[Decision] = []
    for site in find(inventory, edge.destination, edge.name):
        if site.kind == "service":
            decisions += _through(world, _service(inventory, site), source, protocol, edge.port)
        else:
            decisions.append(decide(world, source, world.end(site.addresses[0]), protocol, edge.port))
        if edge.destination.kind != "service":
            break  # the first pod of a workload stands for it, as it does when an edge is measured
    if not decisions:
        return State.REFUSED, f"no backend is ready behind {edge.destination}"
    allowed = [decision.allowed for decision in decisions]
    decisive = next((decision for decision in decisions if not decision.allowed), decisions[0])
    state = State.OPEN if all(allowed) else State.DEGRADED if any(allowed) else State.TIMED_OUT
    return state, decisive.sentence


def _service(inventory: Inventory, site: Site) -> Service:
    return next(
        each
        for each in inventory.services
        if (each.cluster, each.namespace, each.name) == (site.cluster, site.namespace, site.name)
    )


def _through(world: World, service: Service, source: End, protocol: str, port: int) -> list[Decision]:
    """A decision for every backend.

    A node translates to its own cluster's Services before policies look, to other clusters' not: there the source's egress
    meets the ClusterIP and the Service's port, and only the destination's ingress the backend and its own.
    """
    target = next((p.target for p in service.ports if (p.port, p.protocol.upper()) == (port, protocol)), port)
    found = []
    for backend in service.backends:
        decision = decide(world, source, world.end(backend), protocol, target)
        if getattr(source, "cluster", "") != service.cluster and service.addresses:
            front = decide(world, source, ipaddress.ip_address(service.addresses[0]), protocol, port)
            decision = Decision(front.egress, decision.ingress)
        found.append(decision)
    return found
