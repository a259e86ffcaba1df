"""Sets of addresses as ranges: arithmetic against Python's own sets, and text that says the same."""

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from chaosnet.policy.ranges import Ranges, everything, join, of_addresses, of_network

BASE = int(ipaddress.IPv4Address("10.0.0.0"))
NUMBERS = st.sets(st.integers(BASE, BASE + 40))


def ranges(numbers: set[int]) -> Ranges:
    return join(4, [(number, number) for number in numbers])


def numbers(found: Ranges) -> set[int]:
    return {number for low, high in found.pairs for number in range(low, high + 1)}


def read(text: str) -> set[int]:
    """What nftables understands by the elements."""
    found: set[int] = set()
    for element in filter(None, text.split(", ")):
        low, dash, high = element.partition("-")
        if dash:
            found |= set(range(int(ipaddress.IPv4Address(low)), int(ipaddress.IPv4Address(high)) + 1))
        else:
            found |= set(map(int, ipaddress.IPv4Network(element)))
    return found


@given(NUMBERS, NUMBERS)
def test_union_and_difference(one: set[int], other: set[int]) -> None:
    assert numbers(ranges(one) | ranges(other)) == one | other
    assert numbers(ranges(one) - ranges(other)) == one - other


@given(NUMBERS)
def test_equal_sets_are_equal_values_and_equal_texts(found: set[int]) -> None:
    low_first = join(4, [(number, number) for number in sorted(found)])
    high_first = join(4, [(number, number) for number in sorted(found, reverse=True)])
    assert low_first == high_first
    assert read(low_first.elements()) == found


def test_everything_and_families() -> None:
    assert everything(4).elements() == "0.0.0.0-255.255.255.255"
    assert of_network(ipaddress.ip_network("2001:db8::/33")).elements() == "2001:db8::/33"
    mixed = [ipaddress.ip_address("10.0.0.1"), ipaddress.ip_address("2001:db8::1")]
    assert of_addresses(6, mixed).elements() == "2001:db8::1"
    assert ipaddress.ip_address("10.0.0.1") in of_addresses(4, mixed)
    assert ipaddress.ip_address("2001:db8::1") not in of_addresses(4, mixed)
