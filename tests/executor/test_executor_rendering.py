"""The nftables text of changes, word for word, and that nothing a user wrote gets into it."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosnet.errors import ChaosnetError, InputError, Refused, TargetError, Unsupported
from chaosnet.model.change import ConntrackPressure, Filter, Match, Rewrite, Shape
from chaosnet.model.inventory import Site
from chaosnet.targets.lab import qdiscs
from chaosnet.targets.lab.lowering import Deed, devices, filters, match, shaping, tables

POD = Site("pod", "west", "shop", "a", "w-1", ("10.0.1.5",))
NODE = Site("node", "west", "", "w-1", "w-1", ("192.168.10.11",))
DEED = Deed("abcdefgh01", 2, 60.0)
HEAD = """add table inet chaosnet_abcdefgh01
add set inet chaosnet_abcdefgh01 fuse { typeof meta nfproto; flags timeout; }
add element inet chaosnet_abcdefgh01 fuse { ipv4 timeout 60000ms, ipv6 timeout 60000ms }
"""


def chain(hook: str, priority: int, *rules: str) -> str:
    """What one base chain with its rules looks like."""
    name = f"inet chaosnet_abcdefgh01 c2_{hook}"
    lines = [f"add chain {name} {{ type filter hook {hook} priority {priority}; policy accept; }}", f"flush chain {name}"]
    return "\n".join([*lines, *(f"add rule {name} meta nfproto @fuse {rule}" for rule in rules)]) + "\n"


@pytest.mark.parametrize(
    ("change", "outward", "text"),
    [
        (Filter(POD, "egress", Match()), ("eth0",), chain("output", -350, 'oifname "eth0" counter drop')),
        (
            Filter(POD, "ingress", Match(("10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"), ("10.0.1.5",), "udp", (53,)), share=0.3),
            ("eth0",),
            chain(
                "prerouting", -350,
                'iifname "eth0" ip saddr { 10.1.0.0/16, 10.2.0.0/15 } ip daddr 10.0.1.5 meta l4proto udp th dport 53 '
                "numgen random mod 1000000 < 300000 counter drop",
            ),
        ),
        (
            Filter(NODE, "egress", Match(protocol="tcp", ports=(180, 179), side="either"), after_established=True),
            ("eth0", "vxlan0"),
            "".join(
                chain(
                    hook, -150,
                    "ct state established,related accept",
                    'oifname { "eth0", "vxlan0" } meta l4proto tcp th dport { 179, 180 } counter drop',
                    'oifname { "eth0", "vxlan0" } meta l4proto tcp th dport != { 179, 180 } th sport { 179, 180 } counter drop',
                )
                for hook in ("forward", "output")
            ),
        ),
        (
            Filter(NODE, "egress", Match(destinations=("10.0.1.5", "fd00::5"), icmp="fragmentation-needed")),
            ("eth0",),
            "".join(
                chain(
                    hook, -350,
                    "ip daddr 10.0.1.5 icmp type destination-unreachable icmp code frag-needed counter drop",
                    "ip6 daddr fd00::5 icmpv6 type packet-too-big counter drop",
                )
                for hook in ("forward", "output")
            ),
        ),
        (
            Filter(NODE, "ingress", Match(sources=("10.1.1.5",)), "reject"),
            ("eth0",),
            chain(
                "prerouting", -350,
                'iifname "eth0" ip saddr 10.1.1.5 meta l4proto tcp counter reject with tcp reset',
                'iifname "eth0" ip saddr 10.1.1.5 meta l4proto != tcp counter reject with icmpx admin-prohibited',
            ),
        ),
        (
            Filter(NODE, "ingress", Match(destinations=("10.97.1.5",)), "untrack"),
            ("eth0",),
            chain("prerouting", -300, "ip daddr 10.97.1.5 counter notrack") + chain("output", -300, "ip daddr 10.97.1.5 counter notrack"),
        ),
        (
            Rewrite(NODE, Match(destinations=("10.1.0.0/16",)), "192.168.10.11"),
            ("eth0",),
            chain("postrouting", 90, 'oifname "eth0" meta nfproto ipv4 ip daddr 10.1.0.0/16 counter snat ip to 192.168.10.11')
            .replace("type filter", "type nat"),
        ),
        (
            ConntrackPressure(NODE, 9, Match(protocol="tcp")),
            (),
            "add set inet chaosnet_abcdefgh01 c2_seen { typeof meta nfproto; size 4; flags dynamic; }\n"
            + "".join(
                chain(
                    hook, -150,
                    "meta l4proto tcp ct state new add @c2_seen { meta nfproto ct count over 7 } counter drop",
                )
                for hook in ("prerouting", "output")
            ),
        ),
    ],
)  # fmt: skip
def test_text(change, outward, text):
    assert filters.render(DEED, change, outward, 7) == HEAD + text


def test_text_of_a_shape_is_in_the_netdev_family_and_fused():
    text = shaping.render(DEED, Shape(POD, "egress", Match(protocol="udp"), rate=10**6), "eth0")
    assert text == (
        "add table netdev chaosnet_abcdefgh01\n"
        "add set netdev chaosnet_abcdefgh01 fuse { typeof meta protocol; flags timeout; }\n"
        "add element netdev chaosnet_abcdefgh01 fuse { ip timeout 60000ms, ip6 timeout 60000ms }\n"
        'add chain netdev chaosnet_abcdefgh01 c2_eth0 { type filter hook egress device "eth0" priority 0; policy accept; }\n'
        "flush chain netdev chaosnet_abcdefgh01 c2_eth0\n"
        "add rule netdev chaosnet_abcdefgh01 c2_eth0 meta protocol @fuse meta l4proto udp counter meta priority set 0xc4a00003\n"
    )


def test_a_fuse_is_never_without_end():
    assert "timeout 1ms" in tables.fused("abcdefgh01", 0.0)


@pytest.mark.parametrize(
    "wanted",
    [
        Match(("10.0.0.1",), ("fd00::1",)),
        Match(icmp="fragmentation-needed", ports=(1,)),
        Match(protocol="icmp", ports=(1,)),
        Match(protocol="tcp", icmp="fragmentation-needed"),
        Match(protocol="gre"),
        Match(icmp="echo-request"),
        Match(ports=(0,)),
        Match(ports=(70000,)),
        Match(ports=(1,), side="both"),
        Match(sources=("10.0.0.1/33",)),
        Match(sources=("fe80::1%eth0",)),
    ],
)
def test_a_match_that_no_packet_can_meet_is_refused(wanted):
    with pytest.raises((InputError, Unsupported)):
        match.expressions(wanted)


@pytest.mark.parametrize("ticket", ["", "abc", "ABCDEFGHIJ", "abcdefgh0;", "abcdefgh0\n", "abcdefgh012", "äbcdefgh01"])
def test_only_a_tickets_id_becomes_a_tables_name(ticket):
    with pytest.raises(Refused):
        tables.table(ticket)


_HOSTILE = st.one_of(
    st.sampled_from(['10.0.0.1"; drop', "10.0.0.1; delete table inet x", "0.0.0.0/0 } drop", "::1%\"; drop #", "$(id)", "\n"]),
    st.text(string.printable, max_size=30),
    st.from_regex(r"10\.0\.0\.[0-9]{1,3}(/[0-9]{1,2})?", fullmatch=True),
)
# All the words that rendering may use; everything else in a text is a number or an address.
_WORDS = frozenset(
    "add table inet chaosnet_abcdefgh01 set fuse typeof meta nfproto flags timeout element ipv4 ipv6 chain type filter hook "
    "priority policy accept flush rule ip ip6 saddr daddr protocol l4proto tcp udp sctp icmp ipv6-icmp th dport sport counter "
    "drop reject with reset icmpx admin-prohibited notrack prerouting output forward destination-unreachable code frag-needed "
    "icmpv6 packet-too-big numgen random mod ct state established,related nat postrouting snat to oifname iifname eth0 "
    "c2_prerouting c2_output c2_forward c2_postrouting".split()
)


@given(
    sources=st.lists(_HOSTILE, max_size=3),
    destinations=st.lists(_HOSTILE, max_size=3),
    protocol=st.one_of(st.sampled_from(["", "tcp", "udp"]), _HOSTILE),
    ports=st.lists(st.integers(-1, 70000), max_size=3),
    side=st.one_of(st.sampled_from(["either", "source"]), _HOSTILE),
    icmp=st.one_of(st.just(""), _HOSTILE),
    direction=st.one_of(st.sampled_from(["egress", "ingress"]), _HOSTILE),
    verdict=st.one_of(st.sampled_from(["drop", "reject", "untrack"]), _HOSTILE),
    source=_HOSTILE,
)
def test_nothing_hostile_gets_into_the_text(sources, destinations, protocol, ports, side, icmp, direction, verdict, source):
    wanted = Match(tuple(sources), tuple(destinations), protocol, tuple(ports), side, icmp)
    for change in (Filter(NODE, direction, wanted, verdict), Rewrite(NODE, wanted, source)):
        try:
            text = filters.render(DEED, change, ("eth0",))
        except ChaosnetError:
            continue
        for word in re.split(r"[\s{};\",]+", text):
            assert word in _WORDS or word == "established" or not set(word) - set("0123456789abcdef:./@fuse<>!=-ms"), (word, text)


@given(name=st.text(string.printable, max_size=20))
def test_only_a_device_of_the_lab_gets_into_the_text(name):
    try:
        quoted = devices.quote(name)
    except TargetError:
        assert not re.fullmatch(r"[A-Za-z0-9_.-]{1,15}", name)
    else:
        assert re.fullmatch(r'"[A-Za-z0-9_.-]{1,15}"', quoted)


def test_netem_is_encoded_as_tc_encodes_it():
    # strace of tc (iproute2 6.1): netem delay 100ms 10ms loss 30% duplicate 5% corrupt 2% reorder 25% limit 10000
    theirs = (
        "0000000003000000 0000a2c4 0100a0c4 00000000 0a000100 6e6574656d000000 34000200 84d71700 10270000 cccccc4c 01000000"
        "cdcccc0c 5a620200 0c000300 00000040 00000000 0c000400 52b81e05 00000000"
    )
    ours = qdiscs.spoiler(3, qdiscs.CLASS, 0.1, 0.01, loss=0.3, duplicate=0.05, corrupt=0.02, reorder=0.25)
    assert ours[16:] == bytes.fromhex(theirs)
