"""Scheduler and address management: every pod gets a node and an address, the same ones every time.

A pod goes to the node it names, else to one its nodeSelector admits, else round the cluster's nodes.  Its address comes from
that node's range, from the second address up (the first is the node's own), unless ``chaosnet.io/address`` fixes one.  Taints,
affinity and resources are not looked at.
"""

import ipaddress
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from chaosnet.errors import InputError
from chaosnet.lab.kinds import ADDRESS, Manifest
from chaosnet.lab.objects import Key, Store
from chaosnet.policy.world import CNI

HOSTNAME = "kubernetes.io/hostname"
_ENDED = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class Room:
    """A node as the scheduler sees it."""

    name: str
    address: str
    pods: ipaddress.IPv4Network
    labels: Mapping[str, str]

    def has(self, address: str) -> bool:
        """Whether a pod here may have ``address``: it is in the range, and not the node's own, the first or the last."""
        first, number = int(self.pods.network_address), _number(address)
        return first + 1 < number < first + self.pods.num_addresses - 1


def node_manifest(name: str, address: str, pods: str, cni: str) -> dict[str, Any]:
    """The Node object of a lab's node: its own address, its pods' range, and the plugin whose semantics it enforces."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {HOSTNAME: name}, "annotations": {CNI: cni}},
        "spec": {"podCIDR": pods, "podCIDRs": [pods]},
        "status": {
            "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def range_manifest(services: str) -> dict[str, Any]:
    """The ServiceCIDR object that holds a cluster's range of Service addresses."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "ServiceCIDR",
        "metadata": {"name": "kubernetes"},
        "spec": {"cidrs": [services]},
    }


def rooms(store: Store, cluster: str) -> dict[str, Room]:
    """The cluster's nodes that have a range for pods, by name."""
    found = {}
    for node in store.list(cluster, "Node"):
        spec, status = node.get("spec") or {}, node.get("status") or {}
        inside = [entry["address"] for entry in status.get("addresses") or () if entry.get("type") == "InternalIP"]
        if spec.get("podCIDR") and inside:
            name = node["metadata"]["name"]
            labels = {HOSTNAME: name} | (node["metadata"].get("labels") or {})
            found[name] = Room(name, inside[0], ipaddress.IPv4Network(spec["podCIDR"]), labels)
    return found


def place_pods(store: Store, cluster: str, avoid: Iterable[str] = ()) -> None:
    """Give every live pod of ``cluster`` that lacks one a node and an address.

    A pod whose address is no longer in its node's range (it was moved) gets a new one; addresses in ``avoid`` and those
    of deleted pods are used last.  InputError where a pod names an unknown node, no node fits, a fixed address is taken or
    elsewhere, or a node's range is full.
    """
    nodes = rooms(store, cluster)
    pods = [pod for pod in store.list(cluster, "Pod") if (pod.get("status") or {}).get("phase") not in _ENDED]
    if pods and not nodes:
        raise InputError(f"cluster {cluster}", "it has pods and no nodes", "give it nodes in the topology file")
    taken: dict[str, str] = {}
    where: dict[str, str] = {}
    load: Counter[str] = Counter()
    spread: Counter[tuple[str, ...]] = Counter()
    # Who has said where it wants to be comes first, so that nobody else takes its place.
    for pod in sorted(pods, key=lambda pod: (not (pod.get("spec") or {}).get("nodeName"), ADDRESS not in _annotations(pod))):
        name, group = _name(pod), (pod["metadata"]["namespace"], *_owner(pod))
        crowd = {each: (spread[(*group, each)], load[each]) for each in nodes}
        room = _room(pod, nodes, cluster, crowd)
        where[name] = room.name
        load[room.name] += 1
        spread[(*group, room.name)] += 1
    for pod in pods:
        name = _name(pod)
        kept = "" if pod["spec"].get("hostNetwork") else _kept(pod, nodes[where[name]])
        if kept and kept not in taken:
            taken[kept] = name
        elif kept and ADDRESS in _annotations(pod):
            raise InputError(f"Pod {cluster}/{name}", f"its address {kept} is that of {taken[kept]}", "fix another")
    holders = {name: address for address, name in taken.items()}
    last = set(avoid) | {(pod.get("status") or {}).get("podIP", "") for pod in store.gone(cluster, "Pod")}
    free = {name: _free(room, taken, last) for name, room in nodes.items()}
    for pod in pods:
        room = nodes[where[_name(pod)]]
        own = room.address if pod["spec"].get("hostNetwork") else holders.get(_name(pod))
        address = own or next(free[room.name], "")
        if not address:
            raise InputError(
                f"Pod {cluster}/{_name(pod)}", f"no address is left in {room.pods} of {room.name}", "give the node a wider range"
            )
        placed = _placed(pod, room, address)
        if placed != pod:
            store.apply(cluster, placed)


@lru_cache(maxsize=4096)
def _number(address: str) -> int:
    return int(ipaddress.IPv4Address(address))


def _annotations(pod: Manifest) -> Mapping[str, str]:
    return pod["metadata"].get("annotations") or {}


def _name(pod: Manifest) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def _owner(pod: Manifest) -> tuple[str, ...]:
    return tuple(str(entry.get("name")) for entry in (pod["metadata"].get("ownerReferences") or ())[:1]) or (_name(pod),)


def _room(pod: Manifest, nodes: Mapping[str, Room], cluster: str, crowd: Mapping[str, tuple[int, int]]) -> Room:
    spec, place = pod["spec"], f"Pod {cluster}/{_name(pod)}"
    if spec.get("nodeName"):
        if spec["nodeName"] not in nodes:
            problem = f"there is no node {spec['nodeName']!r}"
            raise InputError(f"{place}: spec.nodeName", problem, f"use one of {', '.join(nodes)}")
        return nodes[spec["nodeName"]]
    wanted = (spec.get("nodeSelector") or {}).items()
    fitting = [room for room in nodes.values() if wanted <= room.labels.items()]
    if not fitting:
        remedy = f"use {HOSTNAME} and one of {', '.join(nodes)}"
        raise InputError(f"{place}: spec.nodeSelector", f"no node has {dict(wanted)}", remedy)
    fixed = _annotations(pod).get(ADDRESS)
    if fixed:
        fitting = [room for room in fitting if ipaddress.IPv4Address(fixed) in room.pods]
        if not fitting:
            raise InputError(f"{place}: {ADDRESS}", f"{fixed} is in no range of a node it may be on", "fix one that is")
    return min(fitting, key=lambda room: crowd[room.name])


def _kept(pod: Manifest, room: Room) -> str:
    """The address that the pod has or must have, if it is good on its node, else empty."""
    current, fixed = (pod.get("status") or {}).get("podIP") or "", _annotations(pod).get(ADDRESS, "")
    usable = [text for text in (current, fixed) if text and room.has(text)]
    if fixed and not usable and not current:
        raise InputError(f"Pod {_name(pod)}: {ADDRESS}", f"{fixed} is no pod's address on {room.name}", f"fix one in {room.pods}")
    return usable[0] if usable else ""


def _free(room: Room, taken: Mapping[str, str], last: set[str]) -> Iterator[str]:
    """Addresses of the node nobody has: those that were somebody's a moment ago last."""
    late = []
    first, end = int(room.pods.network_address) + 2, int(room.pods.broadcast_address)
    for number in range(first, end):
        text = str(ipaddress.IPv4Address(number))
        if text in taken:
            continue
        if text in last:
            late.append(text)
        else:
            yield text
    yield from late


def _placed(pod: Manifest, room: Room, address: str) -> dict[str, Any]:
    status = {"conditions": [{"type": "Ready", "status": "True"}]} | (pod.get("status") or {})
    status |= {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "hostIP": room.address}
    return {**pod, "spec": {**pod["spec"], "nodeName": room.name}, "status": status}


def address_services(store: Store, cluster: str) -> None:
    """Give every Service of ``cluster`` that needs one a cluster IP; InputError where one is outside the range or taken."""
    ranges = [ipaddress.IPv4Network(text) for item in store.list(cluster, "ServiceCIDR") for text in item["spec"]["cidrs"]]
    taken: dict[str, Key] = {}
    bare = []
    for service in store.list(cluster, "Service"):
        spec, metadata = service["spec"], service["metadata"]
        key = Key(cluster, "Service", metadata["namespace"], metadata["name"])
        address = spec.get("clusterIP")
        if spec.get("type") == "ExternalName" or address == "None":
            continue
        if not address:
            bare.append(service)
        elif address in taken:
            raise InputError(f"{key}: spec.clusterIP", f"{address} is that of {taken[address]}", "use another")
        elif ranges and not any(ipaddress.IPv4Address(address) in each for each in ranges):
            raise InputError(
                f"{key}: spec.clusterIP", f"{address} is outside {ranges[0]}", "change it, or the services range in the topology"
            )
        else:
            taken[address] = key
    # The lower part of a range is for addresses that people choose (Kubernetes, KEP-3070).
    free = (text for each in ranges for number in range(int(each[0]) + min(256, each.num_addresses // 4), int(each[-1]))
            if (text := str(ipaddress.IPv4Address(number))) not in taken)  # fmt: skip
    for service in bare:
        address = next(free, "")
        if not address:
            raise InputError(f"cluster {cluster}", "no address is left for Services", "widen its services range")
        store.apply(cluster, {**service, "spec": {**service["spec"], "clusterIP": address}})
