"""Sockets inside the lab's namespaces, and the one epoll that watches them all.

A socket keeps the namespace it was made in (socket(7), network_namespaces(7)), so one process enters a namespace for the
microseconds that ``socket()`` takes and may then use the socket from anywhere.  Here are also the kernel's error queue (ip(7),
``IP_RECVERR``) in readable form, and what an errno means to an application.

Nothing here knows edges, protocols or questions; nothing here waits.
"""

import asyncio
import errno
import os
import select
import socket
import struct
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from time import monotonic
from typing import NamedTuple, Protocol

from chaosnet.model.edge import State

# linux/in.h and asm-generic/socket.h; Python's socket module names none of these.
IP_MTU_DISCOVER = 10
IP_PMTUDISC_DO = 2
IP_PMTUDISC_PROBE = 3
IP_RECVERR = 11
SO_NO_CHECK = 11
SIOCOUTQ = 0x5411
MSG_ERRQUEUE = 0x2000
ICMP_FILTER = 1
SOL_RAW = 255

_ABORT = struct.pack("ii", 1, 0)
_ICMP_ORIGIN, _LOCAL_ORIGIN = 2, 1
# RFC 792, RFC 1122 section 3.2.2.1 and RFC 1812 section 5.2.7.1.
_UNREACHABLE = {
    0: "network unreachable", 1: "host unreachable", 2: "protocol unreachable", 3: "port unreachable",
    4: "fragmentation needed", 5: "source route failed", 6: "network unknown", 7: "host unknown",
    9: "network administratively prohibited", 10: "host administratively prohibited",
    13: "administratively prohibited",
}  # fmt: skip
_SAID_NO = (2, 3, 9, 10, 13)


class Spaces(Protocol):
    """The lab's namespaces, as far as sockets need them."""

    def inside(self, name: str) -> AbstractContextManager[object]:
        """Be in the namespace ``name`` within the block; nothing may be awaited there."""
        ...


class Outcome(NamedTuple):
    """How one attempt ended: the state of its edge, and why in a few words."""

    state: State
    detail: str = ""


class Report(NamedTuple):
    """One entry of a socket's error queue.

    ``kind`` and ``code`` are the ICMP ones (-1: the error is our own kernel's), ``info`` the MTU of a "fragmentation
    needed", ``sender`` who said so, and ``payload`` as much as came back of what the packet carried.
    """

    error: int
    kind: int
    code: int
    info: int
    sender: str
    payload: bytes

    @property
    def too_big(self) -> bool:
        """Whether the packet was too big for the way (``info`` is what fits)."""
        return self.error == errno.EMSGSIZE


def open_socket(spaces: Spaces, namespace: str, kind: int, protocol: int = 0) -> socket.socket:
    """A non-blocking IPv4 socket made in ``namespace``.  Raises OSError, and what ``inside`` raises for an unknown name."""
    with spaces.inside(namespace):
        return socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK, protocol)


def close_with_reset(sock: socket.socket) -> None:
    """Close a TCP socket by RST, so that no TIME_WAIT and no half-closed conntrack entry is left (tcp(7), SO_LINGER)."""
    with suppress(OSError):  # already gone
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
    sock.close()


def error_queue(sock: socket.socket) -> list[Report]:
    """Everything in the error queue of ``sock``, oldest first; empty where there is nothing or ``IP_RECVERR`` is off."""
    reports: list[Report] = []
    while True:
        try:
            payload, ancillary, _, _ = sock.recvmsg(2048, 256, MSG_ERRQUEUE)
        except OSError:
            return reports
        for level, kind, data in ancillary:
            if level == socket.IPPROTO_IP and kind == IP_RECVERR:
                error, origin, icmp, code, info = struct.unpack_from("=IBBBxI", data)
                if origin not in (_ICMP_ORIGIN, _LOCAL_ORIGIN):
                    continue
                ours = origin == _LOCAL_ORIGIN
                sender = "" if ours or len(data) < 24 else socket.inet_ntoa(data[20:24])
                reports.append(Report(error, -1 if ours else icmp, -1 if ours else code, info, sender, payload))


def say_report(report: Report) -> str:
    """The ICMP message in words: ``"ICMP port unreachable from 10.1.1.5"``."""
    if report.kind == 3:
        what = _UNREACHABLE.get(report.code, f"unreachable, code {report.code}")
        named = f" (MTU {report.info})" if report.code == 4 else ""
        return f"ICMP {what}{named} from {report.sender}"
    if report.kind == 11:
        return f"ICMP time exceeded from {report.sender}"
    if report.too_big:
        return f"larger than the MTU {report.info}"
    return f"ICMP type {report.kind} code {report.code} from {report.sender}"


def outcome_of(error: int, phase: str, reports: list[Report] | None = None) -> Outcome:
    """What an errno met in ``phase`` (connect, send, answer) says about an edge.

    A refusal is somebody's plain no: RST to a SYN, ICMP port or protocol unreachable, or administratively prohibited.  No
    route, a dead next hop and a packet dropped by the sender's own firewall are ``timed out`` with the reason in the detail: the
    traffic vanishes, only sooner.  What was our own fault (no descriptors, no ports left) is ``unknown``.
    """
    report = reports[-1] if reports else None
    if report is not None and report.kind >= 0:
        said_no = report.kind == 3 and report.code in _SAID_NO
        detail = say_report(report)
        return Outcome(State.REFUSED, detail) if said_no else Outcome(State.TIMED_OUT, f"{phase}: {detail}")
    if error == errno.ECONNREFUSED:
        return Outcome(State.REFUSED)
    if error in (errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED):
        return Outcome(State.RESET, f"reset during {phase}")
    if error in (errno.EPERM, errno.EACCES):
        return Outcome(State.TIMED_OUT, f"{phase}: dropped by the sender's own firewall or routes")
    if error == errno.EINVAL:
        return Outcome(State.TIMED_OUT, f"{phase}: the route is a black hole")
    if error in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.ENETDOWN):
        return Outcome(State.TIMED_OUT, f"{phase}: {os.strerror(error).lower()}")
    if error == errno.EMSGSIZE:
        size = f" of {report.info} bytes" if report is not None else ""
        return Outcome(State.TIMED_OUT, f"{phase}: larger than the path MTU{size}")
    if error == errno.ETIMEDOUT:
        return Outcome(State.TIMED_OUT, phase)
    return Outcome(State.UNKNOWN, f"{phase}: {os.strerror(error)}")


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def echo_request(identifier: int, sequence: int, payload: bytes) -> bytes:
    """An ICMP echo request (RFC 792)."""
    bare = struct.pack(">BBHHH", 8, 0, 0, identifier, sequence) + payload
    return bare[:2] + struct.pack(">H", checksum(bare)) + bare[4:]


def echo_reply(packet: bytes) -> tuple[int, int, bytes] | None:
    """Identifier, sequence and payload of the echo reply in a packet from a raw socket, or None where it is none."""
    head = (packet[0] & 15) * 4
    if len(packet) < head + 8 or packet[head] != 0:
        return None
    identifier, sequence = struct.unpack_from(">HH", packet, head + 4)
    return identifier, sequence, packet[head + 8 :]


def ping_socket(spaces: Spaces, namespace: str, discovery: int = IP_PMTUDISC_DO) -> socket.socket:
    """A raw ICMP socket that hears echo replies only, sets DF (by ``discovery``) and keeps ICMP errors in its error queue."""
    sock = open_socket(spaces, namespace, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    sock.setsockopt(SOL_RAW, ICMP_FILTER, struct.pack("=I", ~(1 << 0) & 0xFFFFFFFF))
    sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, discovery)
    sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
    return sock


class Poller:
    """An epoll of its own inside the asyncio loop, so that a socket costs a dictionary entry and no asyncio object.

    Handlers are called with the event mask and must bear being called for nothing: a descriptor closed and opened again within
    one round may inherit an event.  A round ends after a few milliseconds, for the loop's other work.
    """

    ROUND = 0.003

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[int], object]] = {}
        loop.add_reader(self._epoll.fileno(), self.drain)

    def watch(self, fd: int, events: int, handler: Callable[[int], object]) -> None:
        """Call ``handler(mask)`` when one of ``events`` is there."""
        self._epoll.register(fd, events)
        self._handlers[fd] = handler

    def change(self, fd: int, events: int) -> None:
        """Watch a known descriptor for other events."""
        self._epoll.modify(fd, events)

    def forget(self, fd: int) -> None:
        """Stop watching; call before closing.  Unknown descriptors are ignored."""
        if self._handlers.pop(fd, None) is not None:
            with suppress(OSError):  # closed already, and with that out of the epoll
                self._epoll.unregister(fd)

    def drain(self) -> None:
        """Handle what is ready, and what that makes ready, for at most one round."""
        until = monotonic() + self.ROUND
        poll, handlers = self._epoll.poll, self._handlers
        while events := poll(0, 256):
            for fd, mask in events:
                handler = handlers.get(fd)
                if handler is not None:
                    handler(mask)
            if monotonic() > until:
                return

    def close(self) -> None:
        """Leave the loop.  The sockets are their owners'."""
        self._loop.remove_reader(self._epoll.fileno())
        self._handlers.clear()
        self._epoll.close()
