"""Sites of the small lab by their short names, and a few packets between them.  Blocking, for it is quick."""

import asyncio
import errno
import select
import socket as sockets
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chaosnet.model.change import Change
from chaosnet.model.endpoint import parse_endpoint
from chaosnet.model.inventory import Site, find
from chaosnet.targets.lab.namespaces import site_namespace

if TYPE_CHECKING:
    from chaosnet.targets.lab.executor import Executor
    from chaosnet.targets.lab.lab import Lab

TICKET = "abcdefgh01"
PATIENCE = 0.25


@dataclass
class Net:
    """One lab with its executor."""

    lab: "Lab"
    executor: "Executor"

    def site(self, name: str) -> Site:
        """A pod (``a``, ``b``, ``c``, ``d``, ``dns``), a node (``w-1``) or a router (``r-west``)."""
        pods = {"a": "west/shop/a", "b": "west/shop/b", "c": "west/shop/c", "d": "east/shop/d",
                "dns": "west/kube-system/kube-dns"}  # fmt: skip
        if name in pods:
            return find(self.lab.inventory(), parse_endpoint(pods[name], "test"))[0]
        node = next(node for node in self.lab.inventory().nodes if node.name == name)
        return Site(node.role, node.cluster, "", name, name, node.addresses)

    def space(self, name: str) -> str:
        """The namespace of :meth:`site`."""
        return site_namespace(self.site(name))

    def address(self, name: str) -> str:
        """The first address of :meth:`site`."""
        return self.site(name).addresses[0]

    def make(self, *changes: Change, ticket: str = TICKET, seconds: float = 60.0) -> None:
        """Prepare, arm and do."""
        undo = [self.executor.prepare(ticket, change) for change in changes]
        self.executor.arm(ticket, undo, seconds)
        self.undo_of[ticket] = undo
        for change, step in zip(changes, undo, strict=True):
            self.executor.do(ticket, change, step)

    def take_back(self, ticket: str = TICKET) -> None:
        """Undo what :meth:`make` did."""
        self.executor.undo(ticket, self.undo_of[ticket])

    def __post_init__(self) -> None:
        self.undo_of: dict[str, list] = {}

    # --- packets -----------------------------------------------------------------------------------------------------

    def socket(self, name: str, kind: int = sockets.SOCK_DGRAM) -> sockets.socket:
        """A socket inside."""
        with self.lab.namespaces.inside(self.space(name)):
            return sockets.socket(sockets.AF_INET, kind)

    def udp(self, source: str, destination: str, count: int = 1, port: int = 7000, size: int = 8, from_port: int = 0) -> int:
        """How many of ``count`` datagrams arrive."""
        with self.socket(source) as out, self.socket(destination) as there:
            out.bind((self.address(source), from_port))
            there.bind((self.address(destination), port))
            there.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 1 << 22)
            there.setblocking(False)
            arrived = 0
            for _ in range(count):
                try:
                    out.sendto(bytes(size), (self.address(destination), port))
                except OSError as error:
                    # A drop on the way out, an ICMP error of the packet before, or too big for the path.
                    if error.errno not in (errno.EPERM, errno.EHOSTUNREACH, errno.ECONNREFUSED, errno.EMSGSIZE):
                        raise
                arrived += self._drain(there)
            deadline = time.monotonic() + PATIENCE
            while arrived < count and time.monotonic() < deadline:
                select.select([there], [], [], 0.02)
                arrived += self._drain(there)
            return arrived

    @staticmethod
    def _drain(there: sockets.socket) -> int:
        number = 0
        try:
            while True:
                there.recv(65536)
                number += 1
        except BlockingIOError:
            return number

    def seen_source(self, source: str, destination: str, port: int = 7001) -> str:
        """The source address that the destination sees on a datagram."""
        with self.socket(source) as out, self.socket(destination) as there:
            there.bind((self.address(destination), port))
            there.settimeout(2)
            out.sendto(b"x", (self.address(destination), port))
            return there.recvfrom(100)[1][0]

    def tcp(self, source: str, destination: str, port: int = 7080, to: tuple[str, int] | None = None, mine: int = 0) -> str:
        """What a connection attempt meets: open, refused, timed out, or the error's name.

        ``to`` is the address dialled, where it is another than the destination's.
        """
        with self.socket(destination, sockets.SOCK_STREAM) as there, self.socket(source, sockets.SOCK_STREAM) as out:
            there.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)
            there.bind((self.address(destination), port))
            there.listen()
            out.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
            if mine:
                out.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)
                out.bind((self.address(source), mine))
            out.setblocking(False)
            status = out.connect_ex(to or (self.address(destination), port))
            if status == errno.EINPROGRESS:
                _, ready, _ = select.select([], [out], [], PATIENCE)
                if not ready:
                    return "timed out"
                status = out.getsockopt(sockets.SOL_SOCKET, sockets.SO_ERROR)
            return {0: "open", errno.ECONNREFUSED: "refused"}.get(status, errno.errorcode.get(status, str(status)))

    def connected(self, source: str, destination: str, port: int = 7081) -> tuple[sockets.socket, sockets.socket]:
        """Both ends of an established TCP connection."""
        with self.socket(destination, sockets.SOCK_STREAM) as there:
            there.bind((self.address(destination), port))
            there.listen()
            out = self.socket(source, sockets.SOCK_STREAM)
            out.settimeout(2)
            out.connect((self.address(destination), port))
            accepted, _ = there.accept()
            accepted.settimeout(PATIENCE)
            return out, accepted

    def biggest(self, source: str, destination: str, *sizes: int, heed: bool = False) -> int:
        """The largest of ``sizes`` (IP packets, DF set) that arrives; ``heed``: of those the sender's own routes let go."""
        best = 0
        for size in sorted(sizes):
            with self.socket(source) as out, self.socket(destination) as there:
                out.setsockopt(sockets.IPPROTO_IP, 10, 2 if heed else 3)  # IP_MTU_DISCOVER: IP_PMTUDISC_DO, _PROBE
                there.bind((self.address(destination), 7002))
                there.settimeout(PATIENCE)
                try:
                    out.sendto(bytes(size - 28), (self.address(destination), 7002))
                    there.recv(65536)
                    best = size
                except (TimeoutError, OSError):
                    continue
        return best


async def until(what: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait until ``what()`` is true; AssertionError after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.02)
