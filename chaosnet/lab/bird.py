"""The routing daemons' files, and the routes that must follow from them.  Pure text and values; starts nothing.

Inside a cluster every node and the router peer with each other (iBGP, full mesh); routers peer along their links (eBGP).
A node announces its pod range, and each ClusterIP that has a ready backend on it; a router announces its networks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_network

from chaosnet.lab.topology import Bgp, Topology

#: Speaker (the name of its network namespace) → prefixes it announces of itself.
Announced = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a session: its plain name, namespace and address, both AS numbers and our own address."""

    name: str
    namespace: str
    address: str
    asn: int
    local: str
    local_asn: int


def speakers(topology: Topology) -> tuple[str, ...]:
    """The namespaces that run BIRD: every router and every node."""
    return (*(router.name for router in topology.routers), *(node.namespace for node in topology.nodes))


def peers(topology: Topology, speaker: str) -> tuple[Peer, ...]:
    """The sessions of a speaker."""
    found: list[Peer] = []
    for cluster in topology.clusters:
        members = [(cluster.router, cluster.router, cluster.gateway)]
        members += [(node.name, node.namespace, node.address) for node in cluster.nodes]
        own = next((address for _, namespace, address in members if namespace == speaker), "")
        if own:
            found += [
                Peer(name, namespace, address, cluster.asn, own, cluster.asn)
                for name, namespace, address in members
                if namespace != speaker
            ]
    for link in topology.links:
        ends = ((link.a, link.a_address, link.b, link.b_address), (link.b, link.b_address, link.a, link.a_address))
        for here, local, there, address in ends:
            if here == speaker:
                found.append(Peer(there, there, address, topology.router(there).asn, local, topology.router(here).asn))
    return tuple(found)


def session_name(name: str) -> str:
    """The name of the session with ``name`` in BIRD's file: a symbol there, so letters, digits and underscores."""
    return "to_" + name.replace("-", "_")


def networks(topology: Topology, router: str) -> tuple[str, ...]:
    """The networks a router is attached to."""
    return (
        *(cluster.network for cluster in topology.clusters if cluster.router == router),
        *(link.network for link in topology.links if router in (link.a, link.b)),
    )


def ranges(topology: Topology, services: Announced) -> dict[str, tuple[str, ...]]:
    """What every speaker announces of itself: routers their networks, nodes their pod range and then ``services``."""
    found = {router.name: networks(topology, router.name) for router in topology.routers}
    for node in topology.nodes:
        found[node.namespace] = (node.pods, *(f"{address}/32" for address in services.get(node.namespace, ())))
    return found


def render(topology: Topology, speaker: str, services: tuple[str, ...] = ()) -> str:
    """BIRD's file for one speaker.  ``services`` are the ClusterIPs that it announces, if it is a node."""
    sessions = peers(topology, speaker)
    node = next((node for node in topology.nodes if node.namespace == speaker), None)
    own = sessions[0].local if sessions else (node.address if node else topology.router_addresses(speaker)[0])
    lines = [
        "log stderr { warning, error, fatal, bug };",
        f"router id {IPv4Address(own)};",
        "timeformat protocol iso long;",
        "protocol device { }",
    ]
    if node is not None:
        lines += ["protocol static announced {", "  ipv4;", f"  route {ip_network(node.pods)} blackhole;"]
        lines += [f"  route {IPv4Address(address)}/32 blackhole;" for address in services]
        lines += ["}"]
    else:
        lines += ["protocol direct { ipv4; }"]
    lines += [
        "protocol kernel {",
        "  merge paths on;",
        f"  ipv4 {{ import none; export {_to_kernel(topology, speaker)}; }};",
        "}",
    ]
    for peer in sessions:
        lines += _session(topology, speaker, peer, topology.bgp)
    return "\n".join(lines) + "\n"


def _to_kernel(topology: Topology, speaker: str) -> str:
    """Learned routes go to the kernel, but for pod ranges that an overlay carries: those have routes of their own."""
    over = _overlaid(topology, speaker)
    if over:
        return f"where source = RTS_BGP && !(net ~ [ {', '.join(sorted(over))} ])"
    return "where source = RTS_BGP"


def _overlaid(topology: Topology, speaker: str) -> frozenset[str]:
    return frozenset(
        other.pods
        for cluster in topology.clusters
        if cluster.overlay == "vxlan" and any(node.namespace == speaker for node in cluster.nodes)
        for other in cluster.nodes
    )


def _session(topology: Topology, speaker: str, peer: Peer, timers: Bgp) -> list[str]:
    inside = peer.asn == peer.local_asn
    export = "source ~ [ RTS_STATIC, RTS_DEVICE, RTS_BGP ]"
    if inside:
        # The mesh is one network, which every member is on already.
        shared = next(c.network for c in topology.clusters if c.asn == peer.asn)
        export = f"{export} && net != {ip_network(shared)}"
    return [
        f"protocol bgp {session_name(peer.name)} {{",
        f"  local {IPv4Address(peer.local)} as {peer.local_asn};",
        f"  neighbor {IPv4Address(peer.address)} as {peer.asn};",
        "  direct;",
        f"  hold time {timers.hold};",
        f"  keepalive time {timers.keepalive};",
        f"  connect retry time {timers.retry};",
        # The end with the higher address dials and the other waits for it: no collisions, and who listens is known.
        f"  connect delay time {1 if IPv4Address(peer.local) > IPv4Address(peer.address) else 1 + timers.retry};",
        f"  error wait time 1, {max(1, timers.retry)};",
        f"  ipv4 {{ import all; export where {export};{' next hop self ebgp;' if inside else ''} }};",
        "}",
    ]


def expected(topology: Topology, services: Announced) -> dict[str, frozenset[str]]:
    """Speaker → destinations that BGP must have put in its kernel table once everything has converged."""
    announced = ranges(topology, services)
    area = _areas(topology)
    found: dict[str, frozenset[str]] = {}
    for speaker in speakers(topology):
        home = next((c.network for c in topology.clusters if any(n.namespace == speaker for n in c.nodes)), "")
        known = {*announced[speaker], home} | _overlaid(topology, speaker)
        found[speaker] = frozenset(
            prefix
            for other, prefixes in announced.items()
            if other != speaker and area[other] == area[speaker]
            for prefix in prefixes
            if prefix not in known
        )
    return found


def _areas(topology: Topology) -> dict[str, str]:
    """Speaker → a name shared by all that it is connected to, directly or not."""
    area = {speaker: speaker for speaker in speakers(topology)}
    pairs = [(cluster.router, node.namespace) for cluster in topology.clusters for node in cluster.nodes]
    pairs += [(link.a, link.b) for link in topology.links]
    for a, b in pairs:
        old, new = area[b], area[a]
        area = {speaker: new if name == old else name for speaker, name in area.items()}
    return area
