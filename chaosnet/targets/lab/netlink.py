"""rtnetlink in one namespace: batches of requests out, every answer awaited, dumps as plain values.

pyroute2's message classes encode and decode; its own sockets are not used, for they run an event loop of their own and
the keeper has one.  The functions that make requests return bytes: join them and :meth:`Netlink.send` them together.
Nothing here decides what a network looks like.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg
from pyroute2.netlink.rtnl.tcmsg import tcmsg

from chaosnet.errors import TargetError
from chaosnet.lab.blueprint import Device

# <linux/rtnetlink.h>, <linux/netlink.h>
NEWLINK, DELLINK, GETLINK, SETLINK = 16, 17, 18, 19
NEWADDR, DELADDR, GETADDR = 20, 21, 22
NEWROUTE, DELROUTE, GETROUTE = 24, 25, 26
NEWNEIGH, DELNEIGH, GETNEIGH = 28, 29, 30
NEWQDISC, DELQDISC, GETQDISC = 36, 37, 38
_REQUEST, _ACK, _DUMP, _REPLACE, _EXCL, _CREATE, _APPEND = 0x1, 0x4, 0x300, 0x100, 0x200, 0x400, 0x800
CREATE, REPLACE = _CREATE | _EXCL, _CREATE | _REPLACE
_ERROR, _DONE = 2, 3
_UP = 1
_PERMANENT, _SELF = 0x80, 0x02
_ONLINK, _CLONED = 4, 0x200
PROTOCOL_STATIC, PROTOCOL_BIRD, PROTOCOL_CHAOSNET = 4, 12, 199
_UNICAST, _BLACKHOLE = 1, 6
_SCOPE_UNIVERSE, _SCOPE_LINK = 0, 253
_HEADER = struct.Struct("=IHHII")
# One datagram of requests whose acknowledgements fit a default receive buffer (each occupies near 800 bytes there).
_AT_ONCE = 128


def _encode(message: Any, kind: int, flags: int) -> bytes:
    message["header"]["type"], message["header"]["flags"] = kind, _REQUEST | _ACK | flags
    message.encode()
    return bytes(message.data)


def _link(kind: int, flags: int, index: int, attributes: list[tuple[str, Any]], up: bool | None = None) -> bytes:
    message = ifinfmsg()
    message["index"] = index
    if up is not None:
        message["flags"], message["change"] = (_UP if up else 0), _UP
    message["attrs"] = attributes
    return _encode(message, kind, flags)


def _new_link(name: str, mtu: int, mac: str, index: int, kind: str, data: dict[str, Any]) -> bytes:
    info = {"attrs": [("IFLA_INFO_KIND", kind), ("IFLA_INFO_DATA", data)]}
    attributes = [("IFLA_IFNAME", name), ("IFLA_MTU", mtu), ("IFLA_ADDRESS", mac), ("IFLA_LINKINFO", info)]
    return _link(NEWLINK, CREATE, index, attributes, True)


def veth(here: Device, there: Device, mtu: int, there_namespace: int) -> bytes:
    """A pair of interfaces: ``here`` in this namespace, ``there`` in the one of that descriptor.

    This end is up; the kernel refuses (ENOTCONN) to bring the peer up before this end exists.
    """
    far = ifinfmsg()
    far["index"] = there.index
    far["attrs"] = [
        ("IFLA_IFNAME", there.name), ("IFLA_MTU", mtu), ("IFLA_ADDRESS", there.mac), ("IFLA_NET_NS_FD", there_namespace),
    ]  # fmt: skip
    return _new_link(here.name, mtu, here.mac, here.index, "veth", {"attrs": [("VETH_INFO_PEER", far)]})


def bridge(name: str, mtu: int, mac: str, index: int) -> bytes:
    """A bridge, up, without spanning tree.  Its MTU is set and so no longer follows its ports."""
    return _new_link(name, mtu, mac, index, "bridge", {"attrs": []})


def vxlan(name: str, mtu: int, mac: str, index: int, number: int, local: str, over: int) -> bytes:
    """A VXLAN device that learns nothing (RFC 7348), on top of the device with the index ``over``, up."""
    data = {"attrs": [
        ("IFLA_VXLAN_ID", number), ("IFLA_VXLAN_LOCAL", local), ("IFLA_VXLAN_LINK", over), ("IFLA_VXLAN_PORT", 4789),
        ("IFLA_VXLAN_LEARNING", 0),
    ]}  # fmt: skip
    return _new_link(name, mtu, mac, index, "vxlan", data)


def change_link(index: int, *, up: bool | None = None, mtu: int = 0, master: int = 0) -> bytes:
    """Set an interface up or down, its MTU, or the bridge it belongs to."""
    attributes = [(key, value) for key, value in (("IFLA_MTU", mtu), ("IFLA_MASTER", master)) if value]
    return _link(NEWLINK, 0, index, attributes, up)


def delete_link(index: int) -> bytes:
    """Remove an interface (and, of a veth, its peer)."""
    return _link(DELLINK, 0, index, [])


def address(index: int, text: str, prefix: int) -> bytes:
    """An IPv4 or IPv6 address on an interface."""
    message = ifaddrmsg()
    message["family"], message["index"], message["prefixlen"] = _family(text), index, prefix
    message["attrs"] = [("IFA_LOCAL", text), ("IFA_ADDRESS", text)]
    return _encode(message, NEWADDR, CREATE)


def neighbour(index: int, text: str, mac: str) -> bytes:
    """A permanent neighbour: no ARP is ever asked for it."""
    message = ndmsg()
    message["family"], message["ifindex"], message["state"] = _family(text), index, _PERMANENT
    message["attrs"] = [("NDA_DST", text), ("NDA_LLADDR", mac)]
    return _encode(message, NEWNEIGH, REPLACE)


def forwarding(index: int, mac: str, destination: str) -> bytes:
    """A VXLAN device's forwarding entry: frames to ``mac`` go to the tunnel end ``destination``."""
    message = ndmsg()
    message["family"], message["ifindex"], message["state"], message["flags"] = socket.AF_BRIDGE, index, _PERMANENT, _SELF
    message["attrs"] = [("NDA_DST", destination), ("NDA_LLADDR", mac)]
    return _encode(message, NEWNEIGH, REPLACE)


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
    kind: int = _UNICAST,
    onlink: bool = False,
    delete: bool = False,
    flags: int = CREATE,
) -> bytes:
    """A route, to be added or deleted.  ``destination`` is ``address/prefix``; ``0.0.0.0/0`` is the default."""
    network, _, prefix = destination.partition("/")
    message = rtmsg()
    message["family"], message["dst_len"], message["table"] = _family(network), int(prefix), table
    message["proto"], message["type"] = protocol, kind
    message["scope"] = _SCOPE_UNIVERSE if via or kind != _UNICAST else _SCOPE_LINK
    message["flags"] = _ONLINK if onlink else 0
    attributes: list[tuple[str, Any]] = [("RTA_DST", network)] if int(prefix) else []
    attributes += [(key, value) for key, value in (
        ("RTA_OIF", index), ("RTA_GATEWAY", via), ("RTA_PRIORITY", metric), ("RTA_PREFSRC", source),
    ) if value]  # fmt: skip
    if mtu:
        attributes.append(("RTA_METRICS", {"attrs": [("RTAX_MTU", mtu)]}))
    message["attrs"] = attributes
    return _encode(message, DELROUTE if delete else NEWROUTE, 0 if delete else flags)


def _family(text: str) -> int:
    return socket.AF_INET6 if ":" in text else socket.AF_INET


@dataclass(frozen=True, slots=True)
class Link:
    """An interface.  ``peer`` is the index of a veth's other end, ``master`` that of its bridge; 0 where there is none."""

    index: int
    name: str
    mtu: int
    up: bool
    mac: str
    kind: str
    master: int
    peer: int


@dataclass(frozen=True, slots=True)
class Route:
    """A kernel route.  ``hops`` are pairs of next hop (or empty) and interface index; several for multipath."""

    destination: str
    hops: tuple[tuple[str, int], ...]
    protocol: int
    table: int
    metric: int
    mtu: int
    kind: int
    source: str


@dataclass(frozen=True, slots=True)
class Qdisc:
    """A queueing discipline of an interface."""

    index: int
    kind: str
    handle: int
    parent: int


class Netlink:
    """A route socket of the namespace that this thread is in at the moment of making."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.settimeout(5.0)
        self._socket.bind((0, 0))
        self._sequence = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def send(self, *requests: bytes, ignore: tuple[int, ...] = ()) -> None:
        """Send requests and await every acknowledgement.

        TargetError on the first refusal (those before it are done), unless its errno is in ``ignore``.
        """
        batch = bytearray(b"".join(requests))
        waiting: list[int] = []
        start = position = 0
        while position < len(batch):
            length, kind, flags, _, _ = _HEADER.unpack_from(batch, position)
            self._sequence += 1
            _HEADER.pack_into(batch, position, length, kind, flags, self._sequence, 0)
            waiting.append(self._sequence)
            position += (length + 3) & ~3
            if len(waiting) == _AT_ONCE or position >= len(batch):
                self._socket.send(batch[start:position])
                self._acknowledge(set(waiting), ignore)
                start, waiting = position, []

    def _acknowledge(self, waiting: set[int], ignore: tuple[int, ...]) -> None:
        refused: OSError | None = None
        while waiting:
            for kind, sequence, body in self._receive():
                if kind == _ERROR and sequence in waiting:
                    waiting.discard(sequence)
                    number = -struct.unpack_from("=i", body)[0]
                    if number and number not in ignore and refused is None:
                        refused = OSError(number, os.strerror(number))
        if refused is not None:
            raise TargetError(f"the kernel refused a change of links or routes: {refused.strerror}") from refused

    def _receive(self) -> Iterator[tuple[int, int, memoryview]]:
        try:
            data = memoryview(self._socket.recv(1 << 18))
        except TimeoutError:
            raise TargetError("the kernel did not answer a netlink request within 5 s") from None
        position = 0
        while position < len(data):
            length, kind, _, sequence, _ = _HEADER.unpack_from(data, position)
            yield kind, sequence, data[position + _HEADER.size : position + length]
            position += (length + 3) & ~3

    def dump(self, message: Any, kind: int) -> Iterator[Any]:
        """Every object of one kind, as pyroute2's message class ``type(message)`` decodes it."""
        for attempt in range(5):
            try:
                yield from self._dump(message, kind)
                return
            except InterruptedError:
                if attempt == 4:
                    raise TargetError("the kernel's tables changed too often while they were read") from None

    def _dump(self, message: Any, kind: int) -> list[Any]:
        self._sequence += 1
        sequence = self._sequence
        message["header"]["type"], message["header"]["flags"] = kind, _REQUEST | _DUMP
        message["header"]["sequence_number"] = sequence
        message.encode()
        self._socket.send(message.data)
        found: list[Any] = []
        interrupted = False
        while True:
            try:
                data = self._socket.recv(1 << 18)
            except TimeoutError:
                raise TargetError("the kernel did not answer a netlink dump within 5 s") from None
            position = 0
            while position < len(data):
                length, answer, flags, number, _ = _HEADER.unpack_from(data, position)
                piece = data[position : position + length]
                position += (length + 3) & ~3
                if number != sequence:
                    continue
                interrupted |= bool(flags & 0x10)  # NLM_F_DUMP_INTR: the table moved under the dump
                if answer == _DONE:
                    if interrupted:
                        raise InterruptedError
                    return found
                if answer == _ERROR:
                    number = -struct.unpack_from("=i", piece, _HEADER.size)[0]
                    raise TargetError(f"the kernel refused a netlink dump: {os.strerror(number)}")
                decoded = type(message)(piece)
                decoded.decode()
                found.append(decoded)

    def links(self) -> tuple[Link, ...]:
        """Every interface."""
        return tuple(_read_link(m) for m in self.dump(ifinfmsg(), GETLINK))

    def link(self, name: str) -> Link:
        """The interface of that name; TargetError where there is none."""
        for found in self.links():
            if found.name == name:
                return found
        raise TargetError(f"there is no interface {name!r}")

    def addresses(self) -> tuple[tuple[int, str, int], ...]:
        """Interface index, address and prefix length of every address."""
        return tuple(
            (m["index"], m.get_attr("IFA_LOCAL") or m.get_attr("IFA_ADDRESS"), m["prefixlen"])
            for m in self.dump(ifaddrmsg(), GETADDR)
        )

    def routes(self, table: int = 254) -> tuple[Route, ...]:
        """The IPv4 and IPv6 routes of a table (254 is main, 0 means all)."""
        found = []
        for message in self.dump(rtmsg(), GETROUTE):
            number = message.get_attr("RTA_TABLE") or message["table"]
            # What path MTU discovery learned is dumped among the routes (RTM_F_CLONED); it is none.
            if table in (0, number) and not message["flags"] & _CLONED:
                found.append(_read_route(message, number))
        return tuple(found)

    def qdiscs(self) -> tuple[Qdisc, ...]:
        """Every queueing discipline."""
        return tuple(
            Qdisc(m["index"], m.get_attr("TCA_KIND") or "", m["handle"], m["parent"]) for m in self.dump(tcmsg(), GETQDISC)
        )

    def set_mtu(self, index: int, mtu: int) -> None:
        """Set an interface's MTU, in bytes."""
        self.send(change_link(index, mtu=mtu))


def _read_link(message: Any) -> Link:
    info = message.get_attr("IFLA_LINKINFO")
    return Link(
        index=message["index"],
        name=message.get_attr("IFLA_IFNAME") or "",
        mtu=message.get_attr("IFLA_MTU") or 0,
        up=bool(message["flags"] & _UP),
        mac=message.get_attr("IFLA_ADDRESS") or "",
        kind=(info.get_attr("IFLA_INFO_KIND") if info is not None else "") or "",
        master=message.get_attr("IFLA_MASTER") or 0,
        peer=message.get_attr("IFLA_LINK") or 0,
    )


def _read_route(message: Any, table: int) -> Route:
    network = message.get_attr("RTA_DST") or ("::" if message["family"] == socket.AF_INET6 else "0.0.0.0")
    several = message.get_attr("RTA_MULTIPATH")
    if several:
        hops = tuple((dict(hop["attrs"]).get("RTA_GATEWAY", ""), hop["oif"]) for hop in several)
    else:
        hops = ((message.get_attr("RTA_GATEWAY") or "", message.get_attr("RTA_OIF") or 0),)
    metrics = message.get_attr("RTA_METRICS")
    return Route(
        destination=f"{network}/{message['dst_len']}",
        hops=hops,
        protocol=message["proto"],
        table=table,
        metric=message.get_attr("RTA_PRIORITY") or 0,
        mtu=(metrics.get_attr("RTAX_MTU") if metrics is not None else 0) or 0,
        kind=message["type"],
        source=message.get_attr("RTA_PREFSRC") or "",
    )


NOT_THERE = (errno.ESRCH, errno.ENOENT, errno.ENODEV)
