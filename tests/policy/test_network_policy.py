"""Strict parsing of NetworkPolicy, with the API server's defaults and checks (pkg/apis/networking of Kubernetes 1.34)."""

import ipaddress
from typing import Any

import pytest

from chaosnet.errors import InputError
from chaosnet.policy.kubernetes import NetworkPolicy, parse_policy


def parse(spec: Any, **manifest: Any) -> NetworkPolicy:
    body = {
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p", "namespace": "x"}, "spec": spec,
    }  # fmt: skip
    return parse_policy(body | manifest, "c", "file.yaml: NetworkPolicy x/p")


@pytest.mark.parametrize(
    ("spec", "isolates"),
    [
        ({"podSelector": {}}, {"ingress"}),
        ({"podSelector": {}, "policyTypes": []}, {"ingress"}),
        ({"podSelector": {}, "egress": []}, {"ingress"}),
        # The trap: without policyTypes, egress rules alone isolate ingress too.
        ({"podSelector": {}, "egress": [{}]}, {"ingress", "egress"}),
        ({"podSelector": {}, "policyTypes": ["Egress"]}, {"egress"}),
        ({"podSelector": {}, "policyTypes": ["Egress"], "ingress": [{}]}, {"egress"}),
        ({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}, {"ingress", "egress"}),
        ({"podSelector": {}, "policyTypes": ["Ingress", "Ingress"]}, {"ingress"}),
    ],
)
def test_directions_that_a_policy_isolates(spec: Any, isolates: set[str]) -> None:
    assert parse(spec).isolates == isolates


def test_defaults_of_a_rule() -> None:
    policy = parse({"podSelector": None, "ingress": [{"ports": [{"port": 80}, {}]}]})
    assert [(port.protocol, port.port) for port in policy.ingress[0].ports] == [("TCP", 80), ("TCP", None)]
    assert policy.ingress[0].peers == ()
    assert policy.namespace == "x"
    assert parse({}, metadata={"name": "p"}).namespace == "default"


def test_networks_are_read_as_the_api_server_reads_them() -> None:
    # Host bits and leading zeros are accepted (sloppy parsing, Kubernetes 1.34).
    for text, network in {"10.0.0.5/8": "10.0.0.0/8", "010.0.0.0/8": "10.0.0.0/8", "2001:DB8::1/32": "2001:db8::/32"}.items():
        peer = parse({"ingress": [{"from": [{"ipBlock": {"cidr": text}}]}]}).ingress[0].peers[0]
        assert peer.block is not None
        assert peer.block.network == ipaddress.ip_network(network)


def rule(**entry: Any) -> dict[str, Any]:
    return {"podSelector": {}, "ingress": [entry]}


def peer(entry: Any) -> dict[str, Any]:
    return rule(**{"from": [entry]})


def block(**entry: Any) -> dict[str, Any]:
    return peer({"ipBlock": entry})


def port(entry: Any) -> dict[str, Any]:
    return rule(ports=[entry])


REFUSED: list[tuple[Any, str]] = [
    ([], "spec"),
    ({"podselector": {}}, "podselector"),
    ({"podSelector": {}, "ingres": []}, "ingres"),
    ({"podSelector": {}, "policyTypes": ["ingress"]}, "policyTypes[0]"),
    ({"podSelector": {}, "policyTypes": "Ingress"}, "policyTypes"),
    ({"podSelector": {}, "policyTypes": ["Ingress", "Egress", "Ingress"]}, "policyTypes"),
    ({"podSelector": {}, "ingress": {}}, "ingress"),
    ({"podSelector": {}, "ingress": [None, "x"]}, "ingress[1]"),
    (rule(to=[]), "'to'"),
    (rule(port=80), "'port'"),
    ({"podSelector": {}, "egress": [{"from": []}]}, "'from'"),
    (rule(**{"from": {}}), "ingress[0].from"),
    (peer({}), "from[0]"),
    (peer(None), "from[0]"),
    (peer({"podSelector": None}), "from[0]"),
    (peer({"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}), "from[0]"),
    (peer({"pods": {}}), "'pods'"),
    (block(), "ipBlock"),
    (block(cidr="10.0.0.0"), "cidr"),
    (block(cidr="10.0.0.0/33"), "cidr"),
    (block(cidr="256.0.0.0/8"), "cidr"),
    (block(cidr="fe80::%eth0/64"), "cidr"),
    (block(cidr=10), "cidr"),
    (block(cidr="10.0.0.0/8", **{"except": ["10.0.0.0/8"]}), "except[0]"),
    (block(cidr="10.0.0.0/8", **{"except": ["11.0.0.0/9"]}), "except[0]"),
    (block(cidr="10.0.0.0/8", **{"except": ["2001:db8::/32"]}), "except[0]"),
    (block(cidr="10.0.0.0/8", **{"except": "10.1.0.0/16"}), "except"),
    (port({"port": 0}), "port"),
    (port({"port": 65536}), "port"),
    (port({"port": -1}), "port"),
    (port({"port": True}), "port"),
    (port({"port": 80.5}), "port"),
    # A port's name needs a letter, so a number in quotes is no port (IANA service names, RFC 6335).
    (port({"port": "80"}), "port"),
    (port({"port": "a" * 16}), "port"),
    (port({"port": "HTTP"}), "port"),
    (port({"port": "a--b"}), "port"),
    (port({"protocol": "ICMP"}), "protocol"),
    (port({"protocol": "tcp"}), "protocol"),
    (port({"endPort": 90}), "endPort"),
    (port({"port": "http", "endPort": 90}), "endPort"),
    (port({"port": 90, "endPort": 80}), "endPort"),
    (port({"port": 90, "endPort": "95"}), "endPort"),
    (port({"port": 80, "targetPort": 80}), "targetPort"),
]


@pytest.mark.parametrize(("spec", "names"), REFUSED)
def test_what_is_refused_names_its_place_and_what_to_do(spec: Any, names: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(spec)
    message = str(caught.value)
    assert message.startswith("file.yaml: NetworkPolicy x/p: spec")
    assert names in message
    assert "; " in message
    assert "\n" not in message


def test_other_versions_and_unknown_fields_of_the_object_are_refused() -> None:
    with pytest.raises(InputError, match="extensions/v1beta1"):
        parse({}, apiVersion="extensions/v1beta1")
    with pytest.raises(InputError, match="'specs'"):
        parse({}, specs={})
