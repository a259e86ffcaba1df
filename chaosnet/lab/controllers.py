"""What controllers do in a cluster, as functions on the store: workloads → pods, pods and Services → EndpointSlices.

Each call brings the objects of one cluster to where their controller wants them, and changes nothing that already is.  A
controller that is stopped is simply not called.  Rolling updates happen at once, and a drifted label does not make a
workload let go of its pod.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from chaosnet.lab import placement
from chaosnet.lab.kinds import WORKLOADS, Manifest
from chaosnet.lab.objects import Key, Store

SERVICE_NAME = "kubernetes.io/service-name"
_MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
# The values that the real controllers write: slices that carry them are the controllers' to change.
_SLICES, _MIRROR = "endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io"
_TEMPLATE = "chaosnet.io/template"


def run(store: Store, cluster: str, endpoints: bool = True) -> None:
    """Every controller of ``cluster`` once; ``endpoints`` False leaves out the one that keeps EndpointSlices."""
    placement.place_pods(store, cluster, workloads(store, cluster))
    placement.address_services(store, cluster)
    if endpoints:
        endpoint_slices(store, cluster)


# --- workloads ---------------------------------------------------------------------------------------------------------


def workload(store: Store, cluster: str, pod: Manifest) -> tuple[str, str]:
    """Kind and name of what a pod belongs to in the end: its Deployment rather than its ReplicaSet; ("", "") if nothing."""
    owners = [entry for entry in pod["metadata"].get("ownerReferences") or () if entry.get("controller", True)]
    if not owners:
        return "", ""
    kind, name = str(owners[0].get("kind", "")), str(owners[0].get("name", ""))
    if kind != "ReplicaSet":
        return kind, name
    owner = store.get(cluster, "ReplicaSet", pod["metadata"]["namespace"], name)
    for entry in (owner or {}).get("metadata", {}).get("ownerReferences") or ():
        return str(entry.get("kind", "")), str(entry.get("name", ""))
    # An export may hold the pods and not their ReplicaSet; it is called after its Deployment and this label.
    suffix = f"-{(pod['metadata'].get('labels') or {}).get('pod-template-hash', '')}"
    if owner is None and suffix != "-" and name.endswith(suffix):
        return "Deployment", name.removesuffix(suffix)
    return kind, name


def workloads(store: Store, cluster: str) -> tuple[str, ...]:
    """Make and remove pods until every workload has its replicas.  Returns the addresses that this took from pods."""
    vacated: list[str] = []
    owned: dict[tuple[str, str, str], list[Manifest]] = {}
    for pod in store.list(cluster, "Pod"):
        owned.setdefault((*workload(store, cluster, pod), pod["metadata"]["namespace"]), []).append(pod)
    wanted: set[tuple[str, str, str]] = set()
    for kind in WORKLOADS:
        for item in store.list(cluster, kind):
            if item["metadata"].get("ownerReferences"):
                continue  # a Deployment's ReplicaSet: the Deployment sees to the pods
            key = (kind, item["metadata"]["name"], item["metadata"]["namespace"])
            wanted.add(key)
            vacated += _replicas(store, cluster, item, owned.get(key, []))
    for key, pods in owned.items():
        if key not in wanted:
            vacated += [_drop(store, cluster, pod) for pod in pods if _TEMPLATE in (pod["metadata"].get("annotations") or {})]
    return tuple(address for address in vacated if address)


def _replicas(store: Store, cluster: str, item: Manifest, pods: list[Manifest]) -> list[str]:
    vacated = []
    namespace = item["metadata"]["namespace"]
    stamp = hashlib.sha256(json.dumps(item["spec"]["template"], sort_keys=True).encode()).hexdigest()[:10]
    for pod in list(pods):
        # Made from another template: its successor has the same name and another address.
        if (pod["metadata"].get("annotations") or {}).get(_TEMPLATE, stamp) != stamp:
            vacated.append(_drop(store, cluster, pod))
            pods.remove(pod)
    have = {pod["metadata"]["name"] for pod in pods}
    gone = {pod["metadata"]["name"]: (pod.get("status") or {}).get("podIP", "") for pod in store.gone(cluster, "Pod", namespace)}
    if item["kind"] == "DaemonSet":
        selector = (item["spec"]["template"]["spec"].get("nodeSelector") or {}).items()
        rooms = placement.rooms(store, cluster).values()
        names = {f"{item['metadata']['name']}-{room.name}": room.name for room in rooms if selector <= room.labels.items()}
    else:
        count = 1 if item["spec"].get("replicas") is None else item["spec"]["replicas"]
        names = dict.fromkeys(_names(item, count, have, set(gone)), "")
    for pod in pods:
        if pod["metadata"]["name"] not in names:
            vacated.append(_drop(store, cluster, pod))
    for name, node in names.items():
        if name not in have:
            vacated.append(gone.get(name, ""))
            store.apply(cluster, _pod(item, name, node, stamp))
    return vacated


def _names(item: Manifest, count: int, have: set[str], gone: set[str]) -> list[str]:
    """The names of a workload's pods: those there are, in the order of their ordinals, then new ones.

    Only a StatefulSet's pod comes back under the name of one that was deleted.
    """
    prefix = item["metadata"]["name"]
    names = sorted(have, key=lambda name: (len(name), name))[:count]
    ordinal = 0
    while len(names) < count:
        name = f"{prefix}-{ordinal}"
        if name not in names and (name not in gone or item["kind"] == "StatefulSet"):
            names.append(name)
        ordinal += 1
    return names


def _drop(store: Store, cluster: str, pod: Manifest) -> str:
    store.discard(Key(cluster, "Pod", pod["metadata"]["namespace"], pod["metadata"]["name"]))
    return str((pod.get("status") or {}).get("podIP") or "")


def _pod(item: Manifest, name: str, node: str, stamp: str) -> dict[str, Any]:
    template, metadata = item["spec"]["template"], item["spec"]["template"].get("metadata") or {}
    spec = dict(template["spec"])
    if node:
        spec["nodeName"] = node
    if item["kind"] == "StatefulSet":
        spec |= {"hostname": name, "subdomain": item["spec"].get("serviceName") or item["metadata"]["name"]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": item["metadata"]["namespace"],
            "labels": dict(metadata.get("labels") or {}),
            "annotations": dict(metadata.get("annotations") or {}) | {_TEMPLATE: stamp},
            "ownerReferences": [
                {"apiVersion": item["apiVersion"], "kind": item["kind"], "name": item["metadata"]["name"], "controller": True}
            ],
        },
        "spec": spec,
    }


# --- endpoints ---------------------------------------------------------------------------------------------------------


def is_ready(store: Store, cluster: str, pod: Manifest) -> bool:
    """Whether a pod may get a Service's traffic: it runs, its Ready condition does not say no, and its node's neither."""
    status = pod.get("status") or {}
    if status.get("phase") in ("Succeeded", "Failed") or pod["metadata"].get("deletionTimestamp") or not status.get("podIP"):
        return False
    node = store.get(cluster, "Node", "", (pod.get("spec") or {}).get("nodeName") or "") or {}
    return all(_condition(item.get("status") or {}) for item in (pod, node))


def _condition(status: Manifest) -> bool:
    return all(entry.get("status") == "True" for entry in status.get("conditions") or () if entry.get("type") == "Ready")


def endpoint_slices(store: Store, cluster: str) -> None:
    """Bring the EndpointSlices of every Service up to date.

    A Service with a selector gets slices of the pods it selects: the first has the Service's own name, and there are more
    only where pods give its named ports different numbers.  A Service without one keeps what its author wrote; an
    Endpoints object is mirrored into a slice, as in Kubernetes.
    """
    wanted: dict[str, set[str]] = {}
    for service in store.list(cluster, "Service"):
        namespace, spec = service["metadata"]["namespace"], service["spec"]
        if spec.get("selector"):
            made = _selected(store, cluster, service)
        else:
            made = _mirrored(store.get(cluster, "Endpoints", namespace, service["metadata"]["name"]), service)
        for item in made:
            if not store.holds(cluster, item):
                store.apply(cluster, item)
            wanted.setdefault(namespace, set()).add(item["metadata"]["name"])
    for old in store.list(cluster, "EndpointSlice"):
        metadata = old["metadata"]
        ours = (metadata.get("labels") or {}).get(_MANAGED_BY) in (_SLICES, _MIRROR)
        if ours and metadata["name"] not in wanted.get(metadata["namespace"], ()):
            store.discard(Key(cluster, "EndpointSlice", metadata["namespace"], metadata["name"]))


def _selected(store: Store, cluster: str, service: Manifest) -> list[dict[str, Any]]:
    namespace, spec = service["metadata"]["namespace"], service["spec"]
    selector = spec["selector"].items()
    groups: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {}
    for pod in store.list(cluster, "Pod", namespace):
        status = pod.get("status") or {}
        if not selector <= (pod["metadata"].get("labels") or {}).items() or not status.get("podIP"):
            continue
        if status.get("phase") in ("Succeeded", "Failed"):
            continue
        ports = _ports(spec.get("ports") or (), pod)
        endpoint = {
            "addresses": [status["podIP"]],
            "conditions": {"ready": bool(spec.get("publishNotReadyAddresses")) or is_ready(store, cluster, pod)},
            "nodeName": pod["spec"].get("nodeName", ""),
            "targetRef": {"kind": "Pod", "namespace": namespace, "name": pod["metadata"]["name"]},
        }
        groups.setdefault(json.dumps(ports), (ports, []))[1].append(endpoint)
    # A Service that selects nothing still has a slice: an empty one.
    ordered = [groups[key] for key in sorted(groups)] or [(_ports(spec.get("ports") or (), {}), [])]
    return [_slice(service, number, ports, endpoints, _SLICES) for number, (ports, endpoints) in enumerate(ordered)]


def _ports(ports: Iterable[Manifest], pod: Manifest) -> list[dict[str, Any]]:
    """The Service's ports as this pod serves them; a name that the pod does not have is left out."""
    named = {
        (port["name"], port.get("protocol") or "TCP"): port["containerPort"]
        for container in (pod.get("spec") or {}).get("containers") or ()
        for port in container.get("ports") or ()
        if port.get("name")
    }
    found = []
    for port in ports:
        protocol, target = port.get("protocol") or "TCP", port.get("targetPort") or port["port"]
        number = named.get((target, protocol)) if isinstance(target, str) else target
        if number is not None:
            found.append({"name": port.get("name") or "", "port": number, "protocol": protocol})
    return found


def _slice(
    service: Manifest, number: int, ports: list[dict[str, Any]], endpoints: list[dict[str, Any]], manager: str
) -> dict[str, Any]:
    name = service["metadata"]["name"]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-{number}" if number else name,
            "namespace": service["metadata"]["namespace"],
            "labels": {SERVICE_NAME: name, _MANAGED_BY: manager},
        },
        "addressType": "IPv4",
        "ports": ports,
        "endpoints": endpoints,
    }


def _mirrored(endpoints: Manifest | None, service: Manifest) -> list[dict[str, Any]]:
    return [
        _slice(
            service,
            number,
            [
                {"name": port.get("name") or "", "port": port["port"], "protocol": port.get("protocol") or "TCP"}
                for port in subset.get("ports") or ()
            ],
            [
                {"addresses": [entry["ip"]], "conditions": {"ready": ready}, "nodeName": entry.get("nodeName") or ""}
                for field, ready in (("addresses", True), ("notReadyAddresses", False))
                for entry in subset.get(field) or ()
            ],
            _MIRROR,
        )
        for number, subset in enumerate((endpoints or {}).get("subsets") or ())
    ]
