"""One accepted TCP connection of a pod's server: our own exchange, HTTP/1.1, or an echo.

A state machine fed with whatever arrives, because a connection object of asyncio would cost more than the exchange.  HTTP
is as much as curl needs: GET, HEAD and POST with Content-Length, ``Expect: 100-continue``, keep-alive; ``?bytes=N`` asks
for an answer of N bytes.  It proxies nothing and keeps no files.
"""

import select
import socket
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

from chaosnet.targets.lab import wire
from chaosnet.targets.lab.sockets import Poller

_BUFFER = bytearray(1 << 18)
_VIEW = memoryview(_BUFFER)
_HEAD_LIMIT = 16384
_OUT_LIMIT = 1 << 22
_ANSWER_LIMIT = 10**8
_FILLER = b"." * 65535 + b"\n"


class Conversation:
    """One connection.  ``begin`` once it is accepted; from then on it lives by the poller's events until either side closes."""

    __slots__ = (
        "_after", "_due", "_echoes", "_ends", "_head", "_http", "_mask", "_name", "_out", "_padding", "_poller", "_sock",
        "_talking", "_tally", "_tally_name",
    )  # fmt: skip

    def __init__(
        self, sock: socket.socket, name: str, speaks_http: bool, tally: Callable[[str, int], None],
        talking: "set[Conversation]", poller: Poller,
    ) -> None:  # fmt: skip
        self._sock = sock
        self._name = name
        self._http = speaks_http
        self._tally = tally
        self._talking = talking
        self._poller = poller
        self._head = b""
        self._due = 0
        self._after: Callable[[], None] | None = None
        self._tally_name = ""
        self._out = b""
        self._padding = 0
        self._ends = False
        self._echoes = False
        self._mask = 0

    def begin(self) -> None:
        """Read what is there already; most connections of a reach table are over before they are worth an epoll entry."""
        self._talking.add(self)
        self._read()
        if self._sock.fileno() >= 0:
            self._mask = self._events()
            self._poller.watch(self._sock.fileno(), self._mask, self._ready)

    def close(self) -> None:
        """Close, whatever was going on."""
        if self._sock.fileno() >= 0:
            self._poller.forget(self._sock.fileno())
            self._sock.close()
        self._talking.discard(self)

    def _events(self) -> int:
        # Who does not read what we answer is not read from either, or an echo would fill our memory.
        reads = len(self._out) < _OUT_LIMIT and not self._ends
        return (select.EPOLLIN if reads else 0) | (select.EPOLLOUT if self._out or self._padding else 0)

    def _ready(self, mask: int) -> None:
        if mask & select.EPOLLOUT:
            self._flush()
        if mask & ~select.EPOLLOUT and self._sock.fileno() >= 0:
            self._read()
        if self._sock.fileno() >= 0 and self._mask != (events := self._events()):
            self._mask = events
            self._poller.change(self._sock.fileno(), events)

    def _read(self) -> None:
        try:
            size = self._sock.recv_into(_BUFFER)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if size == 0:
            self._ends = True
        else:
            self._feed(_VIEW[:size])
        self._flush()

    def _feed(self, data: memoryview) -> None:
        while data:
            if self._due:
                taken = min(self._due, len(data))
                if self._tally_name:
                    self._tally(self._tally_name, taken)
                self._due -= taken
                data = data[taken:]
                if self._due == 0 and self._after is not None:
                    after, self._after = self._after, None
                    after()
                continue
            if self._echoes:
                self._say(bytes(data))
                return
            self._head += bytes(data)
            data = memoryview(self._begin_request())

    def _begin_request(self) -> bytes:
        """Look at the head so far; what is beyond it is returned, to be fed again."""
        head = self._head
        if head.startswith(wire.LINE):
            line, end, rest = head.partition(b"\n")
            if not end and len(head) < 80:
                return b""
            self._head = b""
            asked = wire.parse_line(line) if end else None
            if asked is None:
                self._ends = True
                return b""
            send, receive, self._tally_name = asked
            size = len(line) + 1
            if self._tally_name != "-":
                self._tally(self._tally_name, size)
            return self._expect(send - size, lambda: self._answer(max(send, size), receive), rest)
        if wire.LINE.startswith(head[: len(wire.LINE)]) and len(head) < len(wire.LINE):
            return b""
        if not self._http:
            self._echoes = True
            self._head = b""
            return head
        return self._begin_http(head)

    def _expect(self, due: int, after: Callable[[], None], rest: bytes) -> bytes:
        if due > 0:
            self._due, self._after = due, after
        else:
            after()
        return rest

    def _answer(self, sent: int, receive: int) -> None:
        self._tally_name = ""
        start = wire.answer(sent, 0)
        self._say(start, min(receive, _ANSWER_LIMIT) - len(start))

    def _say(self, data: bytes, padding: int = 0) -> None:
        """Queue ``data`` and then ``padding`` bytes of filler behind what is queued already."""
        if self._padding:
            self._out += b"." * self._padding
            self._padding = 0
        self._out += data
        self._padding = max(0, padding)

    def _begin_http(self, head: bytes) -> bytes:
        block, end, rest = head.partition(b"\r\n\r\n")
        if not end:
            if len(head) > _HEAD_LIMIT:
                self._reply(431, "GET", 0, False)
            return b""
        self._head = b""
        lines = block.decode("latin-1").split("\r\n")
        words = lines[0].split(" ")
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            self._reply(400, "GET", 0, False)
            return b""
        method, target, version = words
        lasting = fields.get("connection", "").lower() != "close" and version != "HTTP/1.0"
        length = fields.get("content-length", "0")
        if "transfer-encoding" in fields:
            # RFC 9112 section 6.3: a server may insist on a length.
            self._reply(411, method, 0, False)
            return b""
        if not length.isdigit() or len(length) > 12:
            self._reply(400, method, 0, False)
            return b""
        wanted = parse_qs(urlsplit(target).query).get("bytes", ["0"])[-1]
        size = int(wanted) if wanted.isdigit() and len(wanted) < 10 else 0
        if fields.get("expect", "").lower() == "100-continue" and int(length) > len(rest):
            self._say(b"HTTP/1.1 100 Continue\r\n\r\n")
        due = int(length)
        return self._expect(due, lambda: self._reply(200, method, size, lasting, due), rest)

    def _reply(self, status: int, method: str, size: int, lasting: bool, received: int = 0) -> None:
        reason = {200: "OK", 400: "Bad Request", 411: "Length Required", 431: "Request Header Fields Too Large"}[status]
        body = f"{self._name} answers; {received} bytes received\n" if status == 200 else f"{reason}\n"
        length = min(size, _ANSWER_LIMIT) or len(body)
        text = body[:length].encode("ascii", "replace")
        kept = "keep-alive" if lasting else "close"
        head = f"HTTP/1.1 {status} {reason}\r\nServer: chaosnet\r\nContent-Type: text/plain\r\n"
        whole = f"{head}Content-Length: {length}\r\nConnection: {kept}\r\n\r\n".encode("ascii")
        self._say(whole if method == "HEAD" else whole + text, 0 if method == "HEAD" else length - len(text))
        self._ends = self._ends or not lasting

    def _flush(self) -> None:
        while self._out or self._padding:
            if not self._out or (self._padding and len(self._out) < 4096):
                more = min(self._padding, len(_FILLER))
                self._out += _FILLER[-more:]
                self._padding -= more
            try:
                self._out = self._out[self._sock.send(self._out) :]
            except BlockingIOError:
                break
            except OSError:
                self.close()
                return
        if self._ends and not self._out and not self._padding:
            self.close()
