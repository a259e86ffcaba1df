"""Connection tracking of one namespace by ctnetlink: read the entries, count those of a match, delete some.

Speaks the few messages it needs by itself (<linux/netfilter/nfnetlink_conntrack.h>), because the keeper has one event
loop and no room for another library's.  It sets no limit: that is nftables' ``ct count``.
"""

import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

from chaosnet.errors import TargetError
from chaosnet.model.change import Match

if TYPE_CHECKING:
    from chaosnet.targets.lab.lab import Lab

_NETLINK_NETFILTER = 12
_GET, _DELETE, _GET_STATS_CPU = 0x101, 0x102, 0x104
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_ERROR, _DONE = 2, 3
_HEADER = struct.Struct("=IHHII")
_ORIGINAL, _REPLY, _STATUS, _PROTOINFO, _ID = 1, 2, 3, 4, 12
_DROP, _EARLY_DROP, _INSERT_FAILED = 10, 11, 9
_NESTED = 0x8000
_PROTOCOLS = {1: "icmp", 58: "icmp", 6: "tcp", 17: "udp", 132: "sctp"}
# <linux/netfilter/nf_conntrack_tcp.h>; <linux/netfilter/nf_conntrack_common.h>
_TCP_ESTABLISHED, _ASSURED = 3, 0x4


@dataclass(frozen=True, slots=True)
class Entry:
    """One tracked connection, as its first packet had it before translation.  ``live``: a TCP connection in use."""

    family: int
    source: str
    destination: str
    protocol: str
    source_port: int
    destination_port: int
    live: bool
    key: bytes


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, position)
        if length < 4:
            return
        yield kind & 0x3FFF, data[position + 4 : position + length]
        position += (length + 3) & ~3


def _attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", len(data) + 4, kind) + data + bytes(-len(data) % 4)


def _read(body: bytes) -> Entry:
    found = dict(_attributes(body[4:]))
    ends = {kind: dict(_attributes(data)) for kind, data in _attributes(found[_ORIGINAL])}
    addresses = [str(ip_address(data)) for _, data in sorted(ends[1].items())]
    inner = ends[2]
    number = inner[1][0]
    ports = [struct.unpack(">H", inner[kind])[0] if kind in inner else 0 for kind in (2, 3)]
    state = dict(_attributes(dict(_attributes(found.get(_PROTOINFO, b""))).get(1, b""))).get(1, b"\0")[0]
    status = struct.unpack(">I", found.get(_STATUS, bytes(4)))[0]
    return Entry(
        body[0], addresses[0], addresses[1], _PROTOCOLS.get(number, str(number)), ports[0], ports[1],
        live=number == 6 and state == _TCP_ESTABLISHED and bool(status & _ASSURED),
        key=_attribute(_ORIGINAL | _NESTED, found[_ORIGINAL]) + (_attribute(_ID, found[_ID]) if _ID in found else b""),
    )  # fmt: skip


@contextmanager
def _open(lab: "Lab", namespace: str) -> Iterator[socket.socket]:
    with lab.namespaces.inside(namespace):
        opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER)
    with opened:
        opened.settimeout(5.0)
        opened.bind((0, 0))
        yield opened


def _send(to: socket.socket, kind: int, flags: int, family: int = 0, attributes: bytes = b"") -> None:
    body = struct.pack("=BBH", family, 0, 0) + attributes
    to.send(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, 1, 0) + body)


def _answers(opened: socket.socket) -> Iterator[bytes]:
    while True:
        try:
            data = opened.recv(1 << 18)
        except TimeoutError:
            raise TargetError("the kernel did not answer a question about connection tracking within 5 s") from None
        position = 0
        while position < len(data):
            length, kind, _, _, _ = _HEADER.unpack_from(data, position)
            body = data[position + _HEADER.size : position + length]
            position += (length + 3) & ~3
            if kind in (_DONE, _ERROR):
                code = -struct.unpack_from("=i", body)[0]
                if kind == _ERROR and code and code != 2:  # ENOENT: it went by itself meanwhile
                    raise TargetError(f"the kernel refused a question about connection tracking: error {code}")
                return
            yield body


def entries(lab: "Lab", namespace: str) -> tuple[Entry, ...]:
    """Every tracked connection of a namespace."""
    with _open(lab, namespace) as opened:
        _send(opened, _GET, _DUMP)
        return tuple(_read(body) for body in _answers(opened))


def delete(lab: "Lab", namespace: str, unwanted: Iterable[Entry]) -> int:
    """Delete these connections' entries; how many there were."""
    number = 0
    with _open(lab, namespace) as opened:
        for entry in unwanted:
            _send(opened, _DELETE, _ACK, entry.family, entry.key)
            list(_answers(opened))
            number += 1
    return number


def refused(lab: "Lab", namespace: str) -> int:
    """How many connections this namespace's tracking has turned away since it was made."""
    with _open(lab, namespace) as opened:
        _send(opened, _GET_STATS_CPU, _DUMP)
        return sum(
            struct.unpack(">I", data)[0]
            for body in _answers(opened)
            for kind, data in _attributes(body[4:])
            if kind in (_DROP, _EARLY_DROP, _INSERT_FAILED)
        )


def matching(lab: "Lab", namespace: str, match: Match) -> int:
    """How many tracked connections of a namespace began with a packet that ``match`` means."""
    sources, destinations = _networks(match.sources), _networks(match.destinations)

    def means(entry: Entry) -> bool:
        ports = {"destination": (entry.destination_port,), "source": (entry.source_port,)}.get(
            match.side, (entry.source_port, entry.destination_port)
        )
        return (
            match.protocol in ("", entry.protocol)
            and (not match.ports or any(port in match.ports for port in ports))
            and (not sources or any(ip_address(entry.source) in network for network in sources))
            and (not destinations or any(ip_address(entry.destination) in network for network in destinations))
        )

    return sum(means(entry) for entry in entries(lab, namespace))


def _networks(texts: Iterable[str]) -> list[IPv4Network | IPv6Network]:
    return [ip_network(text, strict=False) for text in texts]
