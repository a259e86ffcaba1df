"""A Match as nftables text, for tables of the families inet and netdev.

Text is made of addresses that :mod:`ipaddress` has parsed, of whole numbers, and of words from this file: nothing that a
user wrote reaches nftables.  This module chooses no table, chain, hook or verdict.
"""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network

from chaosnet.errors import InputError, Unsupported
from chaosnet.model.change import Match

_PROTOCOLS = {"tcp": "tcp", "udp": "udp", "sctp": "sctp", "icmp": "{ icmp, ipv6-icmp }"}
_SIDES = {"destination": ("dport",), "source": ("sport",), "either": ("dport", "sport")}
# RFC 1191 section 4 and RFC 4443 section 3.2: what tells a sender that its packet was too big.
_TOO_BIG = {4: "icmp type destination-unreachable icmp code frag-needed", 6: "icmpv6 type packet-too-big"}
_WORD = {4: "ip", 6: "ip6"}


def networks(addresses: Iterable[str]) -> dict[int, tuple[str, ...]]:
    """Addresses (single or with a prefix) by IP version, merged; InputError for text that is none."""
    found: tuple[list[IPv4Network], list[IPv6Network]] = ([], [])
    for text in addresses:
        try:
            # A scope ("%eth0") is free text inside an address and means nothing in a rule.
            network = ip_network(text, strict=False) if "%" not in text else None
        except ValueError:
            network = None
        if network is None:
            raise InputError("", f"{text!r} is not an IP address or network", "write one like 10.0.1.7 or 10.1.0.0/16")
        if isinstance(network, IPv4Network):
            found[0].append(network)
        else:
            found[1].append(network)
    return {
        4: tuple(_text(network) for network in collapse_addresses(found[0])),
        6: tuple(_text(network) for network in collapse_addresses(found[1])),
    }


def _text(network: IPv4Network | IPv6Network) -> str:
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def one_or_set(items: Iterable[str | int]) -> str:
    """``a`` or ``{ a, b }``."""
    texts = [str(item) for item in items]
    return texts[0] if len(texts) == 1 else f"{{ {', '.join(texts)} }}"


def _addresses(word: str, side: str, texts: tuple[str, ...]) -> str:
    # nftables takes no prefix of length 0 in a set; it means any address of the family anyway.
    if any(text.endswith("/0") for text in texts):
        return f"meta protocol {word}"
    return f"{word} {side} {one_or_set(texts)}"


def _ports(match: Match) -> list[str]:
    """The alternatives for ports, no packet matching two of them."""
    if not match.ports:
        return [""]
    if match.side not in _SIDES:
        raise Unsupported(f"a match has ports of the unknown side {match.side!r}; use {', '.join(_SIDES)}")
    if not all(isinstance(port, int) and 0 < port < 65536 for port in match.ports):
        raise InputError("", f"{match.ports!r} holds something that is no port", "ports are 1 to 65535")
    ports = sorted(set(match.ports))
    sides = _SIDES[match.side]
    first = f"th {sides[0]} {one_or_set(ports)}"
    return [first] if len(sides) == 1 else [first, f"th {sides[0]} != {one_or_set(ports)} th {sides[1]} {one_or_set(ports)}"]


def expressions(match: Match) -> tuple[str, ...]:
    """Rules' left-hand sides that together match what ``match`` says; a packet matches at most one of them.

    The empty text matches everything.  Raises Unsupported for a protocol or side it does not know, InputError for
    text that is no address and for a match that no packet can satisfy.
    """
    if match.protocol and match.protocol not in _PROTOCOLS:
        raise Unsupported(f"a match on the protocol {match.protocol!r} is unknown here; use {', '.join(_PROTOCOLS)}")
    if match.icmp not in ("", "fragmentation-needed"):
        raise Unsupported(f"a match on ICMP {match.icmp!r} is unknown here; use fragmentation-needed")
    if match.ports and (match.icmp or match.protocol == "icmp"):
        raise InputError("", "a match has ICMP and ports, which no packet has", "leave one out")
    if match.icmp and match.protocol not in ("", "icmp"):
        raise InputError("", f"a match has ICMP and {match.protocol}, which no packet is", "leave one out")
    sources, destinations = networks(match.sources), networks(match.destinations)
    anywhere = not match.sources and not match.destinations
    kind = f"meta l4proto {_PROTOCOLS[match.protocol]}" if match.protocol and not match.icmp else ""
    if match.ports and not match.protocol:
        kind = "meta l4proto { tcp, udp, sctp }"
    texts = []
    for version in (4, 6):
        if (match.sources and not sources[version]) or (match.destinations and not destinations[version]):
            continue
        heads = [_addresses(_WORD[version], "saddr", sources[version])] if sources[version] else []
        heads += [_addresses(_WORD[version], "daddr", destinations[version])] if destinations[version] else []
        if match.icmp:
            texts.append(" ".join([*heads, _TOO_BIG[version]]))
            continue
        texts += [" ".join(part for part in (*heads, kind, ports) if part) for ports in _ports(match)]
        if anywhere:
            break
    if not texts:
        raise InputError("", "a match's sources and destinations are of different IP versions", "no packet is both")
    return tuple(texts)
