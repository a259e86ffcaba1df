"""Builds what a blueprint says: every namespace's requests in one batch, twice (interfaces first, then what is on them).

Nothing is asked back from the kernel: interfaces carry the indexes the blueprint gave them.  What to build is decided in
:mod:`chaosnet.lab.blueprint`.
"""

import os
from collections import defaultdict

from chaosnet.lab.blueprint import Blueprint
from chaosnet.targets.lab import netlink
from chaosnet.targets.lab.namespaces import Namespaces, write_sysctl

_LOOPBACK = 1


def build(namespaces: Namespaces, plan: Blueprint) -> None:
    """Make everything in ``plan``; TargetError where the kernel refuses a part (what was built before stays)."""
    namespaces.create(*(name for name in plan.namespaces if name not in namespaces))
    _settings(namespaces, plan)
    first: dict[str, list[bytes]] = defaultdict(list)
    second: dict[str, list[bytes]] = defaultdict(list)
    for name in plan.namespaces:
        first[name].append(netlink.change_link(_LOOPBACK, up=True))
    for bridge in plan.bridges:
        device = bridge.device
        first[device.namespace].append(netlink.bridge(device.name, bridge.mtu, device.mac, device.index))
        second[device.namespace] += [netlink.change_link(port, master=device.index) for port in bridge.ports]
    for cable in plan.cables:
        # Made from the far end, a node's or router's: their many cables go in one batch.
        first[cable.b.namespace].append(netlink.veth(cable.b, cable.a, cable.mtu, namespaces.descriptor(cable.a.namespace)))
        second[cable.a.namespace].append(netlink.change_link(cable.a.index, up=True))
    for tunnel in plan.tunnels:
        device = tunnel.device
        second[device.namespace].append(
            netlink.vxlan(device.name, tunnel.mtu, device.mac, device.index, tunnel.number, tunnel.local, tunnel.over)
        )
        second[device.namespace] += [netlink.forwarding(device.index, mac, outer) for mac, _, outer in tunnel.peers]
    for each in plan.addresses:
        second[each.namespace].append(netlink.address(each.index, each.address, each.prefix))
    for near in plan.neighbours:
        second[near.namespace].append(netlink.neighbour(near.index, near.address, near.mac))
    for way in plan.routes:
        second[way.namespace].append(
            netlink.route(way.destination, index=way.index, via=way.via, source=way.source, onlink=way.onlink)
        )
    for batch in (first, second):
        for name, requests in batch.items():
            namespaces.netlink(name).send(*requests)


# Where br_netfilter is loaded, what a router's bridge merely switches would pass the router's rules too, and a fault there
# would hit traffic that stays inside its cluster (Linux, Documentation/networking/bridge.rst).  Not loaded, they are absent.
_SWITCHED = tuple(f"net.bridge.bridge-nf-call-{family}" for family in ("iptables", "ip6tables", "arptables"))


def _settings(namespaces: Namespaces, plan: Blueprint) -> None:
    for name in {bridge.device.namespace for bridge in plan.bridges}:
        with namespaces.inside(name):
            for key in _SWITCHED:
                if os.path.exists("/proc/sys/" + key.replace(".", "/")):
                    write_sysctl(key, "0", name)
    by_name: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name, key, value in plan.sysctls:
        by_name[name].append((key, value))
    for name, settings in by_name.items():
        with namespaces.inside(name):
            for key, value in settings:
                write_sysctl(key, value, name)
