"""Sets of addresses as disjoint ranges of numbers: union, difference, and their text in nftables.

One set holds addresses of one family.  A block with exceptions, or with a cluster's pods taken out, stays small this way where
prefixes would multiply.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Ranges:
    """Inclusive pairs of numbers, ascending, disjoint and not adjacent: equal sets are equal values."""

    version: int
    pairs: tuple[tuple[int, int], ...] = ()

    def __contains__(self, address: Address) -> bool:
        return address.version == self.version and any(low <= int(address) <= high for low, high in self.pairs)

    def __bool__(self) -> bool:
        return bool(self.pairs)

    def __or__(self, other: "Ranges") -> "Ranges":
        return join(self.version, (*self.pairs, *other.pairs))

    def __sub__(self, other: "Ranges") -> "Ranges":
        left: list[tuple[int, int]] = []
        for low, high in self.pairs:
            for cut_low, cut_high in other.pairs:
                if cut_high < low or cut_low > high:
                    continue
                if cut_low > low:
                    left.append((low, cut_low - 1))
                low = cut_high + 1
            if low <= high:
                left.append((low, high))
        return Ranges(self.version, tuple(left))

    def elements(self) -> str:
        """The set as nftables elements: addresses, prefixes where a range is one, else ranges."""
        kind: type[Address] = ipaddress.IPv4Address if self.version == 4 else ipaddress.IPv6Address
        width = 32 if self.version == 4 else 128
        texts = []
        for low, high in self.pairs:
            size = high - low + 1
            if size == 1:
                texts.append(str(kind(low)))
            elif size & (size - 1) == 0 and low % size == 0 and size < 1 << width:
                texts.append(f"{kind(low)}/{width - size.bit_length() + 1}")
            else:
                texts.append(f"{kind(low)}-{kind(high)}")
        return ", ".join(texts)


def join(version: int, pairs: Iterable[tuple[int, int]]) -> Ranges:
    """The union of inclusive pairs in any order."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(pairs):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return Ranges(version, tuple(merged))


def of_network(network: Network) -> Ranges:
    """Every address of a network."""
    return Ranges(network.version, ((int(network.network_address), int(network.broadcast_address)),))


def of_addresses(version: int, addresses: Iterable[Address]) -> Ranges:
    """Those of ``addresses`` that are of the family."""
    return join(version, ((int(address), int(address)) for address in addresses if address.version == version))


def everything(version: int) -> Ranges:
    """Every address of a family."""
    return Ranges(version, ((0, (1 << (32 if version == 4 else 128)) - 1),))
