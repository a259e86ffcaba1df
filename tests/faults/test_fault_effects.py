"""Every judge, shown the world in which the fault happened and the worlds in which it did not: a no-op, and "so it was before".

A judge that is content with a no-op would let a fault pass that was never there.
"""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosnet.errors import ChaosnetError
from chaosnet.faults.bandwidth import capped
from chaosnet.faults.bgp import routes_gone, sessions_down
from chaosnet.faults.conntrack import overflows, refused
from chaosnet.faults.corrupt import spoiled
from chaosnet.faults.daemon import deserted, unanswered
from chaosnet.faults.delay import later
from chaosnet.faults.dns import answers, as_before
from chaosnet.faults.duplicate import twice
from chaosnet.faults.jitter import spread
from chaosnet.faults.move import arrived
from chaosnet.faults.mtu import fits
from chaosnet.faults.reorder import out_of_order
from chaosnet.faults.service import strays
from chaosnet.model.edge import Observation, State
from chaosnet.model.effect import (
    SILENT,
    TURNED_AWAY,
    Judge,
    binomial_bounds,
    changed,
    cut,
    holds,
    lost_packets,
    matched,
    requests_fail,
    sample_size,
    share_hit,
    stopped,
)  # fmt: skip
from chaosnet.model.inventory import Site
from chaosnet.model.question import (
    Answer,
    BgpSession,
    BgpState,
    Carried,
    ConntrackUse,
    Counted,
    DaemonsSeen,
    DnsReply,
    Loaded,
    PathMtuFound,
    Reached,
    RouteEntry,
    RouteTable,
    ServiceSeen,
    Streamed,
)  # fmt: skip


def reached(*states: State) -> Reached:
    return Reached(tuple(Observation(f"edge {number}", state, 0.0) for number, state in enumerate(states)))


def bgp(*states: str) -> BgpState:
    return BgpState(
        tuple(
            BgpSession("test/test-1", f"test-{i}", f"192.168.10.1{i}", state, 1.0, 2, 9.0, 3.0)
            for i, state in enumerate(states, 2)
        )
    )


def routes(*pairs: tuple[str, str]) -> RouteTable:
    return RouteTable(tuple(RouteEntry(destination, via, "eth0", "bird") for destination, via in pairs))


def reply(rcode: str = "NOERROR", *addresses: str, seconds: float = 0.001) -> DnsReply:
    return DnsReply(rcode, addresses, seconds)


def served(endpoints: str = "a b", rules: str = "a b", ready: str = "a b") -> ServiceSeen:
    return ServiceSeen(
        tuple(ready.split()), tuple(endpoints.split()), (("n1", tuple(rules.split())), ("n2", tuple(rules.split())))
    )


def loaded(requests: int, succeeded: int, p50: float = 0.001) -> Loaded:
    return Loaded(requests, succeeded, (("open", succeeded),), p50, p50, p50)


OPEN, SILENCE, REFUSAL, RESET = State.OPEN, State.TIMED_OUT, State.REFUSED, State.RESET
FINE = Streamed(200, 200, 200, 0, 0, 0, 0.001, 0.002, 0.003, 0.0001)
NODE = Site("node", "test", "", "test-1", "test-1", ("192.168.10.11",))
UP, DOWN = "Established", "Active"
MTU_FINE = PathMtuFound(1500, 0, 60000, 60000)
ALL_GOOD = reply("NOERROR", "10.0.0.1")

# name → judge, before, after the fault; then worlds after which no fault may be seen (before, now).
WORLDS: dict[str, tuple[Judge, Answer, Answer, list[tuple[Answer, Answer]]]] = {
    "cut, drop": (
        cut(SILENT),
        reached(OPEN, OPEN, REFUSAL),
        reached(SILENCE, SILENCE, REFUSAL),
        [
            (reached(OPEN, OPEN), reached(OPEN, OPEN)),
            (reached(OPEN, OPEN), reached(SILENCE, OPEN)),
            (reached(OPEN, OPEN), reached(SILENCE, REFUSAL)),
            (reached(SILENCE, REFUSAL), reached(SILENCE, SILENCE)),
            (reached(OPEN), reached(State.UNKNOWN)),
            (reached(OPEN), reached(State.DEGRADED)),
        ],
    ),
    "cut, reject": (
        cut(TURNED_AWAY),
        reached(OPEN, OPEN),
        reached(REFUSAL, RESET),
        [(reached(OPEN), reached(SILENCE)), (reached(OPEN), reached(OPEN)), (reached(REFUSAL), reached(REFUSAL))],
    ),
    "holds": (
        holds,
        reached(OPEN, SILENCE),
        reached(OPEN, SILENCE),
        [(reached(OPEN), reached(SILENCE)), (reached(SILENCE), reached(OPEN))],
    ),
    "changed": (
        changed,
        reached(OPEN, SILENCE),
        reached(SILENCE, OPEN),
        [(reached(OPEN, OPEN), reached(OPEN, SILENCE)), (reached(REFUSAL), reached(SILENCE)), (reached(), reached())],
    ),
    "matched": (
        matched,
        Counted(0, 0, ()),
        Counted(3, 180, (3,)),
        [(Counted(9, 9, (9,)), Counted(0, 0, (0,))), (Counted(0, 0, ()), Counted(0, 0, (-1,)))],
    ),
    "loss, to": (
        share_hit("lost", 0.3, lost_packets("to", True)),
        FINE,
        replace(FINE, forward=140, received=140),
        [
            (FINE, FINE),
            (FINE, replace(FINE, forward=190, received=190)),
            (FINE, replace(FINE, forward=60, received=60)),
            (FINE, replace(FINE, forward=200, received=140)),
            (replace(FINE, forward=140, received=140), replace(FINE, forward=140, received=140)),
            (replace(FINE, sent=0, forward=0, received=0), replace(FINE, forward=140, received=140)),
        ],
    ),
    "loss, from": (
        share_hit("lost", 0.3, lost_packets("from", True)),
        FINE,
        replace(FINE, received=140),
        [(FINE, FINE), (FINE, replace(FINE, forward=140, received=140))],
    ),
    "loss, to, seen from outside": (
        share_hit("lost", 0.3, lost_packets("to", False)),
        FINE,
        replace(FINE, received=140),
        [(FINE, FINE), (FINE, replace(FINE, forward=140, received=140))],
    ),
    "loss, both": (
        share_hit("lost", 0.3, lost_packets("both", True)),
        FINE,
        replace(FINE, forward=140, received=98),
        [(FINE, FINE), (FINE, replace(FINE, forward=140, received=140)), (FINE, replace(FINE, received=140))],
    ),
    "loss of everything, both": (
        share_hit("lost", 1.0, lost_packets("both", True)),
        FINE,
        replace(FINE, forward=0, received=0),
        [(FINE, FINE), (FINE, replace(FINE, forward=1, received=1)), (FINE, replace(FINE, received=0))],
    ),
    "loss, requests": (
        requests_fail(0.3),
        loaded(150, 150),
        loaded(150, 90),
        [(loaded(150, 150),) * 2, (loaded(150, 90),) * 2, (loaded(150, 150), loaded(150, 140))],
    ),
    "duplicate": (
        share_hit("twice", 0.1, twice),
        FINE,
        replace(FINE, duplicates=20),
        [(FINE, FINE), (FINE, replace(FINE, duplicates=150))],
    ),
    "corrupt": (
        share_hit("spoiled", 0.1, spoiled),
        FINE,
        replace(FINE, received=180, corrupted=10),
        [(FINE, FINE), (FINE, replace(FINE, received=20)), (FINE, replace(FINE, received=198, corrupted=2))],
    ),
    "reorder": (
        share_hit("out of order", 0.1, out_of_order, ceiling=False),
        FINE,
        replace(FINE, out_of_order=90),
        [(FINE, FINE), (FINE, replace(FINE, out_of_order=3))],
    ),
    "delay": (
        later(0.1, 0.0),
        FINE,
        replace(FINE, p50=0.102),
        [
            (FINE, FINE),
            (FINE, replace(FINE, p50=0.05)),
            (FINE, replace(FINE, p50=1.9)),
            (replace(FINE, p50=0.1),) * 2,
            (FINE, replace(FINE, p50=0.102, received=0)),
        ],
    ),
    "delay, requests": (
        later(0.1, 0.0),
        loaded(50, 50),
        loaded(50, 50, 0.3),
        [(loaded(50, 50),) * 2, (loaded(50, 50), loaded(50, 0, 0.3))],
    ),
    "jitter": (
        spread(0.02),
        FINE,
        replace(FINE, jitter=0.0133),
        [
            (FINE, FINE),
            (FINE, replace(FINE, jitter=0.005)),
            # A machine that stood still for a fifth of a second: spread out, yet packet by packet alike.
            (FINE, replace(FINE, p50=0.05, p95=0.2, jitter=0.002)),
            (replace(FINE, jitter=0.0133),) * 2,
            (FINE, replace(FINE, jitter=0.5)),
        ],
    ),
    "bandwidth": (
        capped(10**6),
        Carried(1e9),
        Carried(1.02e6),
        [(Carried(1e9),) * 2, (Carried(5e5),) * 2, (Carried(1e9), Carried(0.0)), (Carried(1e9), Carried(1.2e6))],
    ),
    "mtu, told": (
        fits(1450, "pass"),
        MTU_FINE,
        PathMtuFound(1450, 1450, 60000, 60000),
        [
            (MTU_FINE, MTU_FINE),
            (MTU_FINE, PathMtuFound(1450, 0, 100, 100)),
            (MTU_FINE, PathMtuFound(0, 0, 0, 0)),
            (PathMtuFound(1400, 0, 9, 9),) * 2,
        ],
    ),
    "mtu, silent": (
        fits(1450, "drop"),
        MTU_FINE,
        PathMtuFound(1450, 0, 1398, 60000),
        [
            (MTU_FINE, MTU_FINE),
            (MTU_FINE, PathMtuFound(1450, 1450, 60000, 60000)),
            (MTU_FINE, PathMtuFound(0, 0, 0, 0)),
            (PathMtuFound(1400, 0, 9, 9),) * 2,
        ],
    ),
    "mtu, own interface": (
        fits(1450, ""),
        MTU_FINE,
        PathMtuFound(1450, 1450, 9, 9),
        [(MTU_FINE, MTU_FINE), (MTU_FINE, PathMtuFound(1480, 1480, 9, 9))],
    ),
    "bgp sessions": (
        sessions_down([NODE], ()),
        bgp(UP, UP, DOWN),
        bgp(DOWN, DOWN, DOWN),
        [(bgp(UP, UP),) * 2, (bgp(UP, UP), bgp(DOWN, UP)), (bgp(DOWN),) * 2, (BgpState(()),) * 2],
    ),
    "bgp sessions, one peer": (
        sessions_down([NODE], ["192.168.10.12"]),
        bgp(UP, UP),
        bgp(DOWN, UP),
        [(bgp(UP, UP), bgp(UP, DOWN)), (bgp(DOWN, UP),) * 2],
    ),
    "bgp sessions of another speaker": (
        sessions_down([NODE], ()),
        bgp(UP),
        bgp(DOWN),
        [(BgpState(tuple(replace(s, speaker="test/test-9") for s in bgp(UP).sessions)), bgp(DOWN))],
    ),
    "bgp routes": (
        routes_gone(()),
        routes(("10.1.0.0/24", "r"), ("10.2.0.0/24", "r")),
        routes(),
        [(routes(("10.1.0.0/24", "r")),) * 2, (routes(), routes()), (routes(("a", "r"), ("b", "r")), routes(("b", "r")))],
    ),
    "bgp routes of one peer": (
        routes_gone(["r"]),
        routes(("a", "r"), ("b", "s")),
        routes(("b", "s")),
        [(routes(("a", "r"), ("b", "s")), routes(("a", "r")))],
    ),
    "bgp routes with another next hop": (
        routes_gone(["q"]),
        routes(("a", "r"), ("b", "s")),
        routes(("b", "s")),
        [(routes(("a", "r")),) * 2],
    ),
    "neighbours' sessions": (
        deserted([replace(NODE, name="test-2", addresses=("192.168.10.12",))]),
        bgp(UP, UP),
        bgp(DOWN, UP),
        [(bgp(UP, UP),) * 2, (bgp(UP, UP), bgp(UP, DOWN)), (bgp(DOWN, UP),) * 2],
    ),
    "neighbours' sessions, not its own": (
        deserted([NODE]),
        BgpState((*bgp(UP).sessions, replace(bgp(UP).sessions[0], speaker="test/test-2", neighbor="test-1"))),
        BgpState((replace(bgp(UP).sessions[0], speaker="test/test-2", neighbor="test-1", state=DOWN),)),
        [(bgp(UP, UP), BgpState(()))],
    ),
    "daemon": (
        stopped("bird"),
        DaemonsSeen((("bird", True), ("cni", True))),
        DaemonsSeen((("bird", False), ("cni", True))),
        [
            (DaemonsSeen((("bird", True),)),) * 2,
            (DaemonsSeen((("bird", False),)),) * 2,
            (DaemonsSeen(()), DaemonsSeen(())),
            (DaemonsSeen((("bird", True), ("cni", True))), DaemonsSeen((("bird", True), ("cni", False)))),
        ],
    ),
    "service, stale": (
        strays(("x", "y")),
        served(),
        served("x y", "x y"),
        [(served(),) * 2, (served(), served("x y")), (served(), served("x y", "")), (served("x y", "x y"),) * 2],
    ),
    "service, missing": (
        strays(()),
        served(),
        served("", ""),
        [(served(),) * 2, (served(), served("", "a b")), (served(), served("", "", "")), (served("", ""),) * 2],
    ),
    "conntrack, burst": (
        overflows,
        loaded(135, 135),
        loaded(135, 50),
        [(loaded(135, 135),) * 2, (loaded(135, 50),) * 2, (loaded(135, 130), loaded(135, 128))],
    ),
    "conntrack, refused": (
        refused,
        ConntrackUse(3, 99, 7),
        ConntrackUse(50, 50, 20, "ct count"),
        [(ConntrackUse(3, 99, 7), ConntrackUse(90, 99, 7))],
    ),
    "dns, down": (
        answers("down", 0, ""),
        ALL_GOOD,
        reply("REFUSED"),
        [(ALL_GOOD,) * 2, (ALL_GOOD, reply("NXDOMAIN")), (reply("REFUSED"),) * 2],
    ),
    "dns, drop": (
        answers("drop", 0, ""),
        ALL_GOOD,
        reply("TIMEOUT"),
        [(ALL_GOOD,) * 2, (ALL_GOOD, reply("REFUSED")), (reply("TIMEOUT"),) * 2],
    ),
    "dns, slow": (
        answers("slow", 3.0, ""),
        ALL_GOOD,
        replace(ALL_GOOD, seconds=3.01),
        [
            (ALL_GOOD,) * 2,
            (ALL_GOOD, reply("TIMEOUT", seconds=4)),
            (replace(ALL_GOOD, seconds=3.1),) * 2,
            (ALL_GOOD, replace(ALL_GOOD, seconds=1.0)),
        ],
    ),
    "dns, wrong": (
        answers("wrong", 0, "192.0.2.1"),
        ALL_GOOD,
        reply("NOERROR", "192.0.2.1"),
        [(ALL_GOOD,) * 2, (ALL_GOOD, reply("NOERROR", "192.0.2.2")), (reply("NOERROR", "192.0.2.1"),) * 2],
    ),
    "dns, nxdomain": (answers("nxdomain", 0, ""), ALL_GOOD, reply("NXDOMAIN"), [(ALL_GOOD,) * 2, (reply("NXDOMAIN"),) * 2]),
    "dns, servfail": (answers("servfail", 0, ""), ALL_GOOD, reply("SERVFAIL"), [(ALL_GOOD,) * 2, (ALL_GOOD, reply("NXDOMAIN"))]),
    "dns, spared": (as_before, ALL_GOOD, ALL_GOOD, [(ALL_GOOD, reply("NXDOMAIN")), (reply("TIMEOUT"),) * 2]),
    "dns, nobody answers": (unanswered, ALL_GOOD, reply("TIMEOUT"), [(ALL_GOOD,) * 2, (reply("TIMEOUT"),) * 2]),
    "pods arrived": (
        arrived(1),
        routes(("10.0.3.2", "")),
        routes(("10.0.3.2", ""), ("10.0.3.3/32", "")),
        [(routes(("10.0.3.2", "")),) * 2, (routes(), routes(("10.1.0.0/24", ""))), (routes(), routes(("10.0.3.3", "10.0.0.1")))],
    ),
}


@pytest.mark.parametrize("name", WORLDS)
def test_the_world_in_which_it_happened(name: str) -> None:
    judge, before, now, _ = WORLDS[name]
    reading = judge(before, now)
    assert reading.ok, reading.sentence
    _says_something(reading.sentence)
    assert reading.figures


@pytest.mark.parametrize("name", WORLDS)
def test_the_worlds_in_which_it_did_not(name: str) -> None:
    judge, _, _, others = WORLDS[name]
    for before, now in others:
        reading = judge(before, now)
        assert not reading.ok, f"{before} then {now}: {reading.sentence}"
        _says_something(reading.sentence)


def _says_something(sentence: str) -> None:
    assert len(sentence) > 10
    assert "\n" not in sentence
    assert not sentence.endswith(".")


@pytest.mark.parametrize("name", WORLDS)
def test_an_answer_to_another_question_is_an_error(name: str) -> None:
    judge, before, _, _ = WORLDS[name]
    wrong: Answer = Counted(1, 1, ()) if not isinstance(before, Counted) else Carried(1.0)
    with pytest.raises(ChaosnetError, match="the target answered with"):
        judge(before, wrong)


def test_sentences_carry_the_figures() -> None:
    loss = share_hit("lost", 0.3, lost_packets("to", True))(FINE, replace(FINE, forward=140, received=140))
    assert loss.sentence == "60 of 200 packets lost (34 to 89 expected of 0.3; before 0 of 200)"
    mtu = fits(1450, "drop")(MTU_FINE, PathMtuFound(1450, 0, 1398, 60000))
    assert mtu.sentence == "the largest packet was 1500 bytes before and is 1450 now, in silence"
    shut = cut(SILENT)(reached(OPEN, REFUSAL), reached(SILENCE, SILENCE))
    assert shut.sentence == "1 of 1 edges that were open are now timed out: edge 0"


@given(st.integers(1, 2000), st.floats(0.001, 0.999))
def test_bounds_hold_the_expected(trials: int, chance: float) -> None:
    low, high = binomial_bounds(trials, chance)
    assert 0 <= low <= trials * chance + 1
    assert trials * chance - 1 <= high <= trials


@given(st.floats(0.001, 1.0))
def test_a_share_is_never_mistaken_for_none(share: float) -> None:
    low, _ = binomial_bounds(sample_size(share), share)
    assert low >= 5


@pytest.mark.parametrize(
    ("trials", "chance", "bounds"),
    [(200, 0.3, (34, 89)), (10, 0.5, (0, 10)), (100, 0.01, (0, 7)), (5, 1.0, (5, 5)), (5, 0.0, (0, 0)), (0, 0.5, (0, 0))],
)
def test_bounds_by_figures(trials: int, chance: float, bounds: tuple[int, int]) -> None:
    assert binomial_bounds(trials, chance) == bounds


@given(st.integers(1, 60), st.integers(1, 19))
def test_bounds_agree_with_exact_arithmetic(trials: int, twentieths: int) -> None:
    chance, tail = Fraction(twentieths, 20), Fraction(1, 100_000)
    weights = [comb(trials, k) * chance**k * (1 - chance) ** (trials - k) for k in range(trials + 1)]
    below = list(accumulate(weights))
    low = next(k for k, total in enumerate(below) if total > tail)
    high = next(k for k, total in enumerate(below) if total >= 1 - tail)
    assert binomial_bounds(trials, float(chance)) == (low, high)


def test_a_fair_coin_stays_in_its_bounds() -> None:
    import random

    rng = random.Random(7)
    judge: Callable[[Answer, Answer], object] = share_hit("lost", 0.3, lost_packets("to", True))
    outside = 0
    for _ in range(2000):
        forward = 200 - sum(rng.random() < 0.3 for _ in range(200))
        outside += not judge(FINE, replace(FINE, forward=forward, received=forward)).ok  # type: ignore[attr-defined]
    assert outside <= 1, "of 2,000 honest measurements none should fall outside"
