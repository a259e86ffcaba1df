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


def expected(topology: Topology, services: Announced) -> dict[str, dict[str, frozenset[str]]]:
    """Speaker → destination → next hops that BGP must have put in its kernel table once everything has converged.

    Inside a cluster the announcers themselves are the next hops (full mesh); elsewhere the way with the fewest AS, all of
    them where several are equally short.
    """
    found: dict[str, dict[str, frozenset[str]]] = {speaker: {} for speaker in speakers(topology)}
    announcers: dict[str, list[str]] = {}
    announced = ranges(topology, services)
    for speaker, prefixes in announced.items():
        for prefix in prefixes:
            announcers.setdefault(prefix, []).append(speaker)
    homes = {node.namespace: topology.cluster(node.cluster) for node in topology.nodes}
    away = {origin: _distances(topology, origin) for origin in (router.name for router in topology.routers)}
    for prefix, origins in announcers.items():
        gates = {homes[origin].router if origin in homes else origin for origin in origins}
        for speaker, table in found.items():
            home = homes.get(speaker)
            if speaker in origins or (home and prefix == home.network) or prefix in _overlaid(topology, speaker):
                continue
            router = home.router if home else speaker
            near = [peer for peer in peers(topology, speaker) if peer.namespace in origins and peer.asn == peer.local_asn]
            if near:
                hops = {peer.address for peer in near}
            elif not any(router in away[gate] for gate in gates):
                continue
            elif home:
                hops = {home.gateway}
            else:
                hops = _towards(topology, router, [away[gate] for gate in gates])
            table[prefix] = frozenset(hops)
    return found


def _distances(topology: Topology, origin: str) -> dict[str, int]:
    """Router → how many links it is from ``origin``: every router has an AS of its own."""
    found, waiting = {origin: 0}, [origin]
    while waiting:
        here = waiting.pop(0)
        for link in topology.links:
            for near, far in ((link.a, link.b), (link.b, link.a)):
                if near == here and far not in found:
                    found[far] = found[here] + 1
                    waiting.append(far)
    return found


def _towards(topology: Topology, router: str, away: list[dict[str, int]]) -> set[str]:
    """The neighbours of a router that are nearest to any of several origins."""
    unreachable = len(topology.routers)
    found = {}
    for link in topology.links:
        for near, far, address in ((link.a, link.b, link.b_address), (link.b, link.a, link.a_address)):
            if near == router:
                found[address] = min(each.get(far, unreachable) for each in away)
    return {address for address, distance in found.items() if distance == min(found.values())}
