"""The lattice of verdicts, and which exit status wins."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosnet.model.verdict import Finding, Outcome, exit_status, judge, worst_exit

ORDER = (Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL)
FINDINGS = st.lists(st.builds(Finding, st.sampled_from(ORDER), st.sampled_from(["effect", "scope"]), st.text(max_size=5)))


def grave(outcome: Outcome) -> int:
    return ORDER.index(outcome)


@given(FINDINGS, FINDINGS)
def test_more_findings_never_make_it_better(some: list[Finding], more: list[Finding]) -> None:
    if some:
        assert grave(judge([*some, *more]).outcome) >= grave(judge(some).outcome)


@given(FINDINGS, FINDINGS)
def test_joining_is_taking_the_gravest(some: list[Finding], more: list[Finding]) -> None:
    if some and more:
        assert judge([*some, *more]).outcome == max(judge(some).outcome, judge(more).outcome, key=grave)


@given(FINDINGS.flatmap(lambda findings: st.tuples(st.just(findings), st.permutations(findings))))
def test_order_does_not_matter(pair: tuple[list[Finding], list[Finding]]) -> None:
    assert judge(pair[0]).outcome == judge(pair[1]).outcome


@given(FINDINGS)
def test_nothing_is_lost_and_the_gravest_comes_first(findings: list[Finding]) -> None:
    verdict = judge(findings)
    assert sorted(map(str, verdict.findings)) == sorted(map(str, findings))
    ranks = [grave(finding.outcome) for finding in verdict.findings]
    assert ranks == sorted(ranks, reverse=True)


def test_nothing_shown_is_inconclusive() -> None:
    assert judge([]).outcome is Outcome.INCONCLUSIVE


def test_pass_needs_every_finding_to_pass() -> None:
    fine = Finding(Outcome.PASS, "effect", "seen")
    assert judge([fine, fine]).outcome is Outcome.PASS
    assert judge([fine, Finding(Outcome.INCONCLUSIVE, "effect", "lost")]).outcome is Outcome.INCONCLUSIVE


def test_exit_statuses_of_outcomes() -> None:
    assert {outcome: exit_status(outcome) for outcome in Outcome} == {
        Outcome.PASS: 0,
        Outcome.FAIL: 1,
        Outcome.INCONCLUSIVE: 3,
    }


# The command line contract: of several, 4 > 5 > 1 > 3 > 2 > 0.
WINNING = (4, 5, 1, 3, 2, 0)


@pytest.mark.parametrize("first", range(6))
def test_the_winning_exit_status(first: int) -> None:
    rest = WINNING[first:]
    for codes in (rest, rest[::-1], *list(permutations(rest))[:24]):
        assert worst_exit(codes) == WINNING[first]


def test_exit_statuses_that_nobody_knows_are_internal_errors() -> None:
    assert worst_exit([]) == 0
    assert worst_exit([0, 77]) == 5
    assert worst_exit([-9, 1]) == 5
    assert worst_exit([137, 4]) == 4
