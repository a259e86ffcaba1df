"""What is to be built for a topology: nothing clashes, nothing is missing, everything fits the kernel."""

from collections import Counter
from ipaddress import IPv4Address, IPv4Network

import pytest

from chaosnet.lab import blueprint, census, topology
from chaosnet.lab.blueprint import Blueprint
from chaosnet.lab.furnish import furnish
from chaosnet.shipped import experiments

LABS = sorted((experiments() / "labs").glob("*.yaml"))


def whole(found: topology.Topology) -> Blueprint:
    pods = [pod for pod in census.pods(furnish(found)) if not pod.host_network]
    plans = [blueprint.pod(found, pod.cluster, pod.namespace, pod.name, pod.node, pod.addresses[0]) for pod in pods]
    return blueprint.join([blueprint.ground(found), *plans])


def devices(plan: Blueprint) -> list[blueprint.Device]:
    ends = [end for cable in plan.cables for end in (cable.a, cable.b)]
    return [*ends, *(bridge.device for bridge in plan.bridges), *(tunnel.device for tunnel in plan.tunnels)]


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
def test_no_two_devices_share_name_or_index(path: object) -> None:
    plan = whole(topology.load(str(path)))
    all_of = devices(plan)
    assert not [key for key, times in Counter((d.namespace, d.name) for d in all_of).items() if times > 1]
    assert not [key for key, times in Counter((d.namespace, d.index) for d in all_of).items() if times > 1]
    assert all(len(device.name) <= 15 for device in all_of)  # IFNAMSIZ
    known = set(plan.namespaces)
    assert len(known) == len(plan.namespaces)
    assert {device.namespace for device in all_of} <= known


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
def test_what_is_put_on_a_device_finds_it(path: object) -> None:
    plan = whole(topology.load(str(path)))
    there = {(device.namespace, device.index) for device in devices(plan)}
    for each in (*plan.addresses, *plan.neighbours, *plan.routes):
        assert (each.namespace, each.index) in there
    for bridge in plan.bridges:
        assert {(bridge.device.namespace, port) for port in bridge.ports} <= there


def test_two_interfaces_on_one_segment_have_addresses_of_their_own() -> None:
    plan = whole(topology.load(experiments() / "labs" / "two-clusters.yaml"))
    on_wires = [device.mac for device in devices(plan) if device.mac != blueprint.POD_GATEWAY_MAC]
    assert len(set(on_wires)) == len(on_wires)


def test_a_pod_is_routed_as_calico_does() -> None:
    found = topology.load(experiments() / "labs" / "two-clusters.yaml")
    plan = blueprint.pod(found, "test", "shop", "client-0", "test-1", "10.0.1.5")
    (cable,) = plan.cables
    assert (cable.a.namespace, cable.a.name, cable.mtu) == ("test/shop/client-0", "eth0", 1500)
    assert (cable.b.namespace, cable.b.name, cable.b.mac) == ("test/test-1", "pod5", "ee:ee:ee:ee:ee:ee")
    assert [(route.namespace, route.destination, route.via) for route in plan.routes] == [
        ("test/shop/client-0", "169.254.1.1/32", ""),
        ("test/shop/client-0", "0.0.0.0/0", "169.254.1.1"),
        ("test/test-1", "10.0.1.5/32", ""),
    ]


def test_an_address_from_elsewhere_gets_a_device_of_its_own() -> None:
    found = topology.load(experiments() / "labs" / "two-clusters.yaml")
    network = IPv4Network(found.node("test", "test-1").pods)
    own = {blueprint.host_device(found, "test", "test-1", str(address)) for address in list(network)[2:]}
    strange = {blueprint.host_device(found, "test", "test-1", str(IPv4Address("172.16.0.1") + n)) for n in range(300)}
    names, indexes = {name for name, _ in own | strange}, {index for _, index in own | strange}
    assert len(names) == len(indexes) == len(own) + len(strange)


def test_an_overlay_leads_to_every_other_node() -> None:
    text = (experiments() / "labs" / "two-clusters.yaml").read_text()
    found = topology.parse(text.replace("overlay: none", "overlay: vxlan"), str(experiments() / "labs" / "x.yaml"))
    plan = blueprint.ground(found)
    assert len(plan.tunnels) == 6
    first = plan.tunnels[0]
    assert (first.mtu, first.local, first.over) == (1500, "192.168.10.11", 2)
    assert {outer for _, _, outer in first.peers} == {"192.168.10.12", "192.168.10.13"}
    assert len({tunnel.number for tunnel in plan.tunnels}) == 2
    onward = [route for route in plan.routes if route.namespace == "test/test-1" and route.onlink]
    assert {(route.destination, route.via) for route in onward} == {("10.0.2.0/24", "10.0.2.0"), ("10.0.3.0/24", "10.0.3.0")}


@pytest.mark.parametrize(
    "name", ["lo", "eth0", "all", "default", "bridge0", "worker-node-17-in-frankfurt", "worker-node-18-in-frankfurt"]
)
def test_ports_are_named_after_who_is_at_the_other_end(name: str) -> None:
    made = blueprint.port_name(name)
    assert len(made) <= 15
    assert made not in ("lo", "eth0", "all", "default", "bridge0")
    assert made.startswith(name[:8])


def test_long_names_stay_apart() -> None:
    assert len({blueprint.port_name(f"worker-node-{n}-in-frankfurt") for n in range(500)}) == 500
