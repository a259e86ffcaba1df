"""Reading the run record: tolerant of what is missing, exact about what is wrong, and safe to show."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosnet.errors import InputError
from chaosnet.report.formats import json as json_format
from chaosnet.report.reading import clean, parse, read
from chaosnet.report.record import RunRecord

RunJson = Callable[[str], dict[str, Any]]


def test_an_empty_record_is_an_inconclusive_run() -> None:
    record = parse({})
    assert (record.verdict, record.faults, record.edges, record.duration) == ("inconclusive", (), (), None)


def test_times_that_never_came_are_none(run_json: RunJson) -> None:
    times = parse(run_json("aborted")).faults[0].times
    assert times.inject == 5.012345
    assert times.recover is None
    assert times.clean is None


def test_findings_come_gravest_first(run_json: RunJson) -> None:
    outcomes = [finding.outcome for finding in parse(run_json("collateral")).findings]
    assert outcomes == ["fail", "fail", "pass"]


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        (("edges",), "x", "run.json.edges"),
        (("edges", 0, "samples"), [[1]], "run.json.edges[0].samples[0]"),
        (("edges", 0, "samples"), [[1.0, {}, 2.0]], "run.json.edges[0].samples[0].state"),
        (("faults", 0, "t_inject"), "soon", "run.json.faults[0].t_inject"),
        (("faults", 0, "proven"), 1, "run.json.faults[0].proven"),
        (("faults", 0, "at"), [["nested"]], "run.json.faults[0].at"),
        (("experiment",), [], "run.json.experiment"),
        (("hypothesis", "before"), "yes", "run.json.hypothesis.before"),
        (("findings", 0), None, ""),
    ],
)
def test_a_wrong_type_is_one_sentence_that_names_the_field(
    run_json: RunJson, path: tuple[str | int, ...], value: object, place: str
) -> None:
    raw = run_json("black_hole")
    inner: Any = raw
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    if not place:
        assert parse(raw)
        return
    with pytest.raises(InputError) as caught:
        parse(raw)
    assert str(caught.value).startswith(f"{place}: ")
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_record_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no run record"):
        read(tmp_path)
    (tmp_path / "run.json").write_text('{"verdict": "pass",\n oops')
    with pytest.raises(InputError, match="line 2 is not JSON"):
        read(tmp_path)
    (tmp_path / "run.json").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path)


@pytest.mark.parametrize(
    "text", ["\x00", "\x1b[2J", "\u202egnp", "\ud800", "\u2066", "\u200f", "\x9b1m", "\ufeff", "a\rb", "a\n\n# b"]
)
def test_nothing_that_acts_survives(text: str) -> None:
    cleaned = clean(text)
    assert cleaned.isprintable()
    cleaned.encode()


def test_letters_of_every_script_survive() -> None:
    assert clean("שלום 日本語 é → ·") == "שלום 日本語 é → ·"


def test_infinities_are_no_times(run_json: RunJson) -> None:
    raw = run_json("black_hole")
    raw["faults"][0]["t_undo"] = float("inf")
    raw["edges"][0]["samples"] = [[float("nan"), "open", 1.0], [1.0, "open", float("inf")]]
    record = parse(json.loads(json.dumps(raw)))
    assert record.faults[0].times.undo is None
    assert [(sample.at, sample.ms) for sample in record.edges[0].samples] == [(1.0, None)]


def test_the_normalised_record_reads_back_equal(any_run: tuple[str, RunRecord]) -> None:
    _, record = any_run
    text = json_format.render(record)
    assert text.isascii()
    assert parse(json.loads(text)) == record


_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
_keys = st.sampled_from([
    "verdict", "experiment", "faults", "edges", "hypothesis", "findings", "events", "target", "samples", "effects", "title",
    "t_inject", "environment", "settings", "counters", "probes", "duration", "started", "learned", "figures", "before",
])  # fmt: skip
_records = st.recursive(
    _values, lambda inner: st.dictionaries(_keys, inner, max_size=6) | st.lists(inner, max_size=3), max_leaves=20
)


@settings(max_examples=300)
@given(_records)
def test_any_json_is_a_record_or_one_sentence(value: object) -> None:
    try:
        record = parse(value)
    except InputError:
        return
    assert parse(json.loads(json_format.render(record))) == record
