"""DNS as a pod's own resolver asks it: one UDP query to the pod's server, TCP where the answer was cut (RFC 1035, RFC 7766).

Asks once and does not retry, so a lost packet is seen and not papered over.  Which server a pod asks, and what a Service is
called from there, is the caller's to say.
"""

import socket
import struct
from collections.abc import Callable, Generator
from typing import NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from chaosnet.model.edge import State
from chaosnet.targets.lab.attempts import Late, Steps
from chaosnet.targets.lab.exchanges import Broken, connect, receive_some, send_all
from chaosnet.targets.lab.sockets import (
    IP_RECVERR,
    Outcome,
    Spaces,
    close_with_reset,
    error_queue,
    open_socket,
    outcome_of,
)


class Found(NamedTuple):
    """The answer: an rcode by its name (``MALFORMED`` for what is no DNS message) and the IPv4 addresses."""

    rcode: str
    addresses: tuple[str, ...]


Lookup = Generator[socket.socket, None, Found]


def lookup(spaces: Spaces, namespace: str, server: str, port: int, name: str) -> Lookup:
    """The A records of ``name`` from ``server``.  Raises Broken where the server refuses; Late passes through."""
    query = dns.message.make_query(name, dns.rdatatype.A)
    wire = query.to_wire()
    sock = open_socket(spaces, namespace, socket.SOCK_DGRAM)
    try:
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        sock.connect((server, port))
        sock.send(wire)
        while True:
            reply = _read((yield from receive_some(sock, 65535)), query)
            if reply is not None:
                break
    except OSError as error:
        raise Broken(outcome_of(error.errno or 0, "query", error_queue(sock))) from error
    finally:
        sock.close()
    if isinstance(reply, dns.message.Message) and reply.flags & dns.flags.TC:
        reply = yield from _by_tcp(spaces, namespace, server, port, query)
    if not isinstance(reply, dns.message.Message):
        return Found("MALFORMED", ())
    addresses = [record.address for rrset in reply.answer if rrset.rdtype == dns.rdatatype.A for record in rrset]
    return Found(dns.rcode.to_text(reply.rcode()), tuple(addresses))


def _read(data: bytes, query: dns.message.Message) -> dns.message.Message | bool | None:
    """The reply in ``data``; None where it answers another query, False where it is no DNS message."""
    try:
        reply = dns.message.from_wire(data, ignore_trailing=True)
    except dns.exception.DNSException:
        return False
    return reply if query.is_response(reply) else None


def _by_tcp(
    spaces: Spaces, namespace: str, server: str, port: int, query: dns.message.Message
) -> Generator[socket.socket, None, dns.message.Message | bool | None]:
    sock = open_socket(spaces, namespace, socket.SOCK_STREAM)
    try:
        yield from connect(sock, (server, port))
        wire = query.to_wire()
        yield from send_all(sock, struct.pack(">H", len(wire)) + wire)
        data = b""
        while len(data) < 2 or len(data) < 2 + int.from_bytes(data[:2], "big"):
            more = yield from receive_some(sock, 65535)
            if not more:
                return False
            data += more
        return _read(data[2:], query)
    except OSError as error:
        raise Broken(outcome_of(error.errno or 0, "query by TCP")) from error
    finally:
        close_with_reset(sock)


def ask(spaces: Spaces, namespace: str, server: str, port: int, name: str, into: list[Found] | None = None) -> Steps:
    """The attempt of a dns edge: open for an address, ``unresolved`` (with the rcode) for an answer without one.

    The answer itself is appended to ``into``.
    """
    try:
        found = yield from lookup(spaces, namespace, server, port, name)
        if into is not None:
            into.append(found)
    except Broken as broken:
        return broken.outcome
    except Late:
        return Outcome(State.TIMED_OUT, "answer")
    return Outcome(State.OPEN) if found.addresses else Outcome(State.UNRESOLVED, found.rcode)


def by_name(search: Lookup, onward: Callable[[str], Steps]) -> Steps:
    """Resolve first, then try the first address; what DNS does not give is ``unresolved`` with the rcode or TIMEOUT."""
    try:
        found = yield from search
    except Broken as broken:
        return Outcome(State.UNRESOLVED, f"{broken.outcome.state}: {broken.outcome.detail}".rstrip(": "))
    except Late:
        return Outcome(State.UNRESOLVED, "TIMEOUT")
    if not found.addresses:
        return Outcome(State.UNRESOLVED, found.rcode)
    return (yield from onward(found.addresses[0]))
