"""The topology file: what it says, and the sentence that each mistake gets."""

from pathlib import Path

import pytest

from chaosnet.errors import InputError
from chaosnet.lab import topology
from chaosnet.shipped import experiments

GOOD = """\
name: small
mtu: {pods: 1500, underlay: 1550}
bgp: {hold: 9s, keepalive: 3s, retry: 3s}
clusters:
  west:
    cni: cilium
    asn: 64512
    network: 192.168.10.0/24
    services: 10.97.0.0/16
    dns: 10.97.0.10
    router: r-west
    nodes:
      w-1: {pods: 10.0.1.0/24}
      w-2: {pods: 10.0.2.0/24, cni: kubenet}
  east:
    asn: 64513
    network: 192.168.20.0/24
    services: 10.96.0.0/16
    dns: 10.96.0.10
    router: r-east
    overlay: vxlan
    nodes:
      e-1: {pods: 10.1.1.0/24, address: 192.168.20.50}
    manifests: [east.yaml]
routers:
  middle: {asn: 65000}
links:
  - {between: [r-west, middle], network: 192.168.100.0/30}
  - {between: [middle, r-east], network: 192.168.100.4/30, mtu: 1450}
"""


def test_a_good_file_says_everything() -> None:
    found = topology.parse(GOOD, "/somewhere/labs/small.yaml")
    west, east = found.clusters
    assert found.name == "small"
    assert [(node.name, node.address, node.cni, node.enforces) for node in found.nodes] == [
        ("w-1", "192.168.10.11", "cilium", True),
        ("w-2", "192.168.10.12", "kubenet", False),
        ("e-1", "192.168.20.50", "kubernetes", True),
    ]
    assert (west.gateway, west.mtu, west.domain, east.overlay) == ("192.168.10.1", 1500, "cluster.local", "vxlan")
    assert east.manifests == ("/somewhere/labs/east.yaml",)
    assert [(router.name, router.asn, router.cluster) for router in found.routers] == [
        ("r-west", 64512, "west"), ("r-east", 64513, "east"), ("middle", 65000, ""),
    ]  # fmt: skip
    assert [(link.a_address, link.b_address, link.mtu) for link in found.links] == [
        ("192.168.100.1", "192.168.100.2", 1550), ("192.168.100.5", "192.168.100.6", 1450),
    ]  # fmt: skip
    assert ("w-1", "r-west") in found.pairs()
    assert found.router_addresses("middle") == ("192.168.100.2", "192.168.100.5")


def test_vxlan_takes_fifty_bytes_from_pods() -> None:
    tight = GOOD.replace("underlay: 1550", "underlay: 1500")
    west, east = topology.parse(tight, "x.yaml").clusters
    assert (west.mtu, east.mtu) == (1500, 1450)


@pytest.mark.parametrize("path", sorted((experiments() / "labs").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_lab_that_comes_with_us_can_be_read(path: Path) -> None:
    found = topology.load(path)
    assert found.nodes
    assert all(Path(manifest).exists() for cluster in found.clusters for manifest in cluster.manifests)


# What is put in the place of what, the line that must be named (0: none), and words that the sentence must have.
MISTAKES = {
    "unknown field": ("cni: cilium", "cnni: cilium", 6, ["clusters.west.cnni", "unknown field 'cnni'", "did you mean 'cni'?"]),
    "unknown cni": ("cni: cilium", "cni: celium", 6, ["clusters.west.cni", "'celium' is not known", "cilium, calico"]),
    "boolean key": ("asn: 64513", "asn: 64513\n    on: 1", 17, ["boolean"]),
    "boolean value": ("cni: cilium", "cni: no", 6, ["boolean", "quote it"]),
    "duplicate key": ("    asn: 64513\n", "    asn: 64513\n    asn: 64514\n", 17, ["'asn' stands twice"]),
    "duplicate node": ("e-1: {pods", "w-1: {pods", 0, ["w-1", "stands twice"]),
    "node like a router": ("e-1: {pods", "r-west: {pods", 0, ["r-west", "stands twice"]),
    "bad cidr": ("10.0.2.0/24", "10.0.2.0/33", 14, ["clusters.west.nodes.w-2.pods", "'10.0.2.0/33'", "10.0.1.0/24"]),
    "host bits": ("10.0.2.0/24", "10.0.2.7/24", 14, ["has host bits set"]),
    "number for a cidr": ("pods: 10.0.2.0/24", "pods: 10", 14, ["10 is not an IPv4 network"]),
    "pods overlap": ("10.0.2.0/24", "10.0.1.128/25", 14, ["overlaps 10.0.1.0/24", "clusters.west.nodes.w-1.pods"]),
    "services overlap pods": ("10.96.0.0/16\n    dns: 10.96.0.10", "10.0.0.0/16\n    dns: 10.0.0.10", 18, ["10.0.0.0/16 overlaps 10.0.1.0/24 of"]),
    "link overlaps": ("192.168.100.4/30", "192.168.100.0/29", 0, ["links[1].network", "overlaps"]),
    "multicast": ("10.0.2.0/24", "224.0.2.0/24", 14, ["is not for hosts' addresses"]),
    "dns elsewhere": ("dns: 10.96.0.10", "dns: 10.97.0.10", 19, ["clusters.east.dns", "no host's address in 10.96.0.0/16"]),
    "dns no address": ("dns: 10.96.0.10", "dns: coredns", 19, ["'coredns' is not an IPv4 address"]),
    "address taken": ("192.168.20.50", "192.168.20.1", 0, ["192.168.20.1 belongs to r-east"]),
    "address elsewhere": ("192.168.20.50", "192.168.21.50", 23, ["192.168.21.50 is no host's address"]),
    "unknown router": ("[middle, r-east]", "[midle, r-east]", 29, ["links[1].between", "'midle' is no router", "did you mean 'middle'?"]),
    "a node in a link": ("[middle, r-east]", "[middle, w-1]", 29, ["'w-1' is no router"]),
    "link to itself": ("[middle, r-east]", "[middle, middle]", 29, ["are not two ends"]),
    "joined twice": ("[middle, r-east]", "[middle, r-west]", 0, ["are joined twice"]),
    "same as": ("asn: 64513", "asn: 64512", 16, ["AS number 64512 is that of west already"]),
    "as of a router": ("asn: 65000", "asn: 64512", 26, ["AS number 64512"]),
    "as too large": ("asn: 64513", "asn: 99999999999", 16, ["99999999999", "whole number"]),
    "shared router": ("router: r-east", "router: r-west", 20, ["'r-west' serves west already"]),
    "router of a cluster": ("  middle: {asn: 65000}", "  middle: {asn: 65000}\n  r-west: {asn: 65001}", 27, ["belongs to the cluster west"]),
    "hold without unit": ("hold: 9s", "hold: 9", 3, ["bgp.hold", "has no unit", '"90s"']),
    "hold too short": ("hold: 9s, keepalive: 3s", "hold: 2s, keepalive: 1s", 3, ["RFC 4271 allows 3s"]),
    "keepalive above hold": ("keepalive: 3s", "keepalive: 9s", 3, ["bgp.keepalive", "not below the hold time"]),
    "half seconds": ("retry: 3s", "retry: 500ms", 3, ["whole number of seconds"]),
    "mtu too small": ("underlay: 1550", "underlay: 100", 2, ["mtu.underlay", "outside 576 to 65535"]),
    "mtu in words": ("underlay: 1550", "underlay: large", 2, ["'large'"]),
    "unknown overlay": ("overlay: vxlan", "overlay: geneve", 21, ["'geneve' is not known", "none, vxlan"]),
    "missing field": ("    dns: 10.96.0.10\n", "", 15, ["clusters.east", "the field 'dns' is missing"]),
    "no clusters": ("clusters:", "clusterss:", 4, ["unknown field 'clusterss'", "did you mean 'clusters'?"]),
    "clusters a list": (GOOD[GOOD.index("clusters:") : GOOD.index("routers:")], "clusters: []\n", 4, ["[] is not a mapping"]),
    "clusters empty": (GOOD[GOOD.index("clusters:") :], "clusters: {}\n", 4, ["there is no cluster"]),
    "nodes a list": ("      w-1: {pods: 10.0.1.0/24}\n      w-2: {pods: 10.0.2.0/24, cni: kubenet}\n", "      - w-1\n", 12, ["is not a mapping"]),
    "name with a slash": ("e-1: {", "e/1: {", 23, ["'e/1' is not a name"]),
    "name with a quote": ("name: small", 'name: "sm\'all; drop"', 1, ["is not a name"]),
    "name a number": ("name: small", "name: 7", 1, ["7 is not a name"]),
    "manifest a number": ("[east.yaml]", "[7]", 24, ["7 is not a path"]),
    "domain": ("router: r-east", "router: r-east\n    domain: .local", 21, ["'.local' is not a DNS domain"]),
    "tab": ("    asn: 64513", "\tasn: 64513", 16, []),
    "not yaml": ("name: small", "name: [small", 0, []),
    "two documents": ("routers:\n", "---\nrouters:\n", 0, ["2 YAML documents"]),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence_with_file_line_field_and_value(mistake: str) -> None:
    before, after, line, words = MISTAKES[mistake]
    assert GOOD.count(before) >= 1
    with pytest.raises(InputError) as caught:
        topology.parse(GOOD.replace(before, after, 1), "labs/small.yaml")
    sentence = str(caught.value)
    assert caught.value.exit == 2
    assert sentence.startswith("labs/small.yaml")
    assert "\n" not in sentence
    for word in words:
        assert word in sentence
    if line:
        assert f"labs/small.yaml line {line}:" in sentence or f"labs/small.yaml: line {line}:" in sentence


@pytest.mark.parametrize("text", ["", "[]", "7", "null", "name: x", "- name: x", "name: x\nclusters: 5", "\x00", "a: &a [*a]"])
def test_what_is_no_topology_at_all_is_one_sentence(text: str) -> None:
    with pytest.raises(InputError) as caught:
        topology.parse(text, "x.yaml")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"nothing\.yaml: the topology file cannot be read: No such file or directory; check the path"
    ):
        topology.load(tmp_path / "nothing.yaml")
