"""Packets at several points of the lab at once, written to one file.

Packet sockets (packet(7)) in the points' namespaces, read by the keeper's own loop, with the kernel's time on each packet; the
file is pcapng (draft-ietf-opsawg-pcapng) with one interface a point, called after it.  Compiles no filter: it is given one.
"""

import ctypes
import select
import socket
import struct
from collections.abc import Sequence

from chaosnet.errors import InputError, TargetError
from chaosnet.targets.lab.namespaces import Namespaces
from chaosnet.targets.lab.sockets import Poller

Point = tuple[str, str, str]
#: One instruction of the classic BPF: code, jump if true, jump if false, operand.
Instruction = tuple[int, int, int, int]

_ALL_PROTOCOLS = 0x0003  # ETH_P_ALL, <linux/if_ether.h>
_SO_ATTACH_FILTER, _SO_TIMESTAMPNS = 26, 35
_PACKET_STATISTICS = 6
_LARGEST = 262144
_MOST_PACKETS = 500_000
_ETHERNET = 1
_BATCH = 64


class Sniffer:
    """A capture that is going on."""

    def __init__(self, namespaces: Namespaces, poller: Poller, points: Sequence[Point], program: Sequence[Instruction]) -> None:
        self._poller = poller
        self._points = points
        self._sockets: list[socket.socket] = []
        self._packets: list[tuple[int, int, int, bytes]] = []
        self._buffer = bytearray(_LARGEST)
        try:
            for number, (_, namespace, device) in enumerate(points):
                with namespaces.inside(namespace):
                    self._open(number, device, program)
        except OSError as error:
            self.close()
            raise TargetError(f"packets cannot be captured at {namespace} {device}: {error.strerror}") from error

    def _open(self, number: int, device: str, program: Sequence[Instruction]) -> None:
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        self._sockets.append(wire)
        wire.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        if program:
            _attach(wire, program)
        # Only now does it see packets: none that the filter would have refused.
        wire.bind((device, _ALL_PROTOCOLS))
        self._poller.watch(wire.fileno(), select.EPOLLIN, lambda _: self._read(number, wire))

    def _read(self, number: int, wire: socket.socket) -> None:
        for _ in range(_BATCH):
            try:
                size, ancillary, _, _ = wire.recvmsg_into([self._buffer], 64)
            except OSError:
                return  # nothing more, or its device is gone
            if len(self._packets) < _MOST_PACKETS:
                seconds, rest = struct.unpack("=qq", ancillary[0][2][:16])
                self._packets.append((seconds * 10**9 + rest, number, size, bytes(self._buffer[:size])))

    def close(self) -> tuple[int, ...]:
        """Capture no more; how many packets the kernel had no room for, by point."""
        missed = []
        for number, wire in enumerate(self._sockets):
            self._read(number, wire)
            _, dropped = struct.unpack("=II", wire.getsockopt(263, _PACKET_STATISTICS, 8))  # SOL_PACKET
            missed.append(dropped)
            self._poller.forget(wire.fileno())
            wire.close()
        self._sockets.clear()
        return tuple(missed)

    def counts(self) -> tuple[int, ...]:
        """Packets captured, by point."""
        seen = [number for _, number, _, _ in self._packets]
        return tuple(seen.count(number) for number in range(len(self._points)))

    def pcapng(self) -> bytes:
        """Everything captured so far as a file, in the order of the kernel's times."""
        blocks = [_block(0x0A0D0D0A, struct.pack("=IHHq", 0x1A2B3C4D, 1, 0, -1))]
        for name, _, _ in self._points:
            # Options: if_name (2), if_tsresol (9) of 10^-9 s, end.
            options = _option(2, name.encode()) + _option(9, b"\x09") + _option(0, b"")
            blocks.append(_block(1, struct.pack("=HHI", _ETHERNET, 0, _LARGEST) + options))
        for at, number, length, data in sorted(self._packets):
            head = struct.pack("=IIIII", number, at >> 32, at & 0xFFFFFFFF, len(data), length)
            blocks.append(_block(6, head + _padded(data)))
        return b"".join(blocks)


def _attach(wire: socket.socket, program: Sequence[Instruction]) -> None:
    """socket(7), SO_ATTACH_FILTER: struct sock_fprog points to the instructions."""
    if len(program) > 4096:
        raise InputError("--filter", f"it takes {len(program)} instructions", "the kernel takes 4096: write a shorter one")
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    held = ctypes.create_string_buffer(code, len(code))
    wire.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HxxxxxxP", len(program), ctypes.addressof(held)))


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("=HH", code, len(value)) + _padded(value)


def _block(kind: int, body: bytes) -> bytes:
    length = len(body) + 12
    return struct.pack("=II", kind, length) + body + struct.pack("=I", length)
