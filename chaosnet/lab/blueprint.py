"""What to build for a topology: namespaces, cables, bridges, addresses, routes, kernel settings.  Pure values.

Interfaces carry their index from the start, so that whoever builds needs to ask the kernel nothing in between.  Services,
policies and BGP are others' work: :mod:`chaosnet.lab.bird` renders the routing daemons' files.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from chaosnet.lab.topology import POD_GATEWAY, VXLAN_OVERHEAD, Cluster, Topology

UPLINK = "eth0"
TUNNEL = "vxlan0"
BRIDGE = "bridge0"
#: The address every pod's host side has on layer 2, as Calico's.
POD_GATEWAY_MAC = "ee:ee:ee:ee:ee:ee"
_TUNNEL_INDEX, _UPLINK_INDEX, _BRIDGE_INDEX = 3, 2, 2
_FIRST_PORT, _FIRST_LINK, _FIRST_POD = 10, 1000, 2000

# Redirects would teach endpoints routes that outlive a fault; rate-limited ICMP would make "unreachable" a matter of luck;
# a hash over ports spreads flows as routers do (ip-sysctl: fib_multipath_hash_policy).
# Pods too: icmp(7) lets a host send one "port unreachable" a second to each peer, and the prober asks more often.
_ALL = (("net.ipv6.conf.default.disable_ipv6", "1"), ("net.ipv4.icmp_ratelimit", "0"))
_FORWARDS = (
    ("net.ipv4.ip_forward", "1"),
    ("net.ipv4.conf.all.rp_filter", "0"),
    ("net.ipv4.conf.default.rp_filter", "0"),
    ("net.ipv4.conf.all.send_redirects", "0"),
    ("net.ipv4.conf.default.send_redirects", "0"),
    ("net.ipv4.fib_multipath_hash_policy", "1"),
)


@dataclass(frozen=True, slots=True)
class Device:
    """One interface: in which namespace, its name, index and layer-2 address."""

    namespace: str
    name: str
    index: int
    mac: str


@dataclass(frozen=True, slots=True)
class Cable:
    """A veth pair."""

    a: Device
    b: Device
    mtu: int


@dataclass(frozen=True, slots=True)
class Bridge:
    """A bridge with its ports, all in one namespace."""

    device: Device
    mtu: int
    ports: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A VXLAN device.  ``peers`` are the layer-2 address, the inner address and the outer address of each other end."""

    device: Device
    mtu: int
    number: int
    local: str
    over: int
    peers: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Address:
    """An address with its prefix length on an interface."""

    namespace: str
    index: int
    address: str
    prefix: int


@dataclass(frozen=True, slots=True)
class Route:
    """A static route; ``via`` empty means on the link itself."""

    namespace: str
    destination: str
    index: int
    via: str = ""
    source: str = ""
    onlink: bool = False


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A permanent neighbour."""

    namespace: str
    index: int
    address: str
    mac: str


@dataclass(frozen=True, slots=True)
class Blueprint:
    """Everything to build, in the order of the fields.  ``sysctls`` are namespace, key and value."""

    namespaces: tuple[str, ...] = ()
    sysctls: tuple[tuple[str, str, str], ...] = ()
    cables: tuple[Cable, ...] = ()
    bridges: tuple[Bridge, ...] = ()
    tunnels: tuple[Tunnel, ...] = ()
    addresses: tuple[Address, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    routes: tuple[Route, ...] = ()

    def __add__(self, other: "Blueprint") -> "Blueprint":
        return join((self, other))


def join(parts: "tuple[Blueprint, ...] | list[Blueprint]") -> Blueprint:
    """One blueprint of several, each field in their order."""
    return Blueprint(
        **{name: tuple(item for part in parts for item in getattr(part, name)) for name in Blueprint.__dataclass_fields__}
    )


def mac(kind: int, address: str) -> str:
    """A locally administered layer-2 address that carries an IPv4 address, so that captures can be read."""
    return ":".join(f"{byte:02x}" for byte in (0x02, kind, *IPv4Address(address).packed))


def port_name(name: str) -> str:
    """The name of a router's interface towards the node or router ``name``, within the kernel's 15 bytes (IFNAMSIZ).

    Names that do not fit keep their beginning and end: ``worker-n..-west-17``.
    """
    taken = {BRIDGE, UPLINK, TUNNEL, "lo", "all", "default"}
    if len(name) <= 15 and name not in taken:
        return name
    import hashlib

    return f"{name[:8]}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def ground(topology: Topology) -> Blueprint:
    """Routers, nodes and their links: everything but pods."""
    parts = [_spaces(topology)]
    parts += [_cluster(topology, cluster) for cluster in topology.clusters]
    for number, link in enumerate(topology.links):
        a = Device(link.a, port_name(link.b), _FIRST_LINK + number, mac(2, link.a_address))
        b = Device(link.b, port_name(link.a), _FIRST_LINK + number, mac(2, link.b_address))
        prefix = IPv4Network(link.network).prefixlen
        ends = (Address(link.a, a.index, link.a_address, prefix), Address(link.b, b.index, link.b_address, prefix))
        parts.append(Blueprint(cables=(Cable(a, b, link.mtu),), addresses=ends))
    return join(parts)


def _spaces(topology: Topology) -> Blueprint:
    names = (*(router.name for router in topology.routers), *(node.namespace for node in topology.nodes))
    return Blueprint(namespaces=names, sysctls=tuple((name, key, value) for name in names for key, value in (*_ALL, *_FORWARDS)))


def _cluster(topology: Topology, cluster: Cluster) -> Blueprint:
    prefix = IPv4Network(cluster.network).prefixlen
    cables, addresses, routes, tunnels, neighbours = [], [], [], [], []
    for number, node in enumerate(cluster.nodes):
        port = Device(cluster.router, port_name(node.name), _FIRST_PORT + number, mac(3, node.address))
        uplink = Device(node.namespace, UPLINK, _UPLINK_INDEX, mac(1, node.address))
        cables.append(Cable(uplink, port, topology.underlay))
        addresses.append(Address(node.namespace, _UPLINK_INDEX, node.address, prefix))
        routes.append(Route(node.namespace, "0.0.0.0/0", _UPLINK_INDEX, cluster.gateway))
        if cluster.overlay == "vxlan":
            tunnel = _tunnel(topology, cluster, node.name)
            tunnels.append(tunnel)
            inner = _tunnel_address(node.pods)
            addresses.append(Address(node.namespace, _TUNNEL_INDEX, inner, 32))
            for other in cluster.nodes:
                if other is not node:
                    far = _tunnel_address(other.pods)
                    neighbours.append(Neighbour(node.namespace, _TUNNEL_INDEX, far, mac(4, far)))
                    routes.append(Route(node.namespace, other.pods, _TUNNEL_INDEX, far, onlink=True))
    bridge = Bridge(
        Device(cluster.router, BRIDGE, _BRIDGE_INDEX, mac(2, cluster.gateway)),
        topology.underlay,
        tuple(cable.b.index for cable in cables),
    )
    return Blueprint(
        cables=tuple(cables),
        bridges=(bridge,),
        tunnels=tuple(tunnels),
        addresses=(Address(cluster.router, _BRIDGE_INDEX, cluster.gateway, prefix), *addresses),
        neighbours=tuple(neighbours),
        routes=tuple(routes),
    )


def _tunnel_address(pods: str) -> str:
    """A node's tunnel end: the network address of its pod range, which no pod gets (as flannel does)."""
    return str(IPv4Network(pods).network_address)


def _tunnel(topology: Topology, cluster: Cluster, name: str) -> Tunnel:
    node = topology.node(cluster.name, name)
    ends = [(_tunnel_address(other.pods), other.address) for other in cluster.nodes if other is not node]
    return Tunnel(
        device=Device(node.namespace, TUNNEL, _TUNNEL_INDEX, mac(4, _tunnel_address(node.pods))),
        mtu=topology.underlay - VXLAN_OVERHEAD,
        number=1 + topology.clusters.index(cluster),
        local=node.address,
        over=_UPLINK_INDEX,
        peers=tuple((mac(4, inner), inner, outer) for inner, outer in ends),
    )


def host_device(topology: Topology, cluster: str, node: str, address: str) -> tuple[str, int]:
    """Name and index of the host side of the pod with ``address`` on a node; unique there."""
    network = IPv4Network(topology.node(cluster, node).pods)
    place = int(IPv4Address(address)) - int(network.network_address)
    if 0 < place < network.num_addresses:
        return f"pod{place}", _FIRST_POD + place
    # An address from elsewhere (a pod with a fixed one): keep clear of the range's own numbers.
    number = int(IPv4Address(address))
    return f"pod-{number:08x}", (1 << 30) | (number & 0x3FFFFFFF)


def pod(topology: Topology, cluster: str, namespace: str, name: str, node: str, address: str) -> Blueprint:
    """One pod: a veth to its node, routed, never bridged."""
    own, host = f"{cluster}/{namespace}/{name}", f"{cluster}/{node}"
    device, index = host_device(topology, cluster, node, address)
    inside = Device(own, "eth0", 2, mac(0, address))
    outside = Device(host, device, index, POD_GATEWAY_MAC)
    return Blueprint(
        namespaces=(own,),
        sysctls=tuple((own, key, value) for key, value in _ALL),
        cables=(Cable(inside, outside, topology.cluster(cluster).mtu),),
        addresses=(Address(own, 2, address, 32),),
        neighbours=(Neighbour(own, 2, POD_GATEWAY, POD_GATEWAY_MAC), Neighbour(host, index, address, inside.mac)),
        routes=(
            Route(own, f"{POD_GATEWAY}/32", 2),
            Route(own, "0.0.0.0/0", 2, POD_GATEWAY, address),
            Route(host, f"{address}/32", index, source=topology.node(cluster, node).address),
        ),
    )
