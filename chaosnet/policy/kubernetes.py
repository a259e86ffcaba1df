"""Kubernetes NetworkPolicy: strict parsing into frozen values, with the API server's own defaults and checks.

Fields that the API does not have are refused instead of dropped.  Sources: the NetworkPolicy API reference, and
pkg/apis/networking/{v1/defaults.go,validation/validation.go} of Kubernetes 1.34.  What a policy means is
:mod:`chaosnet.policy.decide`; the policy kinds of Calico and Cilium, and ClusterNetworkPolicy, are not read here.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chaosnet.errors import InputError
from chaosnet.policy import fields
from chaosnet.policy.selectors import Selector, parse_selector

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

API_VERSION = "networking.k8s.io/v1"
_SPEC = ("podSelector", "policyTypes", "ingress", "egress")
_SLOPPY = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,12}){3}/[0-9]{1,3}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Block:
    """``ipBlock``: a network, less the networks of ``excepted``."""

    network: Network
    excepted: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class Peer:
    """One entry of from or to: a block, or pods by either or both selectors (None: that one is absent)."""

    block: Block | None = None
    pods: Selector | None = None
    namespaces: Selector | None = None


@dataclass(frozen=True, slots=True)
class Port:
    """One entry of ports.  ``port`` is a number, a name, or None for all ports of the protocol; ``end`` closes a range."""

    protocol: str = "TCP"
    port: int | str | None = None
    end: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """One ingress or egress rule: no peers are any peer, no ports are everything, ICMP included."""

    peers: tuple[Peer, ...] = ()
    ports: tuple[Port, ...] = ()


@dataclass(frozen=True, slots=True)
class NetworkPolicy:
    """One policy.  ``isolates`` says which directions it governs (its policyTypes, or their default).

    ``written`` says which sections stand in the manifest with rules in them, governed or not.
    """

    cluster: str
    namespace: str
    name: str
    pods: Selector
    isolates: frozenset[str]
    ingress: tuple[Rule, ...] = ()
    egress: tuple[Rule, ...] = ()

    def __str__(self) -> str:
        return f"NetworkPolicy {'/'.join(part for part in (self.cluster, self.namespace, self.name) if part)}"

    def rules(self, direction: str) -> tuple[Rule, ...]:
        """The rules of ``direction``, "ingress" or "egress"."""
        return self.ingress if direction == "ingress" else self.egress

    @property
    def written(self) -> frozenset[str]:
        """The directions that have rules."""
        return frozenset(d for d in ("ingress", "egress") if self.rules(d))


def parse_policy(manifest: Mapping[str, Any], cluster: str = "", place: str = "") -> NetworkPolicy:
    """A NetworkPolicy manifest to a value; InputError names ``place`` and the field."""
    where = place or "NetworkPolicy"
    metadata = fields.mapping(manifest.get("metadata"), f"{where}: metadata")
    namespace = fields.dns_label(fields.given(metadata.get("namespace"), "default"), f"{where}: metadata.namespace")
    name = fields.name(metadata.get("name"), f"{where}: metadata.name")
    fields.mapping(dict(manifest), where, ("apiVersion", "kind", "metadata", "spec", "status"))
    if manifest.get("apiVersion") != API_VERSION:
        raise InputError(f"{where}: apiVersion", f"{manifest.get('apiVersion')!r} is not {API_VERSION}", "write that")
    spec = fields.mapping(manifest.get("spec"), f"{where}: spec", _SPEC)
    ingress = _rules(spec.get("ingress"), "from", f"{where}: spec.ingress")
    egress = _rules(spec.get("egress"), "to", f"{where}: spec.egress")
    return NetworkPolicy(
        cluster=cluster,
        namespace=namespace,
        name=name,
        pods=parse_selector(spec.get("podSelector"), f"{where}: spec.podSelector"),
        isolates=_types(spec.get("policyTypes"), bool(egress), f"{where}: spec.policyTypes"),
        ingress=ingress,
        egress=egress,
    )


def _types(value: object, has_egress_rules: bool, place: str) -> frozenset[str]:
    """Defaults of the API server: ingress always, egress where there is an egress rule; an empty list counts as none."""
    types = fields.items(value, place)
    if not types:
        return frozenset({"ingress", "egress"} if has_egress_rules else {"ingress"})
    if len(types) > 2:
        raise InputError(place, f"{len(types)} policy types are given", "give Ingress, Egress or both")
    return frozenset(fields.one_of(item, f"{place}[{index}]", ("Ingress", "Egress")).lower() for index, item in enumerate(types))


def _rules(value: object, peers: str, place: str) -> tuple[Rule, ...]:
    found = []
    for index, entry in enumerate(fields.items(value, place)):
        where = f"{place}[{index}]"
        body = fields.mapping(entry, where, (peers, "ports"))
        found.append(
            Rule(
                tuple(
                    _peer(peer, f"{where}.{peers}[{number}]")
                    for number, peer in enumerate(fields.items(body.get(peers), f"{where}.{peers}"))
                ),
                tuple(
                    _port(port, f"{where}.ports[{number}]")
                    for number, port in enumerate(fields.items(body.get("ports"), f"{where}.ports"))
                ),
            )
        )
    return tuple(found)


def _peer(value: object, place: str) -> Peer:
    body = fields.mapping(value, place, ("podSelector", "namespaceSelector", "ipBlock"))
    given = {key for key, item in body.items() if item is not None}
    if not given:
        raise InputError(place, "a peer is empty", "give podSelector, namespaceSelector or ipBlock ({} selects all)")
    if "ipBlock" in given:
        if len(given) > 1:
            raise InputError(place, "ipBlock stands beside a selector", "make them two peers")
        return Peer(block=_block(body["ipBlock"], f"{place}.ipBlock"))
    return Peer(
        pods=parse_selector(body["podSelector"], f"{place}.podSelector") if "podSelector" in given else None,
        namespaces=(
            parse_selector(body["namespaceSelector"], f"{place}.namespaceSelector") if "namespaceSelector" in given else None
        ),
    )


def _network(value: object, place: str) -> Network:
    """A CIDR as the API server reads it: host bits and leading zeros are accepted (Kubernetes 1.34, sloppy parsing)."""
    text = fields.text(value, place)
    try:
        if _SLOPPY.fullmatch(text):
            address, _, length = text.partition("/")
            text = ".".join(str(int(octet)) for octet in address.split(".")) + f"/{int(length)}"
        elif "/" not in text or "%" in text:
            raise ValueError
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise InputError(place, f"{fields.show(value)} is not a CIDR", 'write it like "10.0.0.0/8"') from None


def _block(value: object, place: str) -> Block:
    body = fields.mapping(value, place, ("cidr", "except"))
    if "cidr" not in body:
        raise InputError(place, "cidr is missing", 'write {cidr: "10.0.0.0/8"}')
    network = _network(body["cidr"], f"{place}.cidr")
    excepted = []
    for index, entry in enumerate(fields.items(body.get("except"), f"{place}.except")):
        where = f"{place}.except[{index}]"
        inner = _network(entry, where)
        # A strict subset of the same family, else the API server refuses it.
        if inner.version != network.version or inner == network or not _inside(inner, network):
            raise InputError(where, f"{inner} is not a part of {network}", "except narrower networks inside cidr only")
        excepted.append(inner)
    return Block(network, tuple(excepted))


def _inside(inner: Network, outer: Network) -> bool:
    return inner.prefixlen >= outer.prefixlen and inner.network_address in outer


def _port(value: object, place: str) -> Port:
    body = fields.mapping(value, place, ("protocol", "port", "endPort"))
    protocol = fields.one_of(fields.given(body.get("protocol"), "TCP"), f"{place}.protocol", fields.PROTOCOLS)
    given, end = body.get("port"), body.get("endPort")
    port = None if given is None else fields.port(given, f"{place}.port")
    if end is None:
        return Port(protocol, port)
    where = f"{place}.endPort"
    if not isinstance(port, int):
        raise InputError(where, f"{end!r} closes a range that no number opens", "give port as a number")
    return Port(protocol, port, fields.whole(end, where, port, 65535))
