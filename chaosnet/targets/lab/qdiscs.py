"""Queueing disciplines as netlink requests: the classifier on top, a token bucket and netem below it.

``htb`` lets everything pass at once except what an nftables rule has sent to one of its classes, by setting the packet's
priority to the class (tc-htb(8), "Classification"); below a class sit ``tbf`` for a rate and ``netem`` for the rest.
Written out by hand (<linux/pkt_sched.h>): pyroute2 computes ticks and shares in floating point and rounds whole percents.
Nothing here chooses a device or looks at what is there already.
"""

import struct

# <linux/rtnetlink.h>, <linux/netlink.h>
_NEWQDISC, _DELQDISC, _NEWTCLASS = 36, 37, 40
_REQUEST, _ACK, _EXCL, _CREATE = 0x1, 0x4, 0x200, 0x400
_KIND, _OPTIONS = 1, 2
_NESTED = 0x8000
ROOT = 0xFFFFFFFF
# Ours, told from others' by its number; the classes below it are what rules set a packet's priority to.
HANDLE = 0xC4A00000
CLASS = HANDLE | 1
_BUCKET, _NETEM = 0xC4A10000, 0xC4A20000
# A device has at most so many classes of ours: what sits below the next ones is numbered on from _BUCKET and _NETEM.
MOST_CLASSES = 1000
# tc keeps time in ticks of 64 ns (PSCHED_SHIFT in <net/pkt_sched.h>, shown in /proc/net/psched).
_TICK = 64
_ETHERNET = 1  # a link layer named by us spares the kernel's table of rates (TC_LINKLAYER_ETHERNET)
_UNLIMITED = 12_500_000_000  # bytes a second for the class: 100 Gbit/s, for the limit is the bucket's
_ALL = 0xFFFFFFFF


def _attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", len(data) + 4, kind) + data + bytes(-len(data) % 4)


def _request(kind: int, flags: int, index: int, handle: int, parent: int, name: str = "", options: bytes = b"") -> bytes:
    body = struct.pack("=BxxxiIII", 0, index, handle, parent, 0)
    if name:
        body += _attribute(_KIND, name.encode() + b"\0") + _attribute(_OPTIONS, options)
    return struct.pack("=IHHII", 16 + len(body), kind, _REQUEST | _ACK | flags, 0, 0) + body


def _rate(octets: int) -> bytes:
    return struct.pack("=BBHhHI", 0, _ETHERNET, 0, 0, 0, min(octets, _ALL))


def class_of(number: int) -> int:
    """The class of the ``number``-th (from 0) stream of packets that is shaped at one device."""
    return HANDLE | (number + 1)


def root(index: int) -> bytes:
    """The classifier: what no rule classifies leaves at once."""
    return _request(_NEWQDISC, _CREATE | _EXCL, index, HANDLE, ROOT, "htb", _attribute(2, struct.pack("=IIIII", 3, 10, 0, 0, 0)))


def branch(index: int, number: int = 0) -> bytes:
    """A class below the root, where packets wait for what is put below it."""
    burst = 1_000_000 // _TICK  # one millisecond's worth
    shape = _rate(_UNLIMITED) * 2 + struct.pack("=IIIII", burst, burst, 200_000, 0, 0)
    parms = _attribute(1, shape) + _attribute(6, struct.pack("=Q", _UNLIMITED)) + _attribute(7, struct.pack("=Q", _UNLIMITED))
    return _request(_NEWTCLASS, _CREATE | _EXCL, index, class_of(number), HANDLE, "htb", parms)


def classifier(index: int) -> tuple[bytes, bytes]:
    """The root and its first class."""
    return root(index), branch(index)


def bucket(index: int, bits: int, parent: int = CLASS, number: int = 0) -> bytes:
    """A token bucket of ``bits`` a second with a queue of 100 ms (at least ten full packets).

    Its burst is 10 ms' worth and at least two packets; larger ones (GSO) it cuts up by itself.
    """
    octets = max(1, bits // 8)
    burst = max(octets // 100, 3200)
    limit = burst + max(octets // 10, 15_140)
    shape = _rate(octets) + _rate(0) + struct.pack("=III", limit, min(_ALL, burst * 10**9 // octets // _TICK), 0)
    options = _attribute(1, shape) + _attribute(6, struct.pack("=I", burst))
    if octets > _ALL:
        options += _attribute(4, struct.pack("=Q", octets))
    return _request(_NEWQDISC, _CREATE | _EXCL, index, _BUCKET + (number << 17), parent, "tbf", options)


def spoiler(
    index: int,
    parent: int,
    delay: float = 0.0,
    jitter: float = 0.0,
    loss: float = 0.0,
    duplicate: float = 0.0,
    corrupt: float = 0.0,
    reorder: float = 0.0,
    number: int = 0,
) -> bytes:
    """netem: times in seconds, shares from 0 to 1.  ``reorder`` is the share that does not wait for ``delay``."""
    options = struct.pack(
        "=IIIIII", _ticks(delay), 10_000, _share(loss), 1 if reorder else 0, _share(duplicate), _ticks(jitter)
    )
    if reorder:
        options += _attribute(3, struct.pack("=II", _share(reorder), 0))
    if corrupt:
        options += _attribute(4, struct.pack("=II", _share(corrupt), 0))
    return _request(_NEWQDISC, _CREATE | _EXCL, index, _NETEM + (number << 17), parent, "netem", options)


def below_bucket(number: int = 0) -> int:
    """The parent of what sits below the token bucket."""
    return (_BUCKET + (number << 17)) | 1


def remove(index: int) -> bytes:
    """Take our root away, and all below it; the kernel refuses (EINVAL) where the root is not ours."""
    return _request(_DELQDISC, 0, index, HANDLE, ROOT)


def _ticks(seconds: float) -> int:
    return min(_ALL, round(seconds * 10**9) // _TICK)


def _share(part: float) -> int:
    return round(min(max(part, 0.0), 1.0) * _ALL)
