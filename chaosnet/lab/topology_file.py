"""Reads a topology file and refuses what cannot be built, with file, line, field and value.

YAML text to the values of :mod:`chaosnet.lab.topology`.  Of the file system it reads the one file; manifests that the file
names are not opened.
"""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from chaosnet.errors import InputError
from chaosnet.lab.manifests import load_yaml
from chaosnet.lab.topology import CNIS, OVERLAYS, VXLAN_OVERHEAD, Bgp, Cluster, Link, Node, Router, Topology
from chaosnet.model import units

_MOST_NODES = 250
_LARGEST = 4 * 2**20
_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,40}[a-z0-9])?", re.ASCII)
_DOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?", re.ASCII)
# Link-local and reserved space: no host of a lab lives there.
_NOT_FOR_HOSTS = tuple(map(IPv4Network, ("127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")))


def load(path: Path | str) -> Topology:
    """The topology in a file; InputError where it cannot be read or built."""
    path = Path(path)
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # a device or a pipe may never end
            raise InputError(str(path), "this is no regular file", "name a topology file")
        with path.open("rb") as file:
            text = file.read(_LARGEST + 1)
    except OSError as error:
        raise InputError(str(path), f"the topology file cannot be read: {error.strerror}", "check the path") from None
    if len(text) > _LARGEST:
        raise InputError(str(path), f"it is larger than {_LARGEST >> 20} MB", "a topology is a few kilobytes")
    return parse(text, str(path))


def parse(text: str | bytes, file: str) -> Topology:
    """The topology that YAML ``text`` writes; ``file`` is where it stands: manifests' paths are relative to it."""
    documents = load_yaml(text, file)
    if len(documents) != 1:
        raise InputError(file, f"it holds {len(documents)} YAML documents", "a topology is one document")
    return _Reader(file, text).topology(documents[0])


class _Reader:
    """Turns plain YAML values into a topology.  ``path`` is the list of keys to a value: it becomes place and line."""

    def __init__(self, file: str, text: str | bytes) -> None:
        self.file, self.text = file, text

    def wrong(self, path: Sequence[str | int], problem: str, remedy: str = "") -> InputError:
        """The error for the value at ``path``."""
        line = _line(self.text, path)
        words = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).lstrip(".")
        return InputError(f"{self.file}{f' line {line}' if line else ''}: {words or 'topology'}", problem, remedy)

    def fields(self, value: object, path: Sequence[str | int], known: Sequence[str], need: Sequence[str] = ()) -> dict[str, Any]:
        """``value`` as a mapping with known fields only."""
        found = self.mapping(value, path)
        for key in found:
            if key not in known:
                near = difflib.get_close_matches(key, known, 1)
                remedy = f"did you mean {near[0]!r}?" if near else f"use {', '.join(known)}"
                raise self.wrong([*path, key], f"unknown field {key!r}", remedy)
        for key in need:
            if key not in found:
                raise self.wrong(path, f"the field {key!r} is missing", "add it")
        return found

    def mapping(self, value: object, path: Sequence[str | int]) -> dict[str, Any]:
        """``value`` as a mapping with text keys."""
        if not isinstance(value, dict):
            raise self.wrong(path, f"{_show(value)} is not a mapping", "write key: value pairs")
        for key in value:
            if not isinstance(key, str):
                raise self.wrong(path, f"the key {key!r} is not text", "quote it")
        return value

    def items(self, value: object, path: Sequence[str | int]) -> list[Any]:
        """``value`` as a list."""
        if not isinstance(value, list):
            raise self.wrong(path, f"{_show(value)} is not a list", "begin each entry with a dash")
        return value

    def name(self, value: object, path: Sequence[str | int]) -> str:
        """``value`` as a name: of cluster, node or router."""
        if not isinstance(value, str) or not _NAME.fullmatch(value):
            raise self.wrong(path, f"{_show(value)} is not a name", "use up to 42 small letters, digits and inner hyphens")
        return value

    def units(self, parse: Any, value: object, path: Sequence[str | int], **options: Any) -> Any:
        """``value`` by one of the parsers of :mod:`chaosnet.model.units`, with our place in its error."""
        try:
            return parse(value, "", **options)
        except InputError as error:
            raise self.wrong(path, error.problem, error.remedy) from None

    def choice(self, value: object, path: Sequence[str | int], allowed: tuple[str, ...]) -> str:
        """``value`` as one of ``allowed``."""
        return str(self.units(lambda v, place: units.choice(v, place, allowed), value, path))

    def network(self, value: object, path: Sequence[str | int], longest: int = 30) -> IPv4Network:
        """``value`` as an IPv4 network with no host bits and room for hosts."""
        try:
            if not isinstance(value, str) or "/" not in value:
                raise ValueError("it is not text like 10.0.1.0/24")
            network = IPv4Network(value)
        except ValueError as error:
            raise self.wrong(path, f"{_show(value)} is not an IPv4 network ({error})", "write it like 10.0.1.0/24") from None
        if not 4 <= network.prefixlen <= longest:
            raise self.wrong(path, f"{value} is too large or too small", f"use a prefix from /4 to /{longest}")
        if any(network.overlaps(other) for other in _NOT_FOR_HOSTS):
            raise self.wrong(path, f"{value} is not for hosts' addresses", "use a private range, such as one in 10.0.0.0/8")
        return network

    def host(self, value: object, network: IPv4Network, path: Sequence[str | int]) -> str:
        """``value`` as a host's address in ``network``."""
        try:
            address = IPv4Address(value) if isinstance(value, str) else None
        except ValueError:
            address = None
        if address is None:
            raise self.wrong(path, f"{_show(value)} is not an IPv4 address", f"use one of {network}")
        if address not in network or address in (network.network_address, network.broadcast_address):
            raise self.wrong(path, f"{value} is no host's address in {network}", "choose one inside")
        return str(address)

    def topology(self, document: object) -> Topology:
        """The whole file."""
        top = self.fields(document, [], ("name", "mtu", "bgp", "clusters", "routers", "links"), ("name", "clusters"))
        mtu = self.fields(top.get("mtu") or {}, ["mtu"], ("pods", "underlay"))
        underlay = self.units(units.mtu, mtu.get("underlay", 1550), ["mtu", "underlay"])
        pods = self.units(units.mtu, mtu.get("pods", 1500), ["mtu", "pods"])
        clusters = tuple(
            self.cluster(name, value, pods, underlay) for name, value in self.mapping(top["clusters"], ["clusters"]).items()
        )
        if not clusters:
            raise self.wrong(["clusters"], "there is no cluster", "add one")
        routers = self.routers(top.get("routers") or {}, clusters)
        links = tuple(
            self.link(value, ["links", index], underlay, routers)
            for index, value in enumerate(self.items(top.get("links") or [], ["links"]))
        )
        name, bgp = self.name(top["name"], ["name"]), self.bgp(top.get("bgp") or {})
        topology = Topology(name, underlay, bgp, clusters, tuple(routers.values()), links, self.file)
        self.no_name_twice(topology)
        self.no_range_twice(topology)
        return topology

    def bgp(self, value: object) -> Bgp:
        """The timers, with RFC 4271's floor of 3 s for the hold time."""
        found = self.fields(value, ["bgp"], ("hold", "keepalive", "retry"))
        seconds = {}
        for key, text in found.items():
            amount = self.units(units.duration, text, ["bgp", key])
            if amount != int(amount) or not 1 <= amount <= 3600:
                raise self.wrong(["bgp", key], f"{_show(text)} is not a whole number of seconds", "give 1s to 3600s")
            seconds[key] = int(amount)
        if "hold" in seconds and "keepalive" not in seconds:
            seconds["keepalive"] = max(1, seconds["hold"] // 3)
        timers = Bgp(**seconds)
        if timers.hold < 3:
            raise self.wrong(["bgp", "hold"], f"a hold time of {timers.hold} s is below 3 s", "RFC 4271 allows 3s and more")
        if timers.keepalive >= timers.hold:
            raise self.wrong(
                ["bgp", "keepalive"], f"{timers.keepalive} s is not below the hold time of {timers.hold} s", "use a third of it"
            )
        return timers

    def cluster(self, key: str, value: object, pods: int, underlay: int) -> Cluster:
        """One cluster and its nodes."""
        path = ["clusters", key]
        name = self.name(key, path)
        found = self.fields(
            value, path,
            ("cni", "asn", "network", "services", "dns", "domain", "router", "overlay", "mtu", "nodes", "manifests"),
            ("asn", "network", "services", "dns", "router", "nodes"),
        )  # fmt: skip
        cni = self.choice(found.get("cni", "kubernetes"), [*path, "cni"], CNIS)
        network = self.network(found["network"], [*path, "network"], 28)
        services = self.network(found["services"], [*path, "services"], 28)
        overlay = self.choice(found.get("overlay", "none"), [*path, "overlay"], OVERLAYS)
        largest = underlay - (VXLAN_OVERHEAD if overlay == "vxlan" else 0)
        mtu = self.units(units.mtu, found.get("mtu", min(pods, largest)), [*path, "mtu"])
        domain = found.get("domain", "cluster.local")
        if not isinstance(domain, str) or not _DOMAIN.fullmatch(domain) or ".." in domain:
            raise self.wrong([*path, "domain"], f"{_show(domain)} is not a DNS domain", "write it like cluster.local")
        manifests = []
        for index, entry in enumerate(self.items(found.get("manifests") or [], [*path, "manifests"])):
            if not isinstance(entry, str) or not entry:
                raise self.wrong([*path, "manifests", index], f"{_show(entry)} is not a path", "name a file or a folder")
            manifests.append(str((Path(self.file).parent / entry).resolve()))
        nodes = self.mapping(found["nodes"], [*path, "nodes"])
        if not 1 <= len(nodes) <= _MOST_NODES:
            raise self.wrong([*path, "nodes"], f"{len(nodes)} nodes", f"a cluster has 1 to {_MOST_NODES}")
        return Cluster(
            name=name,
            cni=cni,
            asn=self.asn(found["asn"], [*path, "asn"]),
            network=str(network),
            services=str(services),
            dns=self.host(found["dns"], services, [*path, "dns"]),
            domain=domain,
            router=self.name(found["router"], [*path, "router"]),
            gateway=str(network[1]),
            overlay=overlay,
            mtu=mtu,
            nodes=tuple(self.node(name, cni, network, i, k, v) for i, (k, v) in enumerate(nodes.items())),
            manifests=tuple(manifests),
        )

    def asn(self, value: object, path: Sequence[str | int]) -> int:
        """An AS number that four bytes hold (RFC 6793)."""
        return int(self.units(units.count, value, path, low=1, high=2**31 - 1))

    def node(self, cluster: str, cni: str, network: IPv4Network, index: int, key: str, value: object) -> Node:
        """One node; without an address of its own it gets the eleventh and following of the cluster's network."""
        path = ["clusters", cluster, "nodes", key]
        name = self.name(key, path)
        found = self.fields(value, path, ("pods", "cni", "address"), ("pods",))
        pods = self.network(found["pods"], [*path, "pods"])
        if "address" in found:
            address = self.host(found["address"], network, [*path, "address"])
        elif 11 + index < network.num_addresses - 1:
            address = str(network[11 + index])
        else:
            raise self.wrong(path, f"{network} has no address left for it", "use a larger network")
        return Node(name, cluster, str(pods), address, self.choice(found.get("cni", cni), [*path, "cni"], CNIS))

    def routers(self, value: object, clusters: tuple[Cluster, ...]) -> dict[str, Router]:
        """The routers that clusters name, and those of the ``routers`` block, which have an AS of their own."""
        found: dict[str, Router] = {}
        for cluster in clusters:
            if cluster.router in found:
                raise self.wrong(
                    ["clusters", cluster.name, "router"],
                    f"{cluster.router!r} serves {found[cluster.router].cluster} already",
                    "use another",
                )
            found[cluster.router] = Router(cluster.router, cluster.asn, cluster.name)
        for key, entry in self.mapping(value, ["routers"]).items():
            path = ["routers", key]
            if key in found:
                raise self.wrong(path, f"{key!r} belongs to the cluster {found[key].cluster}", "its AS is the cluster's")
            fields = self.fields(entry, path, ("asn",), ("asn",))
            found[self.name(key, path)] = Router(key, self.asn(fields["asn"], [*path, "asn"]), "")
        return found

    def link(self, value: object, path: Sequence[str | int], underlay: int, routers: Mapping[str, Router]) -> Link:
        """One link between two routers."""
        found = self.fields(value, path, ("between", "network", "mtu"), ("between", "network"))
        ends = self.items(found["between"], [*path, "between"])
        if len(ends) != 2 or ends[0] == ends[1]:
            raise self.wrong([*path, "between"], f"{_show(ends)} are not two ends", "name two routers")
        for end in ends:
            if end not in routers:
                near = difflib.get_close_matches(str(end), list(routers), 1)
                remedy = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(routers)}"
                raise self.wrong([*path, "between"], f"{_show(end)} is no router", remedy)
        network = self.network(found["network"], [*path, "network"], 30)
        mtu = self.units(units.mtu, found.get("mtu", underlay), [*path, "mtu"])
        return Link(ends[0], ends[1], str(network), mtu, str(network[1]), str(network[2]))

    def no_name_twice(self, topology: Topology) -> None:
        """Nodes and routers share one space of names: links are pairs of them."""
        seen: set[str] = {router.name for router in topology.routers}
        for node in topology.nodes:
            if node.name in seen:
                raise self.wrong(
                    ["clusters", node.cluster, "nodes", node.name],
                    f"the name {node.name!r} stands twice",
                    "names of nodes and routers are unique",
                )
            seen.add(node.name)
        numbers: dict[int, str] = {}
        for router in topology.routers:
            path = ["clusters", router.cluster, "asn"] if router.cluster else ["routers", router.name, "asn"]
            if router.asn in numbers:
                # BGP drops a route whose path holds its own AS (RFC 4271 section 9.1.2).
                problem = f"the AS number {router.asn} is that of {numbers[router.asn]} already"
                raise self.wrong(path, problem, "give each an AS of its own")
            numbers[router.asn] = router.cluster or router.name
        pairs: set[frozenset[str]] = set()
        for index, link in enumerate(topology.links):
            if frozenset((link.a, link.b)) in pairs:
                raise self.wrong(["links", index], f"{link.a} and {link.b} are joined twice", "keep one link")
            pairs.add(frozenset((link.a, link.b)))

    def no_range_twice(self, topology: Topology) -> None:
        """No two ranges overlap, and no two nodes have one address."""
        ranges: list[tuple[IPv4Network, list[str | int]]] = []
        for path, text in _ranges(topology):
            network = IPv4Network(text)
            for other, where in ranges:
                if network.overlaps(other):
                    raise self.wrong(
                        path, f"{network} overlaps {other} of {'.'.join(map(str, where))}", "use ranges of their own"
                    )
            ranges.append((network, path))
        for cluster in topology.clusters:
            taken = {cluster.gateway: cluster.router}
            for node in cluster.nodes:
                if node.address in taken:
                    raise self.wrong(
                        ["clusters", cluster.name, "nodes", node.name],
                        f"{node.address} belongs to {taken[node.address]}",
                        "choose another",
                    )
                taken[node.address] = node.name


def _ranges(topology: Topology) -> Iterator[tuple[list[str | int], str]]:
    for cluster in topology.clusters:
        yield ["clusters", cluster.name, "network"], cluster.network
        yield ["clusters", cluster.name, "services"], cluster.services
        for node in cluster.nodes:
            yield ["clusters", cluster.name, "nodes", node.name, "pods"], node.pods
    for index, link in enumerate(topology.links):
        yield ["links", index, "network"], link.network


def _line(text: str | bytes, path: Sequence[str | int]) -> int:
    """The line where the value at ``path`` stands, or the nearest thing above it that is there."""
    import yaml

    node = yaml.compose(text, Loader=yaml.SafeLoader)
    line = 0
    for key in path:
        if isinstance(node, yaml.MappingNode):
            for name, value in node.value:
                if name.value == str(key):
                    line, node = name.start_mark.line + 1, value
                    break
            else:
                break
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
            line = node.start_mark.line + 1
        else:
            break
    return line


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
