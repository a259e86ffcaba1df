"""Packets of the in-memory network, and which of them a match means.

Values and predicates.  How packets travel is :mod:`.network`.
"""

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address, ip_network

from chaosnet.model.change import Match


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet at one spot.  ``size`` is the whole IP packet in bytes; ``new`` that no reply has been seen yet.

    ``icmp`` is ``"fragmentation-needed"`` for the message of that name (RFC 1191), and empty for all else.
    """

    source: str
    destination: str
    protocol: str
    source_port: int = 0
    destination_port: int = 0
    size: int = 60
    new: bool = False
    icmp: str = ""


@lru_cache(maxsize=65536)
def within(address: str, prefixes: tuple[str, ...]) -> bool:
    """Whether ``address`` is in one of ``prefixes``; with no prefixes, yes."""
    if not prefixes:
        return True
    number = ip_address(address)
    return any(number in network for network in (ip_network(p, strict=False) for p in prefixes))


def matches(match: Match, packet: Packet) -> bool:
    """Whether ``match`` means ``packet``."""
    if match.icmp and match.icmp != packet.icmp:
        return False
    if match.protocol and match.protocol != packet.protocol:
        return False
    if match.ports:
        at_destination = packet.destination_port in match.ports and match.side in ("destination", "either")
        at_source = packet.source_port in match.ports and match.side in ("source", "either")
        if not (at_destination or at_source):
            return False
    return within(packet.source, match.sources) and within(packet.destination, match.destinations)
