"""``exhaust_conntrack``: a node's connection tracking has no room, so new connections are dropped while old ones go on.

What it does to packets: once ``limit`` connections are tracked at the node, the first packet of every further one is dropped in
silence, as the kernel does when nf_conntrack_max is reached ("nf_conntrack: table full, dropping packet").

How: where the real limit may not be written (nf_conntrack_max is read-only outside the initial network namespace:
nf_conntrack-sysctl), a rule with ``ct count`` stands in for it and drops above ``limit``; the evidence says which it was.
The rule counts the connections it sees from its start on, and forgets closed TCP connections at once; so the limit is
felt first by UDP and DNS, whose entries live 30 s and longer.

What it does not do: end connections that are tracked already, or touch pods on the node talking to each other by other
paths than the node.

How it is proven: a burst of DNS or UDP requests through the node fails in part, where all were answered before, and the
node has refused connections since.

Undo removes the rule (or puts back the limit); entries made meanwhile time out by themselves.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Dict

from chaosnet.engine.session import current
from chaosnet.errors import InputError, Refused
from chaosnet.model import units
from chaosnet.model.change import ConntrackPressure
from chaosnet.model.edge import Edge
from chaosnet.model.effect import answered, first_ready, of
from chaosnet.model.endpoint import Endpoint
from chaosnet.model.fault import Capabilities, Effect, Plan, Reading
from chaosnet.model.flow import carriers, endpoint_of, inside, outside, pod_site, witnesses
from chaosnet.model.inventory import Inventory, Site, Sites
from chaosnet.model.place import Place, parse_place
from chaosnet.model.question import Answer, Conntrack, ConntrackUse, Load, Loaded

__all__ = ["exhaust_conntrack"]

# Requests a second and seconds of the longest burst that proves the limit.
_FASTEST, _LONGEST = 500, 8.0
# Edges that are tried before the fault until one gets through.
_CANDIDATES = 3


@dataclass(frozen=True, slots=True)
class ExhaustConntrack:
    """The settings.  ``limit`` is tracked connections."""

    kind: ClassVar[str] = "exhaust_conntrack"
    at: Place
    limit: int
    duration: float = 60.0

    def places(self) -> Mapping[str, Place]:
        """The nodes."""
        return {"at": self.at}

    def plan(self, sites: Sites, capabilities: Capabilities) -> Plan:
        """A ceiling at each node; seen by a burst of requests above it, and by what the node refused."""
        requests = math.ceil(1.5 * self.limit) + 60
        if requests > _FASTEST * _LONGEST:
            most = int((_FASTEST * _LONGEST - 60) / 1.5)
            raise Refused(
                f"exhaust_conntrack.limit: {self.limit} connections are more than a burst here can fill; give {most} or fewer"
            )
        rate = min(_FASTEST, max(50, requests // 2))
        seconds = requests / rate
        changes, effects = [], []
        for site in carriers(sites["at"], sites.inventory, "exhaust_conntrack.at"):
            if site.kind != "node":
                raise InputError("exhaust_conntrack.at", f"{site} is not a node", "name a node, or a hop's node")
            changes.append(ConntrackPressure(site, self.limit))
            within = 2 * seconds + 6
            bursts = [
                Effect(f"burst through {site}, by {edge}", Load(edge, rate, seconds), overflows, within, answered)
                for edge in _bursts(site, sites.inventory)
            ]
            effects += [
                first_ready(bursts),
                Effect(f"conntrack at {site}", Conntrack(site), refused, within=2 * seconds + 8),
            ]
        return Plan(
            capabilities.require(self.kind, tuple(changes)),
            tuple(effects),
            established="tracked connections go on",
            fresh=f"new connections are dropped in silence while {self.limit} are tracked",
        )


def _bursts(site: Site, inventory: Inventory) -> tuple[Edge, ...]:
    """DNS edges over the node, else UDP ones: short TCP leaves no entries to count.

    Whatever a hop is about, the table is the whole node's: any of its pods may fill it, best towards a server elsewhere.
    """
    node = replace(site, across=(), toward=())
    home = {address: (pod.cluster, pod.node) for pod in inventory.pods for address in pod.addresses}
    here = (site.cluster, site.name)
    found: list[tuple[int, Edge]] = []
    for service in inventory.services:
        if not service.addresses or not any(p.port == 53 and p.protocol == "udp" for p in service.ports):
            continue
        servers = {home.get(address) for address in service.backends}
        there = Endpoint("service", service.cluster, service.namespace, service.name)
        query = f"{service.name}.{service.namespace}.svc.cluster.local"
        for pod in inventory.pods:
            if (
                pod.cluster == service.cluster
                and pod.ready
                and not pod.host_network
                and not set(pod.addresses) & set(service.backends)
            ):
                on = (pod.cluster, pod.node) == here
                rank = 0 if on and here not in servers else 1 if on else 2 if servers == {here} else 3
                source = pod_site(pod)
                found.append((rank, Edge(f"{source} asks {service.name}", endpoint_of(source), there, "dns", 53, query=query)))
    best = [edge for rank, edge in sorted(found, key=lambda each: each[0]) if rank < 3]
    if best:
        return tuple(best[:_CANDIDATES])
    seen = [
        w
        for w in witnesses(inside(node, inventory), outside(node, inventory, elsewhere=False), inventory, "udp")
        if w.edge.port != 53
    ]
    if not seen:
        raise Refused(f"exhaust_conntrack.at: no pod on {site} has a DNS or UDP server to fill the table by; choose another node")
    return tuple(w.edge for w in seen[:_CANDIDATES])


def overflows(before: Answer, now: Answer) -> Reading:
    """Load: of requests that were all but all answered before, a part got no answer."""
    was, seen = of(Loaded, before), of(Loaded, now)
    failed, failed_before = seen.requests - seen.succeeded, was.requests - was.succeeded
    figures = {"failed": failed, "requests": seen.requests, "failed_before": failed_before}
    sentence = f"{failed} of {seen.requests} requests got no answer (before {failed_before} of {was.requests})"
    return Reading(failed_before <= was.requests * 0.05 and failed >= max(5, 2 * failed_before), sentence, figures)


def refused(before: Answer, now: Answer) -> Reading:
    """Conntrack: connections were refused since."""
    was, seen = of(ConntrackUse, before), of(ConntrackUse, now)
    by = f", by {seen.stand_in} in place of nf_conntrack_max" if seen.stand_in else ""
    figures = {"used": seen.used, "limit": seen.limit, "dropped": seen.dropped, "dropped_before": was.dropped}
    count = seen.dropped - was.dropped
    return Reading(count > 0, f"{count} connections refused since, {seen.used} tracked of {seen.limit} allowed{by}", figures)


def exhaust_conntrack(at: str, limit: str, duration: str = "60s") -> Dict[str, Any]:
    """Leave a node no more room than so many tracked connections.

    at: nodes, or a hop's node; limit: connections, "100".

    Example:
        module: chaosnet.faults.conntrack
        func: exhaust_conntrack
        arguments: {at: "hop:checkout/source-node", limit: "100", duration: "60s"}
    """
    return current().inject(
        ExhaustConntrack(
            at=parse_place(at, "exhaust_conntrack.at"),
            limit=units.count(limit, "exhaust_conntrack.limit"),
            duration=units.duration(duration, "exhaust_conntrack.duration"),
        )
    )
