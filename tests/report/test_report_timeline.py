"""The timeline: stretches from samples, the picture's rows, and that it reads without colours."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosnet.model.edge import State
from chaosnet.report import picture, words
from chaosnet.report.formats import svg
from chaosnet.report.record import RunRecord, Sample
from chaosnet.report.timeline import MOST_LANES, Lane, Mark, Stretch, columns, stretches, ticks, timeline, worst

SVG = "{http://www.w3.org/2000/svg}"
RunOf = Callable[[str], RunRecord]


def test_words_know_every_state_of_the_model() -> None:
    assert set(words.STATES) == {str(state) for state in State}
    letters = [letter for letter in words.LETTERS.values() if letter]
    assert len(set(letters)) == len(letters)


def test_samples_of_one_state_become_one_stretch() -> None:
    samples = [Sample(i / 10, "open" if i < 50 else "timed out", 0.4) for i in range(100)]
    found = stretches(samples, 10.0)
    assert [(piece.state, round(piece.start, 3), round(piece.end, 3)) for piece in found] == [
        ("open", 0.0, 5.0), ("timed out", 5.0, 10.0),
    ]  # fmt: skip


def test_time_that_nobody_sampled_stays_empty() -> None:
    samples = [Sample(at, "open", 1.0) for at in (0.0, 0.1, 0.2, 0.3, 5.0, 5.1, 5.2)]
    first, second = stretches(samples, 6.0)
    assert first.end < 1.0
    assert second.start == 5.0


def test_a_long_attempt_is_no_gap() -> None:
    samples = [Sample(0.0, "open", 1.0), Sample(0.1, "open", 1.0), Sample(0.2, "timed out", 2000.0), Sample(2.2, "open", 1.0)]
    found = stretches(samples, 3.0)
    assert [(piece.state, piece.end) for piece in found[:2]] == [("open", 0.2), ("timed out", 2.2)]


def test_a_short_outage_is_seen_in_one_column() -> None:
    lane = (Stretch(0, 5, "open"), Stretch(5, 5.001, "refused"), Stretch(5.001, 10, "open"))
    cells = columns(lane, 10.0, 20)
    assert cells.count("refused") == 1
    assert cells[10] == "refused"


def test_the_worst_of_many_lanes_is_what_the_sum_shows() -> None:
    lanes = [Lane("a", (Stretch(0, 10, "open"),)), Lane("b", (Stretch(0, 4, "open"), Stretch(4, 6, "reset")))]
    assert [piece.state for piece in worst(lanes, 10.0)] == ["open", "reset", "open"]


@given(st.lists(st.tuples(st.floats(0, 50), st.sampled_from(words.STATES), st.floats(0, 3000)), max_size=60))
def test_stretches_are_in_order_within_the_run_and_never_overlap(raw: list[tuple[float, str, float]]) -> None:
    found = stretches([Sample(*sample) for sample in sorted(raw)], 40.0)
    assert all(0 <= piece.start <= piece.end <= 40.0 for piece in found)
    assert all(a.end <= b.start + 1e-9 for a, b in itertools.pairwise(found))


@given(st.floats(0.05, 100_000), st.integers(2, 15))
def test_ticks_are_few_and_within(end: float, most: int) -> None:
    marks = ticks(end, most)
    assert marks[0] == 0
    assert 2 <= len(marks) <= most + 1
    assert marks[-1] <= end * (1 + 1e-9)


_marks = st.lists(
    st.builds(Mark, st.floats(0, 30), st.sampled_from(list(words.MOMENT_WORDS)), st.sampled_from(["injected", "2 effect seen"])),
    max_size=10,
)


@given(_marks, st.sampled_from([346, 680, 1040]))
def test_words_of_moments_never_overlap(marks: list[Mark], width: int) -> None:
    box = picture.frame(width, 30.0)
    rows = picture._rows(marks, box)
    places = []
    for mark, row in zip(marks, rows, strict=True):
        x, wide = box.x(mark.at), picture._breadth(mark)
        places.append((row, x, x + wide) if picture._outward(mark, box) > 0 else (row, x - wide, x))
    for (row, begin, end), (other, start, stop) in itertools.combinations(places, 2):
        assert row != other or end <= start or stop <= begin


def test_groups_come_in_the_order_that_matters(run_record: RunOf) -> None:
    shape = timeline(run_record("collateral"))
    assert [group.kind for group in shape.groups] == ["break", "collateral", "hold", "may", "others"]
    assert shape.states == ("open", "degraded", "refused", "reset", "unresolved")


def test_a_wildcard_that_held_shares_one_lane(run_record: RunOf) -> None:
    hold = next(group for group in timeline(run_record("black_hole")).groups if group.kind == "hold")
    assert [lane.name for lane in hold.lanes] == ["small", "answer", "inside", "peering (9 edges, alike)"]


def test_a_wildcard_that_broke_together_shares_one_lane(run_record: RunOf) -> None:
    record = run_record("black_hole")
    upload = record.edges[0]
    late = tuple(replace(sample, at=sample.at + 9) for sample in upload.samples)
    edges = [replace(upload, name=f"wild[{i}]") for i in range(4)] + [replace(upload, name="wild[late]", samples=late)]
    (group,) = timeline(replace(record, edges=tuple(edges))).groups
    assert [lane.name for lane in group.lanes] == ["wild (4 edges, alike)", "wild[late]"]


def test_a_crowd_is_folded_and_every_edge_is_somewhere(run_record: RunOf) -> None:
    record = run_record("crowd")
    shape = timeline(record)
    assert all(len(group.lanes) <= MOST_LANES + 1 for group in shape.groups)
    names = {lane.name for group in shape.groups for lane in group.lanes} | {lane.name for lane in shape.folded}
    assert {edge.name for edge in record.edges} <= names
    assert (shape.groups[-1].title, shape.groups[-1].lanes) == ("30 edges not steady before the fault, so not judged", ())


def test_what_was_closed_all_along_draws_no_eye(run_record: RunOf) -> None:
    record = run_record("black_hole")
    shut = replace(record.edges[-1], before="timed out", during="timed out", after="timed out")
    groups = timeline(replace(record, edges=(*record.edges[:-1], shut))).groups
    assert (groups[-1].title, groups[-1].lanes) == ("1 edge closed before the fault, and all through it", ())
    assert "31 edges" in groups[-2].lanes[0].name


def test_an_undo_that_never_came_leaves_the_span_open(run_record: RunOf) -> None:
    record = run_record("aborted")
    fault = replace(record.faults[0], times=replace(record.faults[0].times, undo=None))
    (span,) = timeline(replace(record, faults=(fault,))).spans
    assert not span.closed
    assert span.end == timeline(record).end


def test_a_moment_that_all_faults_share_is_told_once(run_record: RunOf) -> None:
    told = [mark.text for mark in timeline(run_record("collateral")).marks]
    assert told.count("recovered") == 1
    assert {"1 injected", "2 injected"} <= set(told)


def test_the_svg_is_well_formed_and_reads_without_colour(any_run: tuple[str, RunRecord]) -> None:
    name, record = any_run
    root = ET.fromstring(svg.render(record))
    assert root.tag == f"{SVG}svg"
    texts = [text.text or "" for text in root.iter(f"{SVG}text")]
    for state in timeline(record).states:
        letter = words.LETTERS[state]
        assert (f"{state} ({letter})" if letter else state) in texts
    hatched = {pattern.get("id"): len(pattern) for pattern in root.iter(f"{SVG}pattern")}
    assert all(parts == (1 if key == "timeline-open" else 2) for key, parts in hatched.items())
    if name == "black_hole":
        assert "timed out" in texts
        titles = [title.text or "" for title in root.iter(f"{SVG}title")]
        assert "upload: timed out 5.20–25.43 s" in titles


@pytest.mark.parametrize("width", [346, 680, 1040])
def test_nothing_is_drawn_outside_the_picture(width: int, any_run: tuple[str, RunRecord]) -> None:
    _, record = any_run
    root = ET.fromstring(picture.svg(timeline(record), width, "x", "title"))
    height = float(root.get("height", "0"))
    for rect in root.iter(f"{SVG}rect"):
        assert float(rect.get("x", "0")) >= 0
        assert float(rect.get("x", "0")) + float(rect.get("width", "0")) <= width
    for text in root.iter(f"{SVG}text"):
        assert 0 <= float(text.get("y", "0")) <= height
