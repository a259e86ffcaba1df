"""rtnetlink in one namespace: batches of requests out, every answer awaited, dumps as plain values.

Requests are bytes made by :mod:`chaosnet.targets.lab.requests`, whose functions can be had here too.  pyroute2's message
classes decode dumps, and are imported by the first of them; its own sockets are not used, for they run an event loop of
their own and the keeper has one.  Nothing here decides what a network looks like.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from chaosnet.errors import TargetError
from chaosnet.targets.lab.requests import (
    DELROUTE,
    NEWROUTE,
    PROTOCOL_BIRD,
    PROTOCOL_CHAOSNET,
    PROTOCOL_STATIC,
    address,
    bridge,
    change_link,
    delete_link,
    forwarding,
    neighbour,
    route,
    veth,
    vxlan,
)

__all__ = [
    "DELROUTE", "NEWROUTE", "NOT_THERE", "PROTOCOL_BIRD", "PROTOCOL_CHAOSNET", "PROTOCOL_STATIC", "Link", "Netlink", "Qdisc",
    "Route", "address", "bridge", "change_link", "delete_link", "forwarding", "neighbour", "route", "veth", "vxlan",
]  # fmt: skip

# <linux/rtnetlink.h>, <linux/netlink.h>
_GETLINK, _GETADDR, _GETROUTE, _GETQDISC = 18, 22, 26, 38
_REQUEST, _DUMP = 0x1, 0x300
_ERROR, _DONE = 2, 3
_INTERRUPTED = 0x10
_UP = 1
_CLONED = 0x200
_HEADER = struct.Struct("=IHHII")
# One datagram of requests whose acknowledgements fit a default receive buffer (each occupies near 800 bytes there).
_AT_ONCE = 128


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
                interrupted |= bool(flags & _INTERRUPTED)  # the table moved under the dump
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
        from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

        return tuple(_read_link(m) for m in self.dump(ifinfmsg(), _GETLINK))

    def link(self, name: str) -> Link:
        """The interface of that name; TargetError where there is none."""
        for found in self.links():
            if found.name == name:
                return found
        raise TargetError(f"there is no interface {name!r}")

    def addresses(self) -> tuple[tuple[int, str, int], ...]:
        """Interface index, address and prefix length of every address."""
        from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg

        return tuple(
            (m["index"], m.get_attr("IFA_LOCAL") or m.get_attr("IFA_ADDRESS"), m["prefixlen"])
            for m in self.dump(ifaddrmsg(), _GETADDR)
        )

    def routes(self, table: int = 254) -> tuple[Route, ...]:
        """The IPv4 and IPv6 routes of a table (254 is main, 0 means all)."""
        from pyroute2.netlink.rtnl.rtmsg import rtmsg

        found = []
        for message in self.dump(rtmsg(), _GETROUTE):
            number = message.get_attr("RTA_TABLE") or message["table"]
            # What path MTU discovery learned is dumped among the routes (RTM_F_CLONED); it is none.
            if table in (0, number) and not message["flags"] & _CLONED:
                found.append(_read_route(message, number))
        return tuple(found)

    def qdiscs(self) -> tuple[Qdisc, ...]:
        """Every queueing discipline."""
        from pyroute2.netlink.rtnl.tcmsg import tcmsg

        return tuple(
            Qdisc(m["index"], m.get_attr("TCA_KIND") or "", m["handle"], m["parent"]) for m in self.dump(tcmsg(), _GETQDISC)
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
