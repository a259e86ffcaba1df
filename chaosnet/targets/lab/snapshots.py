"""What a lab is like, as text by key, without what moves by itself: two snapshots differ exactly where something was changed.

Left out: counters, handles, time left, the elements of dynamic sets, and how long BIRD has had a route.  What the network
learned (path MTU, conntrack, neighbours) is not state of ours and not here.  One dump a namespace and kind; it compares
nothing.
"""

import json
import os
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from chaosnet.model.inventory import Site
from chaosnet.targets.lab.namespaces import Namespaces
from chaosnet.targets.lab.netlink import Link, Netlink

if TYPE_CHECKING:
    from chaosnet.targets.lab.lab import Lab

# Settings that faults change or that decide about path MTU and forwarding.
SETTINGS = (
    "net.ipv4.ip_forward",
    "net.ipv4.ip_no_pmtu_disc",
    "net.ipv4.ip_forward_use_pmtu",
    "net.ipv4.tcp_mtu_probing",
    "net.ipv4.tcp_base_mss",
    "net.ipv4.tcp_min_snd_mss",
    "net.ipv4.route.min_pmtu",
    "net.ipv4.route.mtu_expires",
    "net.ipv4.conf.all.rp_filter",
    "net.ipv4.icmp_ratelimit",
)
_MOVING = frozenset({"handle", "expires", "packets", "bytes"})
_KERNEL_KINDS = {1: "", 6: "blackhole ", 7: "unreachable ", 8: "prohibit ", 9: "throw "}


def take(lab: "Lab") -> dict[str, str]:
    """The whole lab."""
    found: dict[str, str] = {}
    for namespace in lab.namespaces.names:
        found |= of_namespace(lab.namespaces, namespace)
    found |= {f"object {key}": text for key, text in lab.store.snapshot().items()}
    for site in _sites(lab):
        found |= {f"role {role} at {site}": "runs" if runs else "stopped" for role, runs in lab.daemons.state(site).items()}
    return found


def _sites(lab: "Lab") -> list[Site]:
    inventory = lab.inventory()
    nodes = [Site(node.role, node.cluster, "", node.name, node.name, node.addresses) for node in inventory.nodes]
    return nodes + [Site("pod", pod.cluster, pod.namespace, pod.name, pod.node, pod.addresses) for pod in inventory.pods]


def of_namespace(namespaces: Namespaces, namespace: str) -> dict[str, str]:
    """Rules, links, qdiscs, routes and settings of one namespace, by keys that begin with its name."""
    netlink = namespaces.netlink(namespace)
    links = netlink.links()
    found = {f"{namespace} nft {key}": text for key, text in rules(namespaces, namespace).items()}
    found |= {f"{namespace} link {link.name}": f"mtu {link.mtu} {'up' if link.up else 'down'}" for link in links}
    names = {link.index: link.name for link in links}
    for qdisc in netlink.qdiscs():
        key = f"{namespace} qdisc {names.get(qdisc.index, qdisc.index)} parent {qdisc.parent:x}"
        found[key] = f"{qdisc.kind} {qdisc.handle:x}"
    found[f"{namespace} routes"] = "\n".join(_routes(netlink, links))
    with namespaces.inside(namespace):
        found |= {f"{namespace} {key}": value for key, value in _settings().items()}
    return found


def rules(namespaces: Namespaces, namespace: str) -> dict[str, str]:
    """Every table of a namespace as JSON text, by family and name."""
    tables: dict[str, list[Any]] = defaultdict(list)
    for entry in namespaces.nft(namespace).list("list ruleset")["nftables"]:
        ((kind, item),) = entry.items()
        if kind == "metainfo":
            continue
        name = f"{item['family']} {item['name'] if kind == 'table' else item['table']}"
        if kind in ("set", "map", "meter") and "dynamic" in item.get("flags", ()):
            item = {key: value for key, value in item.items() if key != "elem"}
        tables[name].append({kind: _still(item)})
    return {name: json.dumps(entries, sort_keys=True) for name, entries in tables.items()}


def _still(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _still(item) for key, item in value.items() if key not in _MOVING}
    if isinstance(value, list):
        return [_still(item) for item in value]
    return value


def _routes(netlink: Netlink, links: tuple[Link, ...]) -> list[str]:
    names = {link.index: link.name for link in links}
    lines = []
    for route in netlink.routes():
        hops = ", ".join(sorted(f"{via or 'link'} dev {names.get(index, index)}" for via, index in route.hops))
        mtu = f" mtu {route.mtu}" if route.mtu else ""
        kind = _KERNEL_KINDS.get(route.kind, f"kind {route.kind} ")
        lines.append(f"{kind}{route.destination} via {hops} proto {route.protocol} metric {route.metric}{mtu}")
    return sorted(lines)


def _settings() -> dict[str, str]:
    """The settings of the namespace that this thread is in; those this kernel does not have are left out."""
    found = {}
    for key in SETTINGS:
        try:
            descriptor = os.open("/proc/sys/" + key.replace(".", "/"), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            found[key] = os.read(descriptor, 256).decode().strip()
        finally:
            os.close(descriptor)
    return found
