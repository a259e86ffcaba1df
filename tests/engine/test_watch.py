"""Courses: what samples say.  Every rule is shown a world in which it must not hold."""

from hypothesis import given
from hypothesis import strategies as st

from chaosnet.engine.watch import RUNNING, baseline, course
from chaosnet.model.edge import Observation, State

OPEN, GONE = State.OPEN, State.TIMED_OUT


def samples(*runs: tuple[State, int], step: float = 1.0, seconds: float = 0.01, start: float = 0.0) -> list[Observation]:
    states = [state for state, number in runs for _ in range(number)]
    return [Observation("e", state, start + index * step, seconds) for index, state in enumerate(states)]


def test_a_clean_outage_has_its_times() -> None:
    seen = course(samples((OPEN, 5), (GONE, 5), (OPEN, 5)), inject=4.5, undo=9.5)
    assert (seen.before, seen.during, seen.after) == (OPEN, GONE, OPEN)
    assert (seen.changed_at, seen.recovered_at) == (5.0, 10.0)
    assert seen.confirmed_at == 7.01
    assert seen.held


def test_two_lost_samples_are_no_outage() -> None:
    seen = course(samples((OPEN, 5), (OPEN, 20), (GONE, 2), (OPEN, 20)), inject=4.5, undo=60.0)
    assert not seen.changed


def test_two_samples_during_a_fault_say_nothing() -> None:
    seen = course(samples((OPEN, 5), (OPEN, 2), (OPEN, 5)), inject=4.5, undo=6.5)
    assert seen.during is State.UNKNOWN
    assert not seen.changed


def test_an_outage_that_ends_before_undo_was_not_held() -> None:
    seen = course(samples((OPEN, 5), (GONE, 5), (OPEN, 10)), inject=4.5, undo=19.5)
    assert seen.changed
    assert not seen.held


def test_an_unstable_baseline_never_changes() -> None:
    seen = course(samples((OPEN, 3), (GONE, 1), (OPEN, 1), (GONE, 10)), inject=4.5, undo=14.5)
    assert seen.before is State.UNKNOWN
    assert not seen.changed


def test_scattered_failures_are_degraded() -> None:
    pattern = [(OPEN, 2), (GONE, 1)] * 8
    seen = course(samples((OPEN, 5), *pattern, (OPEN, 5)), inject=4.5, undo=28.5)
    assert seen.during is State.DEGRADED
    assert seen.held


def test_three_failures_running_on_a_lossy_way_are_no_outage() -> None:
    pattern = [(OPEN, 3), (GONE, 3), (OPEN, 2), (GONE, 1), (OPEN, 2), (GONE, 1), (OPEN, 1)] * 2
    seen = course(samples((OPEN, 5), *pattern, (OPEN, 5)), inject=4.5, undo=30.5)
    assert seen.during is State.DEGRADED
    assert seen.held


def test_slow_answers_are_degraded_and_a_little_slower_is_not() -> None:
    quick = samples((OPEN, 8), seconds=0.001)
    slow = samples((OPEN, 8), seconds=0.2, start=8.0)
    assert course([*quick, *slow], 7.5, 20.0).during is State.DEGRADED
    slower = samples((OPEN, 8), seconds=0.03, start=8.0)
    assert course([*quick, *slower], 7.5, 20.0).during is OPEN


def test_an_attempt_that_straddles_the_injection_counts_for_neither_side() -> None:
    before = samples((OPEN, 5))
    straddling = [Observation("e", GONE, 4.9, 1.0)]
    assert course([*before, *straddling, *samples((OPEN, 5), start=6.0)], 5.0, 12.0).before is OPEN


def test_a_shut_edge_that_opens_has_changed() -> None:
    seen = course(samples((GONE, 5), (OPEN, 5), (GONE, 5)), inject=4.5, undo=9.5)
    assert (seen.during, seen.held, seen.recovered_at) == (OPEN, True, 10.0)


def test_baseline_needs_three_alike() -> None:
    assert baseline(samples((OPEN, RUNNING - 1))) is State.UNKNOWN
    assert baseline(samples((OPEN, RUNNING))) is OPEN
    assert baseline(samples((OPEN, 4), (GONE, 1))) is State.UNKNOWN


@given(st.lists(st.sampled_from([OPEN, GONE, State.REFUSED]), max_size=60), st.integers(0, 30), st.integers(0, 30))
def test_a_course_never_contradicts_itself(states: list[State], inject: int, length: int) -> None:
    seen = course(
        [Observation("e", state, float(i), 0.01) for i, state in enumerate(states)], inject - 0.5, inject + length - 0.5
    )
    if seen.changed:
        assert seen.before is not State.UNKNOWN
        assert seen.during is not seen.before
        assert seen.changed_at is not None
        assert seen.changed_at >= inject - 0.5
        assert seen.recovered_at is None or seen.recovered_at >= inject + length - 0.5
    else:
        assert seen.recovered_at is None
        assert not seen.held
