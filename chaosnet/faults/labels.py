"""``drift_labels``: labels of pods or namespaces change, so that policies and Services select others than before.

What it does to packets: nothing by itself.  Policies that select by these labels begin or cease to apply, Services take pods
in or let them go.  A database opens to everybody when the one label is gone that its policy selected it by.

How it is proven: on the wire only opened and closed edges show it, so the experiment must announce them (``break``,
``open``, or the argument ``edges``); without any the fault is refused.

What it does not do: restart pods.  A ReplicaSet whose selector no longer finds the pod makes another one beside it, which
may hide the fault: drift a label that policies use and workloads do not.  Live flows: see ``change_policy``.

Undo puts back the labels that were there before.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Dict, List

from chaosnet.engine.session import current
from chaosnet.errors import InputError
from chaosnet.model import units
from chaosnet.model.change import Object
from chaosnet.model.edge import Edge
from chaosnet.model.effect import declared_edges
from chaosnet.model.fault import Capabilities, Plan
from chaosnet.model.inventory import Sites
from chaosnet.model.place import Place, parse_place

__all__ = ["drift_labels"]

# Never changed: a default of an argument whose type chaostoolkit's discovery can read.
_ANNOUNCED: List[str] = []

# Kubernetes, "Labels and Selectors": key=value sets, key- removes, as kubectl label writes it.
_SET = re.compile(
    r"((?:[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)"
    r"(?:=((?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?)|(-))",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class DriftLabels:
    """The settings.  ``labels`` are pairs of key and new value; None removes.  ``of`` is pod or namespace."""

    kind: ClassVar[str] = "drift_labels"
    at: Place
    labels: tuple[tuple[str, str | None], ...]
    of: str = "pod"
    edges: tuple[Edge, ...] = ()
    duration: float = 60.0

    def places(self) -> Mapping[str, Place]:
        """The pods, or the pods whose namespaces are meant."""
        return {"at": self.at}

    def plan(self, sites: Sites, capabilities: Capabilities) -> Plan:
        """A merge patch an object; seen by the edges that open or close."""
        patch = json.dumps({"metadata": {"labels": dict(self.labels)}}, sort_keys=True)
        pods = {(pod.cluster, pod.namespace, pod.name): dict(pod.labels) for pod in sites.inventory.pods}
        changes: dict[str, Object] = {}
        for site in sites["at"]:
            if site.kind != "pod":
                raise InputError("drift_labels.at", f"{site} is not a pod", "select pods (with of: namespace, of the namespace)")
            if self.of == "namespace":
                change = Object(site.cluster, "patch", "Namespace", "", site.namespace, patch)
            elif all(pods[(site.cluster, site.namespace, site.name)].get(key) == value for key, value in self.labels):
                continue
            else:
                change = Object(site.cluster, "patch", "Pod", site.namespace, site.name, patch)
            changes[str(change)] = change
        if not changes:
            raise InputError("drift_labels.labels", f"{self.at} has these labels already", "change another one")
        return Plan(
            capabilities.require(self.kind, tuple(changes.values())),
            (declared_edges(self.kind, self.edges, sites.announced),),
            established="live flows may go on: most CNIs judge connections as they begin, Cilium every packet",
            fresh="new flows meet the policies and Services that select by the new labels",
        )


def parse_labels(text: object, place: str) -> tuple[tuple[str, str | None], ...]:
    """``"app=x,tier-"`` to pairs, None for a label to remove; InputError otherwise."""
    pairs: dict[str, str | None] = {}
    for part in text.split(",") if isinstance(text, str) else [str(text)]:
        match = _SET.fullmatch(part)
        if match is None:
            raise InputError(
                place, f"{part!r} changes no label", 'write "key=value" to set and "key-" to remove, with commas between'
            )
        if match.group(1) in pairs:
            raise InputError(place, f"{match.group(1)!r} is given twice", "give each label once")
        pairs[match.group(1)] = None if match.group(3) else match.group(2)
    return tuple(pairs.items())


def drift_labels(
    at: str,
    labels: str,
    of: str = "pod",
    edges: List[str] = _ANNOUNCED,
    duration: str = "60s",
) -> Dict[str, Any]:
    """Set or remove labels of pods, or of their namespace.

    at: pods; labels: "app=x,tier-" sets app and removes tier; of: pod, or namespace (that of these pods); edges: those that
    must open or close, by default all under break and open.

    Example:
        module: chaosnet.faults.labels
        func: drift_labels
        arguments: {at: "prod/prod-ns/db", labels: "role-", duration: "60s"}
    """
    session = current()
    return session.inject(
        DriftLabels(
            at=parse_place(at, "drift_labels.at"),
            labels=parse_labels(labels, "drift_labels.labels"),
            of=units.choice(of, "drift_labels.of", ("pod", "namespace")),
            edges=session.group(edges, "drift_labels.edges") if edges else (),
            duration=units.duration(duration, "drift_labels.duration"),
        )
    )
