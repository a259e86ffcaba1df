"""The attempts themselves: TCP, HTTP, UDP and ICMP, each from its socket to its outcome.

Generators for :class:`chaosnet.targets.lab.attempts.Attempts`.  Every one tells all states apart and, where time runs
out, in which phase it was: connect, send or answer.  DNS is :mod:`chaosnet.targets.lab.resolver`.
"""

import errno
import fcntl
import os
import socket
import struct
from collections.abc import Generator

from chaosnet.model.edge import State
from chaosnet.targets.lab import wire
from chaosnet.targets.lab.attempts import Late, Steps
from chaosnet.targets.lab.sockets import (
    IP_RECVERR,
    SIOCOUTQ,
    Outcome,
    Spaces,
    close_with_reset,
    echo_reply,
    echo_request,
    error_queue,
    open_socket,
    outcome_of,
    ping_socket,
)

Address = tuple[str, int]
_OPEN = Outcome(State.OPEN)
_WAITING = (errno.EINPROGRESS, errno.EALREADY)


class Broken(Exception):
    """An exchange that cannot go on; carries its outcome."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.detail)
        self.outcome = outcome


def connect(sock: socket.socket, address: Address) -> Generator[socket.socket, None, None]:
    """Connect a TCP socket; Broken where it is refused, Late (with no phase yet) where nobody answers."""
    # With IP_RECVERR an ICMP error ends the handshake and its type and code can be read; without it only an errno is left.
    sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
    error = sock.connect_ex(address)
    if error == errno.EINPROGRESS:
        # Over veth the whole handshake runs inside connect(2); asking again saves the trip through epoll.
        error = sock.connect_ex(address)
    while error in _WAITING:
        # An ICMP error that came while connect(2) still held the socket is in the queue only (tcp_v4_err in the kernel).
        if reports := error_queue(sock):
            raise Broken(outcome_of(reports[-1].error, "connect", reports))
        yield sock
        error = sock.connect_ex(address)
    if error not in (0, errno.EISCONN):
        raise Broken(outcome_of(error, "connect", error_queue(sock)))


def send_all(sock: socket.socket, data: bytes) -> Generator[socket.socket, None, None]:
    # From here on an ICMP error is a hint to TCP, as for any application (RFC 1122 section 4.2.3.9).
    sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 0)
    view = memoryview(data)
    while view:
        try:
            view = view[sock.send(view) :]
        except BlockingIOError:
            yield sock


def receive_some(sock: socket.socket, size: int) -> Generator[socket.socket, None, bytes]:
    while True:
        try:
            return sock.recv(size)
        except BlockingIOError:
            yield sock


def _unacknowledged(sock: socket.socket) -> int:
    """Bytes that TCP has not seen acknowledged (tcp(7), SIOCOUTQ)."""
    return int(struct.unpack("=i", fcntl.ioctl(sock, SIOCOUTQ, b"\0" * 4))[0])


def tcp(spaces: Spaces, namespace: str, address: Address, send: int = 0, receive: int = 0, tally: str = "-") -> Steps:
    """A connect; with ``send`` or ``receive`` also our own exchange, open only when the far end has everything and so have we."""
    sock = open_socket(spaces, namespace, socket.SOCK_STREAM)
    phase = "connect"
    size = got = 0
    try:
        yield from connect(sock, address)
        if not send and not receive:
            return _OPEN
        phase = "send"
        request = wire.request(send, receive, tally)
        size = len(request)
        yield from send_all(sock, request)
        phase = "answer"
        expected = wire.answer(size, receive)
        head = b""
        while got < len(expected):
            data = yield from receive_some(sock, 65536)
            if not data:
                return Outcome(State.RESET, f"closed after {got} of {len(expected)} bytes of the answer")
            if len(head) < 32:
                head += data[:32]
            got += len(data)
        if not head.startswith(expected[: min(32, len(head))]):
            return Outcome(State.DEGRADED, "the answer is not the one that was asked for")
        return _OPEN
    except Broken as broken:
        return broken.outcome
    except OSError as error:
        return outcome_of(error.errno or 0, phase)
    except Late:
        return Outcome(State.TIMED_OUT, _say_late(sock, phase, size, got, max(receive, 1)))
    finally:
        close_with_reset(sock)


def _say_late(sock: socket.socket, phase: str, size: int, got: int, wanted: int) -> str:
    if phase == "connect":
        return phase
    missing = _unacknowledged(sock)
    if missing:
        return f"send: {max(0, size - missing)} of {size} bytes acknowledged"
    return f"answer: {got} of {wanted} bytes arrived"


def http(spaces: Spaces, namespace: str, address: Address, host: str, send: int = 0, receive: int = 0) -> Steps:
    """A GET, or a POST of ``send`` bytes; open for a 2xx whose whole body came, of at least ``receive`` bytes if asked."""
    sock = open_socket(spaces, namespace, socket.SOCK_STREAM)
    phase = "connect"
    size = got = 0
    try:
        yield from connect(sock, address)
        phase = "send"
        target = f"/?bytes={receive}" if receive else "/"
        length = f"Content-Length: {send}\r\n" if send else ""
        head = f"{'POST' if send else 'GET'} {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: chaosnet\r\n"
        request = f"{head}Accept: */*\r\n{length}Connection: close\r\n\r\n".encode("ascii") + b"." * send
        size = len(request)
        yield from send_all(sock, request)
        phase = "answer"
        chunks: list[bytes] = []
        whole = -1
        while whole < 0 or got < whole:
            data = yield from receive_some(sock, 65536)
            if not data:
                break
            chunks.append(data)
            got += len(data)
            if whole < 0:
                chunks = [b"".join(chunks)]
                whole = _whole_length(chunks[0])
        return _judge_http(b"".join(chunks), whole, receive)
    except Broken as broken:
        return broken.outcome
    except OSError as error:
        return outcome_of(error.errno or 0, phase)
    except Late:
        return Outcome(State.TIMED_OUT, _say_late(sock, phase, size, got, max(receive, 1)))
    finally:
        close_with_reset(sock)


def _whole_length(seen: bytes) -> int:
    """Length of the whole response once its head says it; -1 before that, a huge number where only the close will tell.

    What does not even begin as HTTP does is whole as it is.
    """
    if not seen.startswith(b"HTTP/"[: len(seen)]):
        return 0
    end = seen.find(b"\r\n\r\n")
    if end < 0:
        return -1
    for line in seen[:end].split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            return end + 4 + int(value)
    return 1 << 60


def _judge_http(seen: bytes, whole: int, receive: int) -> Outcome:
    words = seen[:64].split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1][:3].isdigit():
        if not seen:
            return Outcome(State.RESET, "closed without an answer")
        return Outcome(State.DEGRADED, "the answer is not HTTP")
    status = int(words[1][:3])
    if not 200 <= status < 300:
        return Outcome(State.DEGRADED, f"HTTP {status}")
    end = seen.find(b"\r\n\r\n")
    if end < 0 or (whole < 1 << 60 and len(seen) < whole):
        return Outcome(State.RESET, f"closed after {len(seen)} bytes of the answer")
    body = len(seen) - end - 4
    if receive and body < receive:
        return Outcome(State.DEGRADED, f"HTTP {status} with {body} of {receive} bytes")
    return _OPEN


def udp(spaces: Spaces, namespace: str, address: Address, send: int = 0, receive: int = 0) -> Steps:
    """One datagram and its answer, from a fresh port."""
    sock = open_socket(spaces, namespace, socket.SOCK_DGRAM)
    phase = "send"
    try:
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        sock.connect(address)
        sock.send(wire.probe(0, 1, send, receive))
        phase = "answer"
        answer = yield from receive_some(sock, 65536)
        if receive and len(answer) < receive:
            return Outcome(State.DEGRADED, f"{len(answer)} of {receive} bytes in the answer")
        return _OPEN
    except OSError as error:
        if error.errno == errno.EMSGSIZE and send > 65507:
            return Outcome(State.UNKNOWN, f"{send} bytes are more than one datagram carries")
        return outcome_of(error.errno or 0, phase, error_queue(sock))
    except Late:
        return Outcome(State.TIMED_OUT, phase)
    finally:
        sock.close()


def icmp(spaces: Spaces, namespace: str, address: str, send: int = 0) -> Steps:
    """One echo request of ``send`` payload bytes (56 unless told, as ping(8)) with DF set, and its reply."""
    sock = ping_socket(spaces, namespace)
    phase = "send"
    # Connection tracking takes echoes of one identifier for one flow, and every attempt asks what a new flow meets.
    identifier, token = int.from_bytes(os.urandom(2)), os.urandom(2)
    try:
        sock.connect((address, 0))
        payload = token.ljust(send or 56, b".")
        sock.send(echo_request(identifier, int.from_bytes(token), payload))
        phase = "answer"
        while True:
            packet = yield from receive_some(sock, 65536)
            reply = echo_reply(packet)
            if reply is not None and reply[:2] == (identifier, int.from_bytes(token)):
                return _OPEN if len(reply[2]) >= len(payload) else Outcome(State.DEGRADED, "the reply was cut short")
    except OSError as error:
        return outcome_of(error.errno or 0, phase, error_queue(sock))
    except Late:
        return Outcome(State.TIMED_OUT, phase)
    finally:
        sock.close()
