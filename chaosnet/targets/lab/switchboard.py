"""The keeper's socket: who may connect, lines in, lines out, and descriptors that come along (unix(7), SCM_RIGHTS).

What a call does is not known here: it is handed on with the connection it came by, and its result goes back when it is there.
"""

import array
import asyncio
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

from chaosnet.errors import ChaosnetError
from chaosnet.targets.lab import calls

_LONGEST = 64 * 2**20
_MOST_DESCRIPTORS = 16
Handler = Callable[["Connection", str, tuple[Any, ...]], Awaitable[Any]]


class Connection:
    """One client.  ``descriptors`` are those that came with its last line; ``gone`` are called when it hangs up."""

    def __init__(self, wire: socket.socket, loop: asyncio.AbstractEventLoop, handler: Handler) -> None:
        wire.setblocking(False)
        self._wire = wire
        self._loop = loop
        self._handler = handler
        self._pending = bytearray()
        self._sending = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self.descriptors: list[int] = []
        self.gone: list[Callable[[], None]] = []
        loop.add_reader(wire, self._readable)

    def take(self) -> list[int]:
        """The descriptors that have come; they are the caller's to close now."""
        taken, self.descriptors = self.descriptors, []
        return taken

    def _readable(self) -> None:
        try:
            data, ancillary, _, _ = self._wire.recvmsg(1 << 18, socket.CMSG_SPACE(4 * _MOST_DESCRIPTORS), socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except OSError:
            data, ancillary = b"", []
        for level, kind, packed in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                numbers = array.array("i")
                numbers.frombytes(packed[: len(packed) // 4 * 4])
                self.descriptors += numbers
        if not data or len(self._pending) > _LONGEST:
            self.close()
            return
        self._pending += data
        while (end := self._pending.find(b"\n")) >= 0:
            line = bytes(self._pending[:end])
            del self._pending[: end + 1]
            task = self._loop.create_task(self._serve(line))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, line: bytes) -> None:
        number = -1
        try:
            number, call, arguments = calls.read_request(line)
            text = calls.answer(number, await self._handler(self, call, arguments))
        except ChaosnetError as error:
            text = calls.refusal(number, error)
        except Exception as error:  # noqa: BLE001  (a bug in one call must not end the lab; the client says what it was)
            text = calls.refusal(number, error)
            self._loop.call_exception_handler({"message": "a call to the lab failed", "exception": error})
        await self.send(text)

    async def send(self, text: bytes) -> None:
        """Send a line; a client that is gone does not hear it."""
        try:
            async with self._sending:
                await self._loop.sock_sendall(self._wire, text)
        except OSError:
            self.close()

    def close(self) -> None:
        """Hang up."""
        if self._wire.fileno() < 0:
            return
        self._loop.remove_reader(self._wire)
        self._wire.close()
        for descriptor in self.take():
            os.close(descriptor)
        for farewell in self.gone:
            farewell()


class Switchboard:
    """Accepts connections of the keeper's own user, and of nobody else."""

    def __init__(self, listener: socket.socket, loop: asyncio.AbstractEventLoop, handler: Handler) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._loop = loop
        self._handler = handler
        loop.add_reader(listener, self._accept)

    def _accept(self) -> None:
        try:
            wire, _ = self._listener.accept()
        except OSError:
            return
        _, user, _ = struct.unpack("3i", wire.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        # Inside the lab its user is root, and everybody else is not (user_namespaces(7)).
        if user != os.getuid():
            wire.close()
            return
        Connection(wire, self._loop, self._handler)

    def close(self) -> None:
        """Accept nobody more."""
        self._loop.remove_reader(self._listener)
        self._listener.close()
