"""``move_pod``: a pod runs on another node from now on, as after a reschedule onto a node of the other kind.

What it does to packets: the pod leaves its node and starts on ``node`` with an address of that node's range; Services follow
once its endpoints are updated.  On a node that enforces no policies its own policies no longer protect it, and pods on
Cilium's nodes take it for a stranger ("world").

What it does not do: keep the pod's address or its live flows; everything that knew the old address loses it.  Clients
that come by a Service notice for as long as its endpoints take.

How it is proven: the new node has a route to a pod it did not have before.  What else must change, the experiment announces.

Undo puts the pod back on its node; it may get its old address again, or the next free one.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Dict

from chaosnet.engine.session import current
from chaosnet.errors import InputError, Refused
from chaosnet.model import units
from chaosnet.model.change import Object
from chaosnet.model.effect import Judge, of, some
from chaosnet.model.fault import Capabilities, Effect, Plan, Reading
from chaosnet.model.inventory import Sites
from chaosnet.model.place import Place, endpoint_place, parse_place
from chaosnet.model.question import Answer, Routes, RouteTable

__all__ = ["move_pod"]


@dataclass(frozen=True, slots=True)
class MovePod:
    """The settings.  ``node`` is where the pods of ``at`` go."""

    kind: ClassVar[str] = "move_pod"
    at: Place
    node: Place
    duration: float = 60.0

    def places(self) -> Mapping[str, Place]:
        """The pods and their new node."""
        return {"at": self.at, "node": self.node}

    def plan(self, sites: Sites, capabilities: Capabilities) -> Plan:
        """A merge patch a pod; seen by the routes of the new node."""
        target = sites["node"][0]
        if len(sites["node"]) > 1 or target.kind != "node":
            raise Refused(f"move_pod.node: {self.node} is not one node; name one of them")
        changes = []
        for site in sites["at"]:
            if site.kind != "pod":
                raise InputError("move_pod.at", f"{site} is not a pod", "name a pod")
            if site.cluster != target.cluster:
                raise InputError("move_pod.node", f"{target} is not in the cluster of {site}", f"name a node of {site.cluster}")
            if site.node != target.name:
                patch = json.dumps({"spec": {"nodeName": target.name}})
                changes.append(Object(site.cluster, "patch", "Pod", site.namespace, site.name, patch))
        if not changes:
            raise InputError("move_pod.node", f"{self.at} is on {target.name} already", "name another node")
        return Plan(
            capabilities.require(self.kind, tuple(changes)),
            (Effect(f"pods arrived at {target}", Routes(target), arrived(len(changes)), within=15.0),),
            established="live flows of the pod end: its address goes",
            fresh="new flows reach the pod at its new address, by its Service once the endpoints are updated",
        )


def arrived(pods: int) -> Judge:
    """Routes of a node: so many host routes without a next hop (pods of its own) that were not there before."""

    def judge(before: Answer, now: Answer) -> Reading:
        was = {r.destination for r in of(RouteTable, before).routes}
        new = [
            r.destination
            for r in of(RouteTable, now).routes
            if r.destination not in was and not r.via and _is_host(r.destination)
        ]
        figures = {"expected": pods, "new": new}
        if len(new) < pods:
            return Reading(False, f"the node has {len(new)} new pods of its own, of {pods} expected", figures)
        return Reading(True, f"the node has {len(new)} new pods of its own: {some(new)}", figures)

    return judge


def _is_host(destination: str) -> bool:
    address, _, length = destination.partition("/")
    return length in ("", "128" if ":" in address else "32")


def move_pod(at: str, node: str, duration: str = "60s") -> Dict[str, Any]:
    """Move pods onto a node.

    at: a pod (or the pods of a workload, or with labels); node: node:cluster/name.

    Example:
        module: chaosnet.faults.move
        func: move_pod
        arguments: {at: "test/shop/client", node: "node:test/test-3", duration: "60s"}
    """
    return current().inject(
        MovePod(
            at=parse_place(at, "move_pod.at"),
            node=endpoint_place(node, "move_pod.node"),
            duration=units.duration(duration, "move_pod.duration"),
        )
    )
