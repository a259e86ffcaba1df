"""``change_policy``: a network policy appears, disappears or changes, as a bad rollout would do it.

What it does to packets: nothing by itself; the cluster's CNI enforces the object.  NetworkPolicy and, where the target takes
them, Calico's and Cilium's kinds.  A policy that selects a pod puts it in default deny for that direction: one that
allows HTTP and forgets DNS cuts DNS.  NetworkPolicies only add up: an extra deny-all does not close what another opens.

How it is proven: on the wire only opened and closed edges show a policy, so the experiment must announce them (``break``,
``open``, or the argument ``edges``); without any the fault is refused, for it could not be told from nothing.

What it does not do: reach pods on nodes that enforce nothing, or surely end live flows: Cilium judges every packet, Calico and
others the first of a connection (calico#6399; the Kubernetes API leaves it open).

Undo puts back the object that was there before, or removes ours.
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
from chaosnet.model.endpoint import parse_endpoint
from chaosnet.model.fault import Capabilities, Plan
from chaosnet.model.inventory import Inventory, Sites
from chaosnet.model.place import Place

__all__ = ["change_policy"]

# Never changed: defaults of arguments whose types chaostoolkit's discovery can read.
_NOTHING: Dict[str, Any] = {}
_ANNOUNCED: List[str] = []

_ACTIONS = {"apply": "apply", "remove": "delete", "patch": "patch"}
# Policy kinds of Kubernetes, Calico and Cilium end so; sets and tiers are what those policies refer to.
# Calico's NetworkPolicy shares its name with Kubernetes' own: it is NetworkPolicy.projectcalico.org.
_KIND = re.compile(
    r"(?:[A-Z][A-Za-z]{0,50}Policy|NetworkSet|GlobalNetworkSet|Tier|CiliumCIDRGroup)(?:\.[a-z0-9.-]{1,100})?", re.ASCII
)
_KUBERNETES = "networking.k8s.io/v1"
_CLUSTERWIDE = (
    "AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy", "GlobalNetworkPolicy", "GlobalNetworkSet", "Tier",
    "CiliumClusterwideNetworkPolicy", "CiliumCIDRGroup",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ChangePolicy:
    """The settings.  ``manifest`` is JSON text; ``edges`` empty means the edges that the experiment announces."""

    kind: ClassVar[str] = "change_policy"
    cluster: str
    namespace: str
    name: str
    action: str
    object_kind: str = "NetworkPolicy"
    manifest: str = ""
    edges: tuple[Edge, ...] = ()
    duration: float = 60.0

    def places(self) -> Mapping[str, Place]:
        """None: the object's own selectors decide which pods it meets."""
        return {}

    def plan(self, sites: Sites, capabilities: Capabilities) -> Plan:
        """The object; seen by the edges that open or close."""
        if self.cluster not in sites.inventory.clusters:
            known = ", ".join(sites.inventory.clusters)
            raise InputError("change_policy.at", f"there is no cluster {self.cluster!r}", f"there are {known}")
        change = Object(self.cluster, _ACTIONS[self.action], self.object_kind, self.namespace, self.name, self.manifest)
        return Plan(
            capabilities.require(self.kind, (change,)),
            (declared_edges(self.kind, self.edges, sites.announced),),
            established=_live_flows(self.cluster, sites.inventory),
            fresh="new flows meet the policy as soon as the CNI has it",
        )


def _live_flows(cluster: str, inventory: Inventory) -> str:
    cnis = {node.cni for node in inventory.nodes if node.cluster == cluster and node.role == "node"}
    if cnis == {"cilium"}:
        return "Cilium judges every packet: live flows that are no longer allowed stop"
    if "cilium" in cnis:
        return "live flows that are no longer allowed stop on Cilium's nodes and go on elsewhere"
    return "live flows go on: the policy is asked when a connection begins"


def parse_manifest(value: object, place: str) -> Dict[str, Any]:
    """A manifest as a mapping, from a mapping or YAML (or JSON) text; empty for empty.  InputError otherwise."""
    import yaml

    if value in ("", None, {}):
        return {}
    if isinstance(value, str):
        try:
            value = yaml.safe_load(value)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f" in line {mark.line + 1}" if mark else ""
            raise InputError(place, f"the text is not YAML{where}", "give one manifest, inline or as text") from None
    if not isinstance(value, dict):
        raise InputError(place, f"it is {type(value).__name__}, not a mapping", "give one manifest, inline or as text")
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        raise InputError(place, "it holds a value that JSON does not have", "quote dates and the like") from None
    return value


def _identify(at: str, kind: str) -> tuple[str, str, str]:
    """Cluster, namespace and name of ``cluster/namespace/name``, or of ``cluster/name`` for kinds without namespaces."""
    grammar = "cluster/name" if kind.partition(".")[0] in _CLUSTERWIDE else "cluster/namespace/name"
    parts = at.split("/") if isinstance(at, str) else []
    if len(parts) != len(grammar.split("/")) or "*" in at or "=" in at:
        raise InputError("change_policy.at", f"{at!r} does not name one {kind}", f"write {grammar}")
    parse_endpoint("/".join(parts if len(parts) == 3 else [parts[0], "x", parts[1]]), "change_policy.at")
    return (parts[0], parts[1], parts[2]) if len(parts) == 3 else (parts[0], "", parts[1])


def change_policy(
    at: str,
    action: str,
    manifest: Dict[str, Any] = _NOTHING,
    kind: str = "",
    edges: List[str] = _ANNOUNCED,
    duration: str = "60s",
) -> Dict[str, Any]:
    """Apply, remove or patch a network policy.

    at: cluster/namespace/name of the policy (cluster/name for kinds without a namespace); action: apply, remove or patch;
    manifest: the object, or the merge patch (RFC 7386), inline or as YAML text; kind: by default the manifest's own, or
    NetworkPolicy (Calico's is NetworkPolicy.projectcalico.org); edges: those that must open or close, by default all under
    break and open.

    Example:
        module: chaosnet.faults.policy
        func: change_policy
        arguments:
          at: prod/prod-ns/no-dns
          action: apply
          manifest:
            apiVersion: networking.k8s.io/v1
            kind: NetworkPolicy
            spec: {podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 8080}]}]}
    """
    action = units.choice(action, "change_policy.action", tuple(_ACTIONS))
    body = parse_manifest(manifest, "change_policy.manifest")
    kind = kind or (_kind_of(body) if action == "apply" else "") or "NetworkPolicy"
    if not isinstance(kind, str) or not _KIND.fullmatch(kind):
        raise InputError("change_policy.kind", f"{kind!r} is not a kind of network policy", "name one such as NetworkPolicy")
    cluster, namespace, name = _identify(at, kind)
    if action == "remove" and body:
        raise InputError("change_policy.manifest", "a removal takes no manifest", "leave it out, or patch")
    if action != "remove" and not body:
        raise InputError("change_policy.manifest", "it is empty", f"say what to {action}")
    if action == "apply":
        body = _complete(body, kind, namespace, name)
    session = current()
    return session.inject(
        ChangePolicy(
            cluster=cluster,
            namespace=namespace,
            name=name,
            action=action,
            object_kind=kind,
            manifest=json.dumps(body, sort_keys=True) if body else "",
            edges=session.group(edges, "change_policy.edges") if edges else (),
            duration=units.duration(duration, "change_policy.duration"),
        )
    )


def _kind_of(body: Dict[str, Any]) -> str:
    """The manifest's kind; with its API group where Kubernetes has another kind of that name."""
    kind, group = str(body.get("kind", "")), str(body.get("apiVersion", _KUBERNETES)).rpartition("/")[0]
    return f"{kind}.{group}" if kind == "NetworkPolicy" and group != _KUBERNETES.rpartition("/")[0] else kind


def _complete(body: Dict[str, Any], kind: str, namespace: str, name: str) -> Dict[str, Any]:
    """The manifest with the names that ``at`` gives; InputError where its own differ."""
    metadata = body.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise InputError("change_policy.manifest", "its metadata is not a mapping", "write metadata: {name: ...}")
    named = {"name": name, "namespace": namespace} if namespace else {"name": name}
    for field, value in named.items():
        if metadata.get(field, value) != value:
            raise InputError(
                "change_policy.manifest", f"its {field} is {metadata[field]!r}, where at says {value!r}", "make them agree"
            )
    if "kind" in body and _kind_of(body) != kind:
        raise InputError("change_policy.manifest", f"its kind is {_kind_of(body)!r}, where kind says {kind!r}", "make them agree")
    if "apiVersion" not in body and kind != "NetworkPolicy":
        raise InputError("change_policy.manifest", "its apiVersion is missing", f"say which API {kind} belongs to")
    return {"apiVersion": _KUBERNETES, "kind": kind.partition(".")[0], **body, "metadata": {**metadata, **named}}
