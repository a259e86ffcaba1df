"""The kinds of objects that the lab acts on: what must be right in each before it is stored.

Only fields that the lab reads are checked; the hundreds of others that ``kubectl get -o yaml`` writes are kept as they
are.  NetworkPolicies are the exception: they are parsed whole, since a field nobody reads there would be a hole nobody
sees.  Objects of unknown kinds are kept too, and nothing acts on them.
"""

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from chaosnet.errors import InputError
from chaosnet.policy import fields
from chaosnet.policy.kubernetes import parse_policy
from chaosnet.policy.selectors import parse_selector
from chaosnet.policy.semantics import SEMANTICS
from chaosnet.policy.world import CNI

#: A pod (or a workload's template) with this annotation gets exactly this address.
ADDRESS = "chaosnet.io/address"
#: A pod with this annotation runs a reverse proxy in front of the Service it names: ``namespace/name:port``.
PROXY = "chaosnet.io/proxy"

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")
MOST_REPLICAS = 1000

Manifest = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: its only apiVersion here, whether it lives in a namespace, and the check of its body."""

    api: str
    namespaced: bool
    check: Callable[[Manifest, str], None]


def identify(manifest: object, place: str) -> tuple[str, str, str]:
    """The kind, namespace and name of an object.  A kind of another API group that shares its name with one of ours
    carries the group: ``NetworkPolicy.projectcalico.org``.  InputError where there is no apiVersion, kind or name."""
    body = fields.mapping(manifest, place)
    for key in ("apiVersion", "kind"):
        if not body.get(key):
            raise InputError(place, f"{key} is missing", "every object has apiVersion, kind and metadata.name")
    kind, api = fields.text(body["kind"], f"{place}: kind"), fields.text(body["apiVersion"], f"{place}: apiVersion")
    if not kind.isascii() or not kind.isalnum() or len(kind) > 63:
        raise InputError(f"{place}: kind", f"{fields.show(kind)} is not a kind", "write one like Deployment")
    metadata = fields.mapping(body.get("metadata"), f"{place}: {kind}: metadata")
    name = _object_name(kind, metadata.get("name"), f"{place}: {kind}: metadata.name")
    known = KINDS.get(kind)
    if known is not None and api.rpartition("/")[0] != known.api.rpartition("/")[0]:
        if api.rpartition("/")[0] in _OLD_GROUPS:
            raise InputError(f"{place}: {kind} {name}: apiVersion", f"{fields.show(api)} is gone", f"write {known.api}")
        kind, known = f"{kind}.{api.rpartition('/')[0]}", None
    given = fields.given(metadata.get("namespace"), "")
    if (known is not None and not known.namespaced) or (known is None and not given):
        namespace = ""
    else:
        namespace = fields.dns_label(fields.given(given, "default"), f"{place}: {kind} {name}: metadata.namespace")
    return kind, namespace, name


def check(manifest: Manifest, place: str) -> None:
    """InputError, in one sentence that begins with ``place``, where an object is not what its kind must be."""
    metadata = fields.mapping(manifest.get("metadata"), f"{place}: metadata")
    fields.labels(metadata.get("labels"), f"{place}: metadata.labels")
    _annotations(metadata, f"{place}: metadata")
    kind = KINDS.get(str(manifest["kind"]))
    if kind is None or manifest["apiVersion"].rpartition("/")[0] != kind.api.rpartition("/")[0]:
        return
    if manifest["apiVersion"] != kind.api:
        raise InputError(f"{place}: apiVersion", f"{manifest['apiVersion']!r} is not read", f"write {kind.api}")
    kind.check(manifest, place)


def _object_name(kind: str, value: object, place: str) -> str:
    if kind in ("Namespace", "Service"):
        fields.name(value, place)
        return fields.dns_label(value, place)
    if kind in KINDS:
        return fields.name(value, place)
    # Other kinds (ClusterRole and the like) may have names with colons: any path segment (Kubernetes, "Object Names").
    text = fields.text(value if value is not None else "", place)
    if not text or len(text) > 253 or not text.isprintable() or "/" in text or "%" in text:
        raise InputError(place, f"{fields.show(value)} is not a name", "every object has one")
    return text


def _annotations(metadata: Manifest, place: str) -> None:
    for key, value in fields.mapping(metadata.get("annotations"), f"{place}.annotations").items():
        fields.text(value, f"{place}.annotations.{key}")
        if key == ADDRESS:
            address(value, f"{place}.annotations.{key}")
        elif key == PROXY:
            proxy_backend(value, f"{place}.annotations.{key}")


def address(value: object, place: str) -> str:
    """``value`` as an IPv4 address, the only family the lab has."""
    try:
        return str(ipaddress.IPv4Address(fields.text(value, place)))
    except ValueError:
        raise InputError(place, f"{fields.show(value)} is not an IPv4 address", 'write it like "10.0.1.5"') from None


def proxy_backend(value: object, place: str) -> tuple[str, str, int]:
    """``namespace/name:port`` of the annotation ``chaosnet.io/proxy`` to its parts."""
    path, colon, port = fields.text(value, place).rpartition(":")
    namespace, slash, name = path.partition("/")
    if not colon or not slash or not port.isascii() or not port.isdigit():
        raise InputError(place, f"{fields.show(value)} names no Service", "write namespace/name:port")
    return (
        fields.dns_label(namespace, place),
        fields.dns_label(name, place),
        fields.whole(int(port[:6]), place, 1, 65535),
    )


def _namespace(manifest: Manifest, place: str) -> None:
    fields.dns_label(manifest["metadata"]["name"], f"{place}: metadata.name")


def _pod(manifest: Manifest, place: str) -> None:
    _pod_spec(manifest, place)
    status = fields.mapping(manifest.get("status"), f"{place}: status")
    for key in ("podIP", "hostIP"):
        if status.get(key):
            address(status[key], f"{place}: status.{key}")
    _conditions(status, place)


def _conditions(status: Manifest, place: str) -> None:
    for index, entry in enumerate(fields.items(status.get("conditions"), f"{place}: status.conditions")):
        where = f"{place}: status.conditions[{index}]"
        fields.text(fields.mapping(entry, where).get("type", ""), f"{where}.type")
        fields.text(entry.get("status", ""), f"{where}.status")


def _pod_spec(manifest: Manifest, place: str) -> None:
    spec = fields.mapping(manifest.get("spec"), f"{place}: spec")
    if spec.get("nodeName"):
        fields.name(spec["nodeName"], f"{place}: spec.nodeName")
    fields.labels(spec.get("nodeSelector"), f"{place}: spec.nodeSelector")
    fields.flag(spec.get("hostNetwork"), f"{place}: spec.hostNetwork")
    containers = fields.items(spec.get("containers"), f"{place}: spec.containers")
    if not containers:
        raise InputError(f"{place}: spec.containers", "there is no container", "a pod has at least one")
    for index, container in enumerate(containers):
        where = f"{place}: spec.containers[{index}]"
        entries = fields.items(fields.mapping(container, where).get("ports"), f"{where}.ports")
        for number, entry in enumerate(entries):
            port = fields.mapping(entry, f"{where}.ports[{number}]")
            fields.whole(port.get("containerPort"), f"{where}.ports[{number}].containerPort", 1, 65535)
            fields.one_of(fields.given(port.get("protocol"), "TCP"), f"{where}.ports[{number}].protocol", fields.PROTOCOLS)
            if port.get("name"):
                fields.port(fields.text(port["name"], f"{where}.ports[{number}].name"), f"{where}.ports[{number}].name")


def _workload(manifest: Manifest, place: str) -> None:
    spec = fields.mapping(manifest.get("spec"), f"{place}: spec")
    if spec.get("replicas") is not None:
        fields.whole(spec["replicas"], f"{place}: spec.replicas", 0, MOST_REPLICAS)
    if spec.get("selector") is None:
        raise InputError(f"{place}: spec.selector", "it is missing", "select the template's labels with matchLabels")
    selector = parse_selector(spec["selector"], f"{place}: spec.selector")
    template = fields.mapping(spec.get("template"), f"{place}: spec.template")
    metadata = fields.mapping(template.get("metadata"), f"{place}: spec.template.metadata")
    labels = fields.labels(metadata.get("labels"), f"{place}: spec.template.metadata.labels")
    if not selector.requirements or not selector.matches(labels):
        raise InputError(f"{place}: spec.selector", "it does not select the template's labels", "make them agree")
    _annotations(metadata, f"{place}: spec.template.metadata")
    _pod_spec(template, f"{place}: spec.template")
    if ADDRESS in (metadata.get("annotations") or {}) and spec.get("replicas", 1) not in (None, 0, 1):
        raise InputError(f"{place}: spec.template", f"{ADDRESS} fixes one address for several replicas", "use one replica")


def _service(manifest: Manifest, place: str) -> None:
    spec = fields.mapping(manifest.get("spec"), f"{place}: spec")
    kind = fields.one_of(
        fields.given(spec.get("type"), "ClusterIP"),
        f"{place}: spec.type",
        ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName"),
    )
    fields.labels(spec.get("selector"), f"{place}: spec.selector")
    if spec.get("clusterIP") not in (None, "", "None"):
        address(spec["clusterIP"], f"{place}: spec.clusterIP")
    fields.one_of(fields.given(spec.get("sessionAffinity"), "None"), f"{place}: spec.sessionAffinity", ("None", "ClientIP"))
    ports = fields.items(spec.get("ports"), f"{place}: spec.ports")
    if not ports and kind != "ExternalName" and spec.get("clusterIP") != "None":
        raise InputError(f"{place}: spec.ports", "there is no port", "a Service has at least one")
    seen: set[tuple[object, object]] = set()
    for index, entry in enumerate(ports):
        where = f"{place}: spec.ports[{index}]"
        port = fields.mapping(entry, where)
        number = fields.whole(port.get("port"), f"{where}.port", 1, 65535)
        protocol = fields.one_of(fields.given(port.get("protocol"), "TCP"), f"{where}.protocol", fields.PROTOCOLS)
        if port.get("targetPort") is not None:
            fields.port(port["targetPort"], f"{where}.targetPort")
        if port.get("name"):
            fields.dns_label(port["name"], f"{where}.name")
        elif len(ports) > 1:
            raise InputError(f"{where}.name", "it is missing", "with several ports each needs a name")
        if (number, protocol) in seen:
            raise InputError(where, f"{number}/{protocol} is given twice", "give each port once")
        seen.add((number, protocol))


def _slice(manifest: Manifest, place: str) -> None:
    fields.one_of(manifest.get("addressType"), f"{place}: addressType", ("IPv4", "IPv6", "FQDN"))
    if manifest.get("addressType") != "IPv4":
        return
    for index, entry in enumerate(fields.items(manifest.get("endpoints"), f"{place}: endpoints")):
        where = f"{place}: endpoints[{index}]"
        endpoint = fields.mapping(entry, where)
        for number, item in enumerate(fields.items(endpoint.get("addresses"), f"{where}.addresses")):
            address(item, f"{where}.addresses[{number}]")
        fields.flag(fields.mapping(endpoint.get("conditions"), f"{where}.conditions").get("ready"), f"{where}.conditions.ready")
    _endpoint_ports(manifest.get("ports"), f"{place}: ports")


def _endpoint_ports(value: object, place: str) -> None:
    for index, entry in enumerate(fields.items(value, place)):
        port = fields.mapping(entry, f"{place}[{index}]")
        fields.whole(port.get("port"), f"{place}[{index}].port", 1, 65535)
        fields.one_of(fields.given(port.get("protocol"), "TCP"), f"{place}[{index}].protocol", fields.PROTOCOLS)
        fields.text(fields.given(port.get("name"), ""), f"{place}[{index}].name")


def _endpoints(manifest: Manifest, place: str) -> None:
    for index, entry in enumerate(fields.items(manifest.get("subsets"), f"{place}: subsets")):
        where = f"{place}: subsets[{index}]"
        subset = fields.mapping(entry, where)
        for key in ("addresses", "notReadyAddresses"):
            for number, item in enumerate(fields.items(subset.get(key), f"{where}.{key}")):
                address(fields.mapping(item, f"{where}.{key}[{number}]").get("ip"), f"{where}.{key}[{number}].ip")
        _endpoint_ports(subset.get("ports"), f"{where}.ports")


def _policy(manifest: Manifest, place: str) -> None:
    parse_policy(manifest, place=place)


def _node(manifest: Manifest, place: str) -> None:
    cni = (manifest["metadata"].get("annotations") or {}).get(CNI)
    if cni is not None:
        fields.one_of(cni, f"{place}: metadata.annotations.{CNI}", tuple(SEMANTICS))
    status = fields.mapping(manifest.get("status"), f"{place}: status")
    for index, entry in enumerate(fields.items(status.get("addresses"), f"{place}: status.addresses")):
        where = f"{place}: status.addresses[{index}]"
        if fields.mapping(entry, where).get("type") == "InternalIP":
            address(entry.get("address"), f"{where}.address")
    _conditions(status, place)


def _ranges(manifest: Manifest, place: str) -> None:
    fields.items(fields.mapping(manifest.get("spec"), f"{place}: spec").get("cidrs"), f"{place}: spec.cidrs")


_OLD_GROUPS = ("extensions",)

KINDS: Mapping[str, Kind] = {
    "Namespace": Kind("v1", False, _namespace),
    "Node": Kind("v1", False, _node),
    "Pod": Kind("v1", True, _pod),
    "Service": Kind("v1", True, _service),
    "Endpoints": Kind("v1", True, _endpoints),
    "EndpointSlice": Kind("discovery.k8s.io/v1", True, _slice),
    "Deployment": Kind("apps/v1", True, _workload),
    "StatefulSet": Kind("apps/v1", True, _workload),
    "DaemonSet": Kind("apps/v1", True, _workload),
    "ReplicaSet": Kind("apps/v1", True, _workload),
    "NetworkPolicy": Kind("networking.k8s.io/v1", True, _policy),
    "ServiceCIDR": Kind("networking.k8s.io/v1", False, _ranges),
}
