"""What our own servers and probes say to each other: one line on TCP, sixteen bytes on UDP.

TCP: the client's first line says how many bytes its whole request has, how many the whole answer shall have, and which tally
to count them in; the server answers once it has all of them, so an answer proves that everything arrived::

    CHAOSNET 3000 0 -
    ................
                                  GOT 3000

UDP: a datagram begins with a magic word and names the size of its answer.  Datagrams of a measured stream carry a number and a
CRC-32 of all the rest (RFC 768's checksum is switched off for them, or corruption would look like loss).

Encoding and decoding only; no sockets.
"""

import struct
import zlib

LINE = b"CHAOSNET "
PROBE, STREAM = b"cnpr", b"cnst"
_PROBE = struct.Struct(">4sIII")
_STREAM = struct.Struct(">4sIII")
HEAD = struct.Struct(">4s8xI")
DATAGRAM = _PROBE.size


def request(send: int, receive: int, tally: str = "-") -> bytes:
    """A whole TCP request of ``send`` bytes (at least the line) that wants ``receive`` bytes back."""
    line = b"CHAOSNET %d %d %s\n" % (send, receive, tally.encode("ascii"))
    return line.ljust(send, b".")


def parse_line(line: bytes) -> tuple[int, int, str] | None:
    """``send``, ``receive`` and the tally of a request's first line (without its end), or None where it is none."""
    words = line.split(b" ")
    if len(words) != 4 or words[0] != b"CHAOSNET" or not (words[1].isdigit() and words[2].isdigit()):
        return None
    if len(words[1]) > 15 or len(words[2]) > 9:
        return None
    return int(words[1]), int(words[2]), words[3].decode("ascii", "replace")


def answer(sent: int, receive: int) -> bytes:
    """The answer to a request that had ``sent`` bytes: ``receive`` bytes, at least the acknowledgement."""
    return (b"GOT %d\n" % sent).ljust(receive, b".")


def probe(flow: int, number: int, send: int = 0, receive: int = 0) -> bytes:
    """A datagram of ``send`` bytes whose answer shall have ``receive``; neither is below the 16 of its head."""
    return _PROBE.pack(PROBE, flow, number, receive).ljust(send, b".")


def probe_number(datagram: bytes) -> tuple[int, int] | None:
    """Flow and number of a probe or its answer, or None where it is neither."""
    if len(datagram) < DATAGRAM or not datagram.startswith(PROBE):
        return None
    _, flow, number, _ = _PROBE.unpack_from(datagram)
    return flow, number


def numbered(stream: int, number: int, size: int) -> bytes:
    """Datagram ``number`` of a stream; ``size`` bytes, at least the 16 of its head."""
    filler = bytes((number + i) & 0xFF for i in range(256)) * (size // 256 + 1)
    body = filler[: max(0, size - _STREAM.size)]
    check = zlib.crc32(body, zlib.crc32(struct.pack(">II", stream, number)))
    return _STREAM.pack(STREAM, stream, number, check) + body


def read_numbered(datagram: bytes) -> tuple[int, int] | None:
    """Stream and number of an intact stream datagram; None where a bit is wrong."""
    if len(datagram) < _STREAM.size:
        return None
    magic, stream, number, check = _STREAM.unpack_from(datagram)
    if magic != STREAM:
        return None
    whole = zlib.crc32(datagram[_STREAM.size :], zlib.crc32(struct.pack(">II", stream, number)))
    return (stream, number) if whole == check else None
