"""Changes said in words: one line each, that names the place and the figure."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosnet.model.change import (
    CHANGES,
    Change,
    ConntrackPressure,
    DaemonState,
    DnsAnswer,
    Filter,
    LinkMtu,
    Match,
    Object,
    Rewrite,
    RouteMtu,
    Shape,
    Sysctl,
    say,
    say_match,
)
from chaosnet.model.fault import Capabilities
from chaosnet.model.inventory import Site

POD, NODE = Site("pod", "test", "shop", "client-1"), Site("node", "test", "", "test-1")
LINK = Site("node", "test", "", "test-1", interface="transit-test")
BGP = Match(protocol="tcp", ports=(179,), side="either")
SAID: tuple[tuple[Change, str], ...] = (
    (Filter(NODE, "egress", BGP), "drop egress tcp port 179 (either side) at node:test/test-1"),
    (
        Filter(LINK, "ingress", Match(sources=("10.0.0.0/8",)), "reject", 0.3, True),
        "reject 30% of ingress packets from 10.0.0.0/8 at node:test/test-1 towards transit-test, behind established accept",
    ),
    (Filter(POD, "egress", Match(), share=0.004), "drop 0.4% of egress packets at test/shop/client-1"),
    (
        Filter(NODE, "egress", Match(icmp="fragmentation-needed")),
        "drop egress ICMP fragmentation-needed at node:test/test-1",
    ),
    (Shape(NODE, "egress", rate=10**7), "rate 10000000 bit/s on egress packets at node:test/test-1"),
    (
        Shape(NODE, "ingress", Match(protocol="udp"), delay=0.1, jitter=0.0005, loss=0.001, duplicate=0.5),
        "delay 100 ms, jitter 0.5 ms, loss 0.1%, duplicate 50% on ingress udp at node:test/test-1",
    ),
    (LinkMtu(POD, 1400), "interface MTU 1400 at test/shop/client-1"),
    (RouteMtu(NODE, ("10.1.0.0/16",), 1450), "route MTU 1450 towards 10.1.0.0/16 at node:test/test-1"),
    (
        RouteMtu(NODE, ("10.1.1.1", "10.1.1.2", "10.1.1.3", "10.1.1.4", "10.1.1.5"), 1450),
        "route MTU 1450 towards 10.1.1.1, 10.1.1.2, 10.1.1.3 and 2 more at node:test/test-1",
    ),
    (
        Rewrite(NODE, Match(destinations=("10.1.1.1",)), "192.168.10.11"),
        "source of packets to 10.1.1.1 rewritten to 192.168.10.11 at node:test/test-1",
    ),
    (Sysctl(NODE, "net.ipv4.ip_forward", "0"), "net.ipv4.ip_forward = 0 at node:test/test-1"),
    (ConntrackPressure(NODE, 5), "at most 5 tracked connections at node:test/test-1"),
    (DaemonState(NODE, "bird"), "bird stopped at node:test/test-1"),
    (DnsAnswer(POD, "slow", delay=1.5), "DNS answers after 1.5 s for all names at test/shop/client-1"),
    (
        DnsAnswer(POD, "wrong", "clusterset.local", answer="192.0.2.1"),
        "DNS answers with 192.0.2.1 for names under clusterset.local at test/shop/client-1",
    ),
    (DnsAnswer(POD, "servfail"), "DNS answers servfail for all names at test/shop/client-1"),
    (Object("prod", "delete", "NetworkPolicy", "shop", "deny"), "delete NetworkPolicy prod/shop/deny"),
    (Object("prod", "patch", "Namespace", "", "shop", "{}"), "patch Namespace prod/shop"),
)


@pytest.mark.parametrize(("change", "said"), SAID, ids=[said[:30] for _, said in SAID])
def test_what_is_said(change: Change, said: str) -> None:
    assert say(change) == said


def test_every_kind_is_said() -> None:
    assert {type(change) for change, _ in SAID} == set(CHANGES.values())


@pytest.mark.parametrize(
    ("match", "said"),
    [
        (Match(), "packets"),
        (Match(protocol="tcp", ports=(80, 443)), "tcp port 80, 443"),
        (Match(protocol="tcp", ports=(80,), side="source"), "tcp port 80 (source)"),
        (Match(sources=("10.0.0.1",), destinations=("10.1.0.0/16",)), "packets from 10.0.0.1 to 10.1.0.0/16"),
    ],
)
def test_matches_are_said(match: Match, said: str) -> None:
    assert say_match(match) == said


@pytest.mark.parametrize("name", sorted(CHANGES))
@given(data=st.data())
@settings(max_examples=15)
def test_nothing_makes_saying_fail(name: str, data: st.DataObject) -> None:
    change = data.draw(st.from_type(CHANGES[name]))
    assert isinstance(say(change), str)


def test_only_what_netem_alone_can_do_needs_it() -> None:
    assert not Shape(NODE, "egress", rate=8000).needs_netem
    for setting in ("delay", "jitter", "loss", "duplicate", "corrupt", "reorder"):
        assert Shape(NODE, "egress", **{setting: 0.1}).needs_netem


def test_a_target_says_what_it_lacks() -> None:
    here = Capabilities("lab", frozenset(CHANGES) - {"Rewrite"}, {"netem": "this kernel has no sch_netem"})
    assert here.lacks(Filter(NODE, "egress", BGP)) == ""
    assert here.lacks(Shape(NODE, "egress", rate=8000)) == ""
    assert here.lacks(Shape(NODE, "egress", delay=0.1)) == "this kernel has no sch_netem"
    assert here.lacks(Rewrite(NODE, BGP, "10.0.0.1")) == "the lab target cannot make a Rewrite change"
