"""rtnetlink requests for links, addresses, neighbours and routes, as bytes.

Join them and :meth:`chaosnet.targets.lab.netlink.Netlink.send` them together.  Written out by hand (rtnetlink(7),
<linux/if_link.h>): a lab of 200 pods sends two thousand, and pyroute2 takes up to half a millisecond for each.  Nothing here
decides what a network looks like.
"""

import socket
import struct
from functools import cache
from ipaddress import ip_address

from chaosnet.lab.blueprint import Device

# <linux/rtnetlink.h>, <linux/netlink.h>
NEWLINK, DELLINK, NEWADDR, NEWROUTE, DELROUTE, NEWNEIGH = 16, 17, 20, 24, 25, 28
_REQUEST, _ACK, _REPLACE, _EXCL, _CREATE = 0x1, 0x4, 0x100, 0x200, 0x400
CREATE, REPLACE = _CREATE | _EXCL, _CREATE | _REPLACE
PROTOCOL_STATIC, PROTOCOL_BIRD, PROTOCOL_CHAOSNET = 4, 12, 199
_UP = 1
_PERMANENT, _SELF = 0x80, 0x02
_ONLINK = 4
_UNICAST = 1
_SCOPE_UNIVERSE, _SCOPE_LINK = 0, 253
# IFLA_*, IFLA_INFO_*, VETH_INFO_PEER, IFLA_VXLAN_*
_ADDRESS, _NAME, _MTU, _MASTER, _INFO, _NAMESPACE = 1, 3, 4, 10, 18, 28
_KIND, _DATA, _PEER = 1, 2, 1
_VXLAN_ID, _VXLAN_LINK, _VXLAN_LOCAL, _VXLAN_LEARNING, _VXLAN_PORT = 1, 3, 4, 7, 15
# IFA_*, NDA_*, RTA_*, RTAX_MTU
_IFA_ADDRESS, _IFA_LOCAL, _DST, _LLADDR = 1, 2, 1, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_PREFSRC, _RTA_METRICS, _RTAX_MTU = 1, 4, 5, 6, 7, 8, 2

_header, _attribute_head, _u32 = struct.Struct("=IHHII"), struct.Struct("=HH"), struct.Struct("=I")
_ifinfomsg, _ifaddrmsg = struct.Struct("=BxHiII"), struct.Struct("=BBBBI")
_ndmsg, _rtmsg = struct.Struct("=BxxxiHBB"), struct.Struct("=BBBBBBBBI")


def _request(kind: int, flags: int, body: bytes) -> bytes:
    return _header.pack(_header.size + len(body), kind, _REQUEST | _ACK | flags, 0, 0) + body


def _attribute(kind: int, data: bytes) -> bytes:
    return _attribute_head.pack(len(data) + 4, kind) + data + bytes(-len(data) % 4)


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, _u32.pack(value))


@cache
def _packed(text: str) -> bytes:
    return ip_address(text).packed


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _family(text: str) -> int:
    return socket.AF_INET6 if ":" in text else socket.AF_INET


def _interface(index: int, attributes: bytes, up: bool | None = None) -> bytes:
    change = 0 if up is None else _UP
    return _ifinfomsg.pack(0, 0, index, _UP if up else 0, change) + attributes


def _new_link(name: str, mtu: int, mac: str, index: int, kind: str, data: bytes) -> bytes:
    attributes = _attribute(_NAME, name.encode() + b"\0") + _number(_MTU, mtu) + _attribute(_ADDRESS, _mac(mac))
    info = _attribute(_KIND, kind.encode()) + (_attribute(_DATA, data) if data else b"")
    return _request(NEWLINK, CREATE, _interface(index, attributes + _attribute(_INFO, info), True))


def veth(here: Device, there: Device, mtu: int, there_namespace: int) -> bytes:
    """A pair of interfaces: ``here`` in this namespace, ``there`` in the one of that descriptor.

    This end is up; the kernel refuses (ENOTCONN) to bring the peer up before this end exists.
    """
    far = _attribute(_NAME, there.name.encode() + b"\0") + _number(_MTU, mtu)
    far += _attribute(_ADDRESS, _mac(there.mac)) + _number(_NAMESPACE, there_namespace)
    return _new_link(here.name, mtu, here.mac, here.index, "veth", _attribute(_PEER, _interface(there.index, far)))


def bridge(name: str, mtu: int, mac: str, index: int) -> bytes:
    """A bridge, up, without spanning tree.  Its MTU is set and so no longer follows its ports."""
    return _new_link(name, mtu, mac, index, "bridge", b"")


def vxlan(name: str, mtu: int, mac: str, index: int, number: int, local: str, over: int) -> bytes:
    """A VXLAN device that learns nothing (RFC 7348), on top of the device with the index ``over``, up."""
    data = _number(_VXLAN_ID, number) + _number(_VXLAN_LINK, over) + _attribute(_VXLAN_LOCAL, _packed(local))
    data += _attribute(_VXLAN_LEARNING, b"\0") + _attribute(_VXLAN_PORT, struct.pack("!H", 4789))
    return _new_link(name, mtu, mac, index, "vxlan", data)


def change_link(index: int, *, up: bool | None = None, mtu: int = 0, master: int = 0) -> bytes:
    """Set an interface up or down, its MTU, or the bridge it belongs to."""
    attributes = (_number(_MTU, mtu) if mtu else b"") + (_number(_MASTER, master) if master else b"")
    return _request(NEWLINK, 0, _interface(index, attributes, up))


def delete_link(index: int) -> bytes:
    """Remove an interface (and, of a veth, its peer)."""
    return _request(DELLINK, 0, _interface(index, b""))


def address(index: int, text: str, prefix: int) -> bytes:
    """An IPv4 or IPv6 address on an interface."""
    attributes = _attribute(_IFA_LOCAL, _packed(text)) + _attribute(_IFA_ADDRESS, _packed(text))
    return _request(NEWADDR, CREATE, _ifaddrmsg.pack(_family(text), prefix, 0, 0, index) + attributes)


def neighbour(index: int, text: str, mac: str) -> bytes:
    """A permanent neighbour: no ARP is ever asked for it."""
    attributes = _attribute(_DST, _packed(text)) + _attribute(_LLADDR, _mac(mac))
    return _request(NEWNEIGH, REPLACE, _ndmsg.pack(_family(text), index, _PERMANENT, 0, 0) + attributes)


def forwarding(index: int, mac: str, destination: str) -> bytes:
    """A VXLAN device's forwarding entry: frames to ``mac`` go to the tunnel end ``destination``."""
    attributes = _attribute(_DST, _packed(destination)) + _attribute(_LLADDR, _mac(mac))
    return _request(NEWNEIGH, REPLACE, _ndmsg.pack(socket.AF_BRIDGE, index, _PERMANENT, _SELF, 0) + attributes)


def route(
    destination: str,
    *,
    index: int = 0,
    via: str = "",
    mtu: int = 0,
    protocol: int = PROTOCOL_STATIC,
    metric: int = 0,
    source: str = "",
    table: int = 254,
    onlink: bool = False,
    delete: bool = False,
) -> bytes:
    """A route, to be added or deleted.  ``destination`` is ``address/prefix``; ``0.0.0.0/0`` is the default."""
    network, _, prefix = destination.partition("/")
    scope, flags = (_SCOPE_UNIVERSE if via else _SCOPE_LINK), (_ONLINK if onlink else 0)
    body = _rtmsg.pack(_family(network), int(prefix), 0, 0, table, protocol, scope, _UNICAST, flags)
    if int(prefix):
        body += _attribute(_RTA_DST, _packed(network))
    for kind, number in ((_RTA_OIF, index), (_RTA_PRIORITY, metric)):
        if number:
            body += _number(kind, number)
    for kind, text in ((_RTA_GATEWAY, via), (_RTA_PREFSRC, source)):
        if text:
            body += _attribute(kind, _packed(text))
    if mtu:
        body += _attribute(_RTA_METRICS, _number(_RTAX_MTU, mtu))
    return _request(DELROUTE if delete else NEWROUTE, 0 if delete else CREATE, body)
