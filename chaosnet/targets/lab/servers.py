"""The servers of the lab's pods: TCP, HTTP/1.1 and UDP echo on every port a pod declares, in one epoll.

A pod that is not ready has its listeners closed, so its kernel refuses, as that of a process that is not up yet.  What a
TCP server does is decided by the first bytes it gets: our own request line (:mod:`chaosnet.targets.lab.wire`) on any port,
HTTP on the ports that say so, else an echo.  Tallies count what arrived at this far end, for throughput and streams.

Nothing here decides which pods or ports there are, and nothing here probes.
"""

import contextlib
import select
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from time import monotonic

from chaosnet.errors import ChaosnetError
from chaosnet.targets.lab import wire
from chaosnet.targets.lab.conversation import Conversation
from chaosnet.targets.lab.sockets import SO_NO_CHECK, Poller, Spaces, open_socket

# tcp(7): listeners pass these on, so the ends of a connection that a partition cut forget it by themselves.
_LISTENER = (
    (socket.SOL_SOCKET, socket.SO_REUSEADDR, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60), (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)  # fmt: skip
_BATCH = 64


@dataclass(frozen=True, slots=True)
class Serving:
    """One port and what answers there: ``kind`` is tcp (echo), http or udp (echo)."""

    port: int
    kind: str = "tcp"


@dataclass(slots=True)
class Tally:
    """What reached the far end under one name: payload bytes, when the first and the last came, and numbered datagrams."""

    bytes: int = 0
    first: float = 0.0
    last: float = 0.0
    numbers: set[int] = field(default_factory=set)

    def add(self, size: int) -> None:
        """Count ``size`` bytes that have just arrived."""
        self.last = monotonic()
        self.first = self.first or self.last
        self.bytes += size


class Servers:
    """All servers of a lab."""

    def __init__(self, spaces: Spaces, poller: Poller) -> None:
        self._spaces = spaces
        self._poller = poller
        self._open: dict[str, dict[Serving, socket.socket]] = {}
        self._buffer = bytearray(65536)
        self._view = memoryview(self._buffer)
        self._talking: dict[str, set[Conversation]] = {}
        self.tallies: dict[str, Tally] = {}
        self.streams: dict[int, Tally] = {}

    def serving(self, namespace: str) -> tuple[Serving, ...]:
        """What answers in a namespace now."""
        return tuple(self._open.get(namespace, ()))

    def serve(self, namespace: str, wanted: Iterable[Serving]) -> None:
        """Serve exactly ``wanted`` in ``namespace`` (nothing: not ready, or gone); what is open already stays open.

        Raises ChaosnetError where a port is taken by somebody else in there.
        """
        now = self._open.setdefault(namespace, {})
        aim = set(wanted)
        for serving in tuple(now):
            if serving not in aim:
                self._close(now.pop(serving))
        if not aim:
            # A process that has gone takes its connections with it.
            for conversation in tuple(self._talking.pop(namespace, ())):
                conversation.close()
            self._open.pop(namespace, None)
            return
        for serving in sorted(aim - set(now), key=lambda one: (one.port, one.kind)):
            try:
                now[serving] = self._listen(namespace, serving)
            except OSError as error:
                raise ChaosnetError(f"{namespace} cannot serve {serving.kind} port {serving.port}: {error.strerror}") from error

    def close(self) -> None:
        """Close everything."""
        for namespace in tuple(self._open):
            self.serve(namespace, ())

    def _listen(self, namespace: str, serving: Serving) -> socket.socket:
        udp = serving.kind == "udp"
        sock = open_socket(self._spaces, namespace, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM)
        try:
            if udp:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
                sock.bind(("0.0.0.0", serving.port))
                self._poller.watch(sock.fileno(), select.EPOLLIN, lambda _: self._echo(sock))
                return sock
            for level, option, value in _LISTENER:
                sock.setsockopt(level, option, value)
            sock.bind(("0.0.0.0", serving.port))
            sock.listen(4096)
        except OSError:
            sock.close()
            raise
        talking = self._talking.setdefault(namespace, set())
        speaks_http = serving.kind == "http"
        self._poller.watch(
            sock.fileno(), select.EPOLLIN, lambda _: self._accept(sock, talking, namespace, speaks_http)
        )
        return sock

    def _close(self, sock: socket.socket) -> None:
        self._poller.forget(sock.fileno())
        sock.close()

    def _accept(self, listener: socket.socket, talking: set[Conversation], name: str, speaks_http: bool) -> None:
        for _ in range(_BATCH):
            try:
                sock, _ = listener.accept()
            except OSError:
                return  # nobody more, or gone again before we came
            sock.setblocking(False)
            conversation = Conversation(sock, name, speaks_http, self._tally, talking, self._poller)
            conversation.begin()

    def _tally(self, name: str, size: int) -> None:
        tally = self.tallies.get(name)
        if tally is not None:
            tally.add(size)

    def _echo(self, sock: socket.socket) -> None:
        buffer, view = self._buffer, self._view
        try:
            size, peer = sock.recvfrom_into(buffer)
            magic, wanted = wire.HEAD.unpack_from(buffer)
            if size < wire.DATAGRAM or (magic != wire.PROBE and magic != wire.STREAM):
                sock.sendto(view[:size], peer)
            elif magic == wire.PROBE:
                if wanted <= wire.DATAGRAM:
                    sock.sendto(view[: wire.DATAGRAM], peer)
                else:
                    sock.sendto(bytes(view[: wire.DATAGRAM]).ljust(min(wanted, 65507), b"."), peer)
            else:
                self._stream(sock, bytes(view[:size]), peer)
        except OSError:
            pass  # an ICMP error of an earlier answer, or no way back: the asker's time runs out, as it should

    def _stream(self, sock: socket.socket, datagram: bytes, peer: tuple[str, int]) -> None:
        read = wire.read_numbered(datagram)
        tally = self.streams.get(read[0]) if read is not None else None
        if read is not None and tally is not None:
            tally.add(len(datagram))
            tally.numbers.add(read[1])
        with contextlib.ExitStack() as after:
            sock.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
            after.callback(sock.setsockopt, socket.SOL_SOCKET, SO_NO_CHECK, 0)
            sock.sendto(datagram, peer)
