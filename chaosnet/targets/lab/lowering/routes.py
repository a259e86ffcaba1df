"""RouteMtu: copies of the routes towards some destinations, with an MTU, in front of the originals.

The copies carry protocol 199 and metric 0 (IPv6: 1), so that BIRD's own (metric 32) stay as they are and BIRD, which
minds only its own, takes no notice.  What follows the originals is :func:`follow`: whenever the namespace's routes
change, the executor calls it, and a route that BIRD withdraws loses its copy at once: a fault of size must not keep a
dead path alive.  Deciding when to call it, and hiding ICMP, is others' business.
"""

import socket
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING, Any

from chaosnet.errors import InputError, Refused, TargetError
from chaosnet.model.change import RouteMtu
from chaosnet.model.fault import Reading
from chaosnet.model.ticket import Undo
from chaosnet.targets.lab.lowering import Deed
from chaosnet.targets.lab.lowering.match import networks
from chaosnet.targets.lab.namespaces import site_namespace
from chaosnet.targets.lab.netlink import DELROUTE, NEWROUTE, NOT_THERE, PROTOCOL_CHAOSNET, Netlink, Route

if TYPE_CHECKING:
    from chaosnet.targets.lab.lab import Lab

OPS = ("route mtu",)
_REQUEST, _ACK, _CREATE = 0x1, 0x4, 0x400
_UNICAST, _MAIN, _ONLINK = 1, 254, 4
_SCOPE_UNIVERSE, _SCOPE_LINK = 0, 253
_EXISTS = 17
Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class _Copy:
    """A route of ours: where to, by which hops, with which MTU."""

    destination: Network
    hops: tuple[tuple[str, int], ...]
    mtu: int


def prepare(lab: "Lab", deed: Deed, change: RouteMtu) -> Undo:
    """The copies that would go; Refused where nothing leads to the destinations."""
    namespace = site_namespace(change.site)
    wanted = [text for found in networks(change.destinations).values() for text in found]
    if not wanted:
        raise InputError("", "a route MTU towards nowhere", "name destinations")
    if any(ip_network(text).prefixlen == 0 for text in wanted):
        raise Refused("a route MTU towards everything is an interface's MTU: shrink that instead")
    routes = lab.namespaces.netlink(namespace).routes()
    if any(route.protocol == PROTOCOL_CHAOSNET and _within(ip_network(route.destination), wanted) for route in routes):
        raise Refused(f"{namespace} has routes of protocol {PROTOCOL_CHAOSNET} towards {', '.join(wanted)} already; remove them")
    if not _copies(routes, wanted, change.mtu):
        raise Refused(f"{namespace} has no route towards {', '.join(wanted)}, so there is none to shrink")
    return Undo(
        "route mtu",
        {"namespace": namespace, "destinations": wanted, "mtu": change.mtu, "knobs": [f"the routes of {namespace}"]},
        f"delete the routes of protocol {PROTOCOL_CHAOSNET} towards {', '.join(wanted)} at {namespace}",
    )


def do(lab: "Lab", deed: Deed, change: RouteMtu, undo: Undo) -> None:
    """Add the copies."""
    follow(lab, undo)


def follow(lab: "Lab", undo: Undo) -> bool:
    """Make the copies what the originals now ask for; whether anything had to change."""
    namespace = undo.arguments["namespace"]
    if namespace not in lab.namespaces:
        return False
    netlink = lab.namespaces.netlink(namespace)
    wanted, there = _copies(netlink.routes(), undo.arguments["destinations"], undo.arguments["mtu"]), _ours(netlink, undo)
    missing, stale = wanted - there, there - wanted
    netlink.send(*(_encode(copy, delete=False) for copy in missing), ignore=(_EXISTS,))
    netlink.send(*(_encode(copy, delete=True) for copy in stale), ignore=NOT_THERE)
    return bool(missing or stale)


def take_back(lab: "Lab", undo: Undo) -> None:
    """Delete our copies within the destinations."""
    namespace = undo.arguments["namespace"]
    if namespace in lab.namespaces:
        netlink = lab.namespaces.netlink(namespace)
        netlink.send(*(_encode(copy, delete=True) for copy in _ours(netlink, undo)), ignore=NOT_THERE)


def remove_all(netlink: Netlink) -> tuple[str, ...]:
    """Delete every route of protocol 199, whoever's; their destinations."""
    ours = {_copy_of(route) for route in netlink.routes() if route.protocol == PROTOCOL_CHAOSNET}
    netlink.send(*(_encode(copy, delete=True) for copy in ours), ignore=NOT_THERE)
    return tuple(sorted(str(copy.destination) for copy in ours))


def read_back(lab: "Lab", deed: Deed, change: RouteMtu, undo: Undo) -> Reading:
    """Whether every route towards the destinations has its copy in front."""
    namespace = undo.arguments["namespace"]
    if namespace not in lab.namespaces:
        return Reading(False, f"{namespace} is gone")
    netlink = lab.namespaces.netlink(namespace)
    wanted, there = _copies(netlink.routes(), undo.arguments["destinations"], change.mtu), _ours(netlink, undo)
    lines = sorted(str(copy.destination) for copy in there)
    if wanted - there or not there:
        return Reading(False, f"{len(wanted - there)} routes at {namespace} have no copy with an MTU of {change.mtu}")
    return Reading(True, f"routes at {namespace} towards {', '.join(lines)} carry {change.mtu} bytes", {"routes": lines})


def _ours(netlink: Netlink, undo: Undo) -> set[_Copy]:
    return {
        _copy_of(route)
        for route in netlink.routes()
        if route.protocol == PROTOCOL_CHAOSNET and _within(ip_network(route.destination), undo.arguments["destinations"])
    }


def _copy_of(route: Route) -> _Copy:
    return _Copy(ip_network(route.destination), tuple(sorted(route.hops)), route.mtu)


def _within(network: Network, destinations: list[str]) -> bool:
    return any(_contains(ip_network(text), network) for text in destinations)


def _contains(outer: Network, inner: Network) -> bool:
    if isinstance(outer, IPv4Network) and isinstance(inner, IPv4Network):
        return inner.subnet_of(outer)
    return isinstance(outer, IPv6Network) and isinstance(inner, IPv6Network) and inner.subnet_of(outer)


def _copies(routes: tuple[Route, ...], destinations: list[str], mtu: int) -> set[_Copy]:
    """For each destination: the routes inside it, and itself by the longest route around it."""
    best: dict[Network, Route] = {}
    for route in routes:
        if route.protocol == PROTOCOL_CHAOSNET or route.kind != _UNICAST or not any(index for _, index in route.hops):
            continue
        network = ip_network(route.destination)
        if network not in best or route.metric < best[network].metric:
            best[network] = route
    found: dict[Network, _Copy] = {}
    for text in destinations:
        destination = ip_network(text)
        for network, route in best.items():
            if _contains(destination, network):
                found[network] = _Copy(network, tuple(sorted(route.hops)), mtu)
        around = [network for network in best if _contains(network, destination)]
        if around:
            nearest = best[max(around, key=lambda network: network.prefixlen)]
            found[destination] = _Copy(destination, tuple(sorted(nearest.hops)), mtu)
    return set(found.values())


def _encode(copy: _Copy, delete: bool) -> bytes:
    """The request that adds the copy in front of routes of the same metric, or deletes it; 199 and the hops must fit."""
    from pyroute2.netlink.rtnl.rtmsg import rtmsg  # a tenth of a second, which a lab's start need not wait for

    six = isinstance(copy.destination, IPv6Network)
    message = rtmsg()
    message["family"], message["dst_len"] = (socket.AF_INET6 if six else socket.AF_INET), copy.destination.prefixlen
    message["table"], message["proto"], message["type"] = _MAIN, PROTOCOL_CHAOSNET, _UNICAST
    through = any(gateway for gateway, _ in copy.hops)
    message["scope"] = _SCOPE_UNIVERSE if through or six else _SCOPE_LINK
    attributes: list[tuple[str, Any]] = [("RTA_DST", str(copy.destination.network_address))]
    if six:
        attributes.append(("RTA_PRIORITY", 1))
    if len(copy.hops) == 1:
        ((gateway, index),) = copy.hops
        # The next hop of a pod (169.254.1.1) is on no network of its interface.
        message["flags"] = _ONLINK if gateway else 0
        attributes += [("RTA_OIF", index), *([("RTA_GATEWAY", gateway)] if gateway else [])]
    else:
        attributes.append(("RTA_MULTIPATH", [
            {"oif": index, "hops": 0, "flags": _ONLINK if gateway else 0,
             "attrs": [("RTA_GATEWAY", gateway)] if gateway else []}
            for gateway, index in copy.hops
        ]))  # fmt: skip
    # Not locked (ip-route(8), "mtu lock"): forwarding honours it anyway since Linux 5.10, and a lock would take the
    # don't-fragment bit off what the site itself sends.
    attributes.append(("RTA_METRICS", {"attrs": [("RTAX_MTU", copy.mtu)]}))
    message["attrs"] = attributes
    message["header"]["type"] = DELROUTE if delete else NEWROUTE
    message["header"]["flags"] = _REQUEST | _ACK | (0 if delete else _CREATE)
    message.encode()
    return bytes(message.data)


class Watch:
    """Hears of every change of a namespace's routes; ``fileno`` is for an event loop."""

    def __init__(self, lab: "Lab", namespace: str) -> None:
        with lab.namespaces.inside(namespace):
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.setblocking(False)
        # RTMGRP_IPV4_ROUTE and RTMGRP_IPV6_ROUTE of <linux/rtnetlink.h>.
        self._socket.bind((0, 0x40 | 0x400))

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    def drain(self) -> None:
        """Forget what was heard: the routes are read anew anyway, so an overrun does no harm."""
        while True:
            try:
                self._socket.recv(1 << 16)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != 105:  # ENOBUFS
                    raise TargetError(f"changes of routes cannot be heard: {error.strerror}") from error

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()
