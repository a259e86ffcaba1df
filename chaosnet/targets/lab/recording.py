"""Captures at several points of a lab at once, into one file.

A tcpdump runs at each point until the time is up or it is told to stop; their packets are sorted by time into a pcapng file
(draft-ietf-opsawg-pcapng) with one interface a point, called after it.  Which points there are is
:mod:`chaosnet.targets.lab.capture`.
"""

import os
import signal
import struct
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chaosnet.errors import InputError, TargetError
from chaosnet.targets.lab.client import LabTarget
from chaosnet.targets.lab.processes import program

_MICRO, _NANO = 0xA1B2C3D4, 0xA1B23C4D
_FILE, _RECORD = struct.Struct("=IHHiIII"), struct.Struct("=IIII")
_SNAPLEN = 262144


@dataclass(slots=True)
class Recorder:
    """What one point has seen.  ``packets`` are nanoseconds since the epoch, length on the wire, and bytes."""

    point: str
    namespace: str
    device: str
    link_type: int = 1
    packets: list[tuple[int, int, bytes]] = field(default_factory=list)
    status: int = 0
    said: str = ""


def record(
    lab: LabTarget,
    points: Sequence[tuple[str, str, str]],
    path: Path,
    seconds: float,
    expression: str,
    wait: Callable[[float], object],
) -> dict[str, int]:
    """Capture at ``points`` (name, namespace, interface) while ``wait(seconds)`` waits; point → packets.

    ``expression`` is a filter as pcap-filter(7) has it.  Raises TargetError where tcpdump says no, InputError for a file that
    cannot be written.
    """
    try:
        file = path.open("wb")
    except OSError as error:
        raise InputError("-w", f"{path} cannot be written: {error.strerror}", "name another file") from None
    with file:
        recorders = [Recorder(*point) for point in points]
        stops: list[Callable[[int], None]] = []
        threads = [threading.Thread(target=_follow, args=(lab, one, expression, stops.append), daemon=True) for one in recorders]
        for thread in threads:
            thread.start()
        wait(seconds)
        for stop in stops:
            stop(signal.SIGINT)
        for thread in threads:
            thread.join(10.0)
        for one in recorders:
            if one.status not in (0, 128 + signal.SIGINT, 128 + signal.SIGTERM):
                raise TargetError(f"tcpdump at {one.point} ({one.namespace}) said: {one.said or one.status}")
        file.write(_pcapng(recorders))
    return {one.point: len(one.packets) for one in recorders}


def _follow(lab: LabTarget, one: Recorder, expression: str, note: Callable[[Callable[[int], None]], None]) -> None:
    out_read, out_write = os.pipe()
    error_read, error_write = os.pipe()
    nothing = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    reader = threading.Thread(target=_read, args=(out_read, one), daemon=True)
    reader.start()
    # -Z root: giving up privileges needs other users' ids, which an ordinary user's lab has not.
    argv = [program("tcpdump"), "-i", one.device, "-n", "-U", "-s", str(_SNAPLEN), "-Z", "root", "-w", "-"]
    try:
        one.status = lab.run(
            one.namespace, [*argv, *([expression] if expression else [])], (nothing, out_write, error_write), note
        )
    finally:
        for descriptor in (out_write, error_write, nothing):
            os.close(descriptor)
    with os.fdopen(error_read, errors="replace") as words:
        lines = [line.strip() for line in words.read(65536).splitlines() if "error" in line.lower() or "tcpdump:" in line]
        one.said = " ".join(lines[-1:])
    reader.join()


def _read(descriptor: int, one: Recorder) -> None:
    """tcpdump's output (pcap-savefile(5)) into packets."""
    with os.fdopen(descriptor, "rb") as stream:
        header = stream.read(_FILE.size)
        if len(header) < _FILE.size:
            return
        magic, _, _, _, _, _, one.link_type = _FILE.unpack(header)
        scale = 1 if magic == _NANO else 1000
        while len(head := stream.read(_RECORD.size)) == _RECORD.size:
            seconds, part, kept, length = _RECORD.unpack(head)
            one.packets.append((seconds * 10**9 + part * scale, length, stream.read(kept)))


def _pcapng(recorders: Sequence[Recorder]) -> bytes:
    blocks = [_block(0x0A0D0D0A, struct.pack("=IHHq", 0x1A2B3C4D, 1, 0, -1))]
    for one in recorders:
        # Options: if_name (2), if_tsresol (9) of 10^-9 s, end.
        options = _option(2, one.point.encode()) + _option(9, b"\x09") + _option(0, b"")
        blocks.append(_block(1, struct.pack("=HHI", one.link_type, 0, _SNAPLEN) + options))
    packets = sorted((at, number, length, data) for number, one in enumerate(recorders) for at, length, data in one.packets)
    for at, number, length, data in packets:
        head = struct.pack("=IIIII", number, at >> 32, at & 0xFFFFFFFF, len(data), length)
        blocks.append(_block(6, head + _padded(data)))
    return b"".join(blocks)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("=HH", code, len(value)) + _padded(value)


def _block(kind: int, body: bytes) -> bytes:
    length = len(body) + 12
    return struct.pack("=II", kind, length) + body + struct.pack("=I", length)
