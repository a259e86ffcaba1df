"""``break_service``: a Service sends its traffic to the wrong place, or nowhere.

Modes:

stale
    Its endpoints are addresses that nobody has any more, as when they are not updated after a rollout: new connections are
    sent into the void and time out.
missing
    Its endpoints are empty: connections are refused at the node, and other clusters lose the route to its address.
late
    The endpoints controller stands still: nothing breaks until pods come, go or move, and then the Service does not follow.
rules-missing
    The nodes do not translate its address (their traffic to it is not tracked, and untracked packets are not translated:
    nft(8), notrack), as if kube-proxy had never written the rules.

In stale and missing the controller is held still as well, or it would mend the endpoints at once; other Services of the
cluster are not updated meanwhile either.  What it does not do: end live flows (conntrack remembers where they go), except
with rules-missing, or touch traffic that goes to the pods' own addresses.

Undo puts the endpoints back, then lets the controller run.  Source: an endpoints delay of 15 minutes after a rollout, which
a controller's concurrency setting mended.
"""

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Dict

from chaosnet.engine.session import current
from chaosnet.errors import InputError, Refused
from chaosnet.model import units
from chaosnet.model.change import Change, DaemonState, Filter, Match, Object
from chaosnet.model.effect import SILENT, TURNED_AWAY, Judge, cut, daemon_stops, of, rules_matched, some
from chaosnet.model.fault import Capabilities, Effect, Plan, Reading
from chaosnet.model.flow import pod_site, witnesses
from chaosnet.model.inventory import Inventory, Service, Site, Sites
from chaosnet.model.place import Place, endpoint_place
from chaosnet.model.question import Answer, Reach, ServiceSeen, ServiceView

__all__ = ["break_service"]

_MODES = ("stale", "missing", "late", "rules-missing")


@dataclass(frozen=True, slots=True)
class BreakService:
    """The settings.  ``at`` is one Service."""

    kind: ClassVar[str] = "break_service"
    at: Place
    mode: str
    duration: float = 60.0

    def places(self) -> Mapping[str, Place]:
        """The Service."""
        return {"at": self.at}

    def plan(self, sites: Sites, capabilities: Capabilities) -> Plan:
        """Endpoints, controller or rules; seen by what API and nodes say of the Service, and by connecting to it."""
        service = self._service(sites)
        nodes = tuple(
            Site("node", n.cluster, "", n.name, n.name, n.addresses)
            for n in sites.inventory.nodes
            if n.cluster == service.cluster and n.role == "node"
        )
        holder = next((node for node in nodes if _is_ready(node, sites.inventory)), None)
        if holder is None:
            raise Refused(
                f"break_service: no node of {service.cluster} is ready, so nothing can be broken there that is not broken already"
            )
        stop = DaemonState(holder, "endpoints")
        view = ServiceView(service.cluster, service.namespace, service.name)
        changes: tuple[Change, ...]
        effects: tuple[Effect, ...]
        if self.mode == "late":
            changes, effects = (stop,), (daemon_stops(holder, "endpoints"),)
        elif self.mode == "rules-missing":
            match = Match(destinations=service.addresses)
            changes = tuple(Filter(node, "ingress", match, "untrack") for node in nodes)
            effects = (*self._unreachable(service, sites.inventory), rules_matched())
        else:
            dead = _dead(service, sites.inventory) if self.mode == "stale" else ()
            endpoints = [{"addresses": [address], "conditions": {"ready": True}, "nodeName": node} for address, node in dead]
            patch = json.dumps({"endpoints": endpoints}, sort_keys=True)
            changes = (stop, Object(service.cluster, "patch", "EndpointSlice", service.namespace, service.name, patch))
            judge = strays(tuple(address for address, _ in dead))
            effects = (
                Effect(f"endpoints of {self.at}", view, judge, within=10.0),
                *self._unreachable(service, sites.inventory),
            )
        return Plan(
            capabilities.require(self.kind, changes),
            effects,
            established="live flows stop: their packets are no longer translated"
            if self.mode == "rules-missing"
            else "live flows go on: conntrack remembers their backend",
            fresh={
                "stale": "new flows are sent to addresses that nobody has, and time out",
                "missing": "new flows are refused at the node",
                "late": "new flows go on until pods come, go or move",
                "rules-missing": "new flows to the Service's address reach nobody",
            }[self.mode],
        )

    def _service(self, sites: Sites) -> Service:
        site = sites["at"][0]
        if site.kind != "service" or len(sites["at"]) > 1:
            raise InputError("break_service.at", f"{self.at} is not one Service", "write svc:cluster/namespace/name")
        service = next(
            s for s in sites.inventory.services if (s.cluster, s.namespace, s.name) == (site.cluster, site.namespace, site.name)
        )
        if not service.backends:
            raise InputError("break_service.at", f"{self.at} has no endpoints", "choose a Service that works")
        if not service.addresses and self.mode == "rules-missing":
            raise InputError("break_service.at", f"{self.at} has no address of its own to translate", "choose another mode")
        return service

    def _unreachable(self, service: Service, inventory: Inventory) -> tuple[Effect, ...]:
        """Connections to the Service from other pods of its cluster break."""
        here = [
            p for p in inventory.pods if p.cluster == service.cluster and p.ready and not set(p.addresses) & set(service.backends)
        ]
        site = Site("service", service.cluster, service.namespace, service.name, "", service.addresses)
        # An untracked packet carries the Service's port; a UDP Service shows by its own protocol.
        protocols = sorted({port.protocol for port in service.ports} & {"tcp", "udp"}) or ["tcp"]
        seen = witnesses(map(pod_site, here), (site,), inventory, protocols[0], most=8)
        if not seen:
            raise Refused(
                f"break_service.at: no other pod of {service.cluster} could connect to {self.at}, so nothing would show"
            )
        edges = tuple(witness.edge for witness in seen)
        return (Effect(f"connections to {self.at}", Reach(edges), cut(SILENT | TURNED_AWAY), within=10.0),)


def _is_ready(site: Site, inventory: Inventory) -> bool:
    return any(node.ready for node in inventory.nodes if (node.cluster, node.name) == (site.cluster, site.name))


def _dead(service: Service, inventory: Inventory) -> tuple[tuple[str, str], ...]:
    """For each backend an address that nobody has, of the same node's range, and the node's name."""
    taken = {address for pod in inventory.pods for address in pod.addresses}
    ranges = {(node.cluster, node.name): node.pod_ranges for node in inventory.nodes}
    found: dict[str, str] = {}
    for pod in inventory.pods:
        for backend in set(pod.addresses) & set(service.backends):
            version = ipaddress.ip_address(backend).version
            for text in ranges.get((pod.cluster, pod.node), ()):
                network = ipaddress.ip_network(text)
                if network.version == version:
                    free = (str(network[-2 - i]) for i in range(min(network.num_addresses - 3, 250)))
                    address = next((each for each in free if each not in taken and each not in found), "")
                    if address:
                        found[address] = pod.node
    if not found:
        raise Refused("break_service: no address is free beside the Service's pods, so none can be stale; choose mode missing")
    return tuple(sorted(found.items()))


def strays(dead: tuple[str, ...]) -> Judge:
    """ServiceView: API and rules agreed with the ready pods before; now they name the ``dead`` addresses (empty: nobody)."""

    def judge(before: Answer, now: Answer) -> Reading:
        was, seen = of(ServiceSeen, before), of(ServiceSeen, now)
        rules = {address for _, addresses in seen.programmed for address in addresses}
        figures = {"ready": list(seen.ready), "endpoints": list(seen.endpoints), "programmed": sorted(rules)}
        if not set(was.endpoints) & set(was.ready):
            return Reading(False, "the Service had no working endpoint before, so nothing could be seen to break", figures)
        api, nodes = some(seen.endpoints) or "empty", some(sorted(rules)) or "empty"
        said = f"{len(seen.ready)} pods are ready; the endpoints are {api}, the nodes' rules {nodes}"
        ok = bool(seen.ready) and set(seen.endpoints) == set(dead) and rules <= set(dead) and (not dead or bool(rules))
        return Reading(ok, said, figures)

    return judge


def break_service(at: str, mode: str, duration: str = "60s") -> Dict[str, Any]:
    """Break a Service: stale or missing endpoints, endpoints that are not updated, or missing rules.

    at: svc:cluster/namespace/name; mode: stale (all endpoints are dead addresses), missing (no endpoints), late (no longer
    updated) or rules-missing (its address is not translated).

    Example:
        module: chaosnet.faults.service
        func: break_service
        arguments: {at: "svc:prod/prod-ns/prod-svc", mode: stale, duration: "60s"}
    """
    return current().inject(
        BreakService(
            at=endpoint_place(at, "break_service.at"),
            mode=units.choice(mode, "break_service.mode", _MODES),
            duration=units.duration(duration, "break_service.duration"),
        )
    )
