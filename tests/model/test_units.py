"""Values with units: what is written comes back as the figure meant, and every refusal is one sentence that helps."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosnet.errors import InputError
from chaosnet.model import units

SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
BITS = {"bit": 1, "kbit": 10**3, "mbit": 10**6, "gbit": 10**9}


@given(st.integers(1, 10**6), st.sampled_from(sorted(SECONDS)), st.sampled_from(["", " "]))
def test_durations(number: int, unit: str, gap: str) -> None:
    assert units.duration(f" {number}{gap}{unit} ", "fuse") == pytest.approx(number * SECONDS[unit])
    assert units.duration(f"{number}{unit.upper()}", "fuse") == pytest.approx(number * SECONDS[unit])


@given(st.integers(1, 10_000))
def test_percentages(hundredths: int) -> None:
    assert units.percent(f"{hundredths / 100}%", "share") == pytest.approx(hundredths / 10_000)


@given(st.integers(8000, 10**9), st.sampled_from(sorted(BITS)))
def test_rates(number: int, unit: str) -> None:
    assert units.rate(f"{number}{unit}", "rate") == number * BITS[unit]


@given(st.integers(576, 65535))
def test_mtus(number: int) -> None:
    assert units.mtu(str(number), "mtu") == units.mtu(number, "mtu") == number


@given(st.integers(-100, 100), st.integers(-100, 100), st.integers(-100, 200))
def test_a_count_is_taken_only_within_its_bounds(low: int, high: int, number: int) -> None:
    if number >= 0 and low <= number <= high:
        assert units.count(str(number), "n", low, high) == units.count(number, "n", low, high) == number
    else:
        with pytest.raises(InputError):
            units.count(number, "n", low, high)


PARSERS = {
    "duration": units.duration,
    "percent": units.percent,
    "rate": units.rate,
    "mtu": units.mtu,
    "count": units.count,
    "port": units.port,
    "choice": lambda value, place: units.choice(value, place, ("drop", "reject")),
}
# What people, YAML and mischief put where a value belongs.
NONSENSE = (
    "", " ", "s", "ms", "%", "-1s", "-5%", "+3s", "1,5s", "1.5.2s", ".5s", "5.", "1e3s", "0x10", "1_000", "ten", "90 seconds",
    "5 %%", "10mbps", "10MB", "1450 bytes", "1450.5", "NaN", "nan", "inf", "-inf", "١٢s", "９０s", "90s; reboot", "90s\n1s",
    "$(id)", "${fuse}", "`id`", "\x00", "90\x00s", "9" * 400 + "s", "9" * 400, "9" * 400 + "%", "9" * 400 + "bit", "1" * 10**5,
    None, True, False, [], ["90s"], {}, {"value": 90}, (), b"90s", object, math.inf, math.nan, -1, 1e300, 10**30,
)  # fmt: skip


def assert_one_sentence(error: InputError, place: str) -> None:
    """The place first, then what is wrong and what to do, on one line that somebody can read."""
    text = str(error)
    assert text.startswith(f"{place}: ")
    assert "\n" not in text
    assert len(text) < 1000, f"{len(text)} characters"
    assert error.problem
    assert error.remedy
    assert text.isprintable()


@pytest.mark.parametrize("kind", PARSERS)
@pytest.mark.parametrize("value", NONSENSE, ids=lambda value: ascii(value)[:24])
def test_nonsense_is_refused_in_one_sentence(kind: str, value: object) -> None:
    with pytest.raises(InputError) as caught:
        PARSERS[kind](value, "fault.setting")
    assert_one_sentence(caught.value, "fault.setting")
    assert caught.value.exit == 2


@given(st.one_of(st.text(max_size=40), st.none(), st.booleans(), st.integers(), st.floats(), st.lists(st.text())))
@pytest.mark.parametrize("kind", PARSERS)
def test_anything_else_ends_in_a_value_or_a_sentence(kind: str, value: object) -> None:
    try:
        found = PARSERS[kind](value, "place")
    except InputError as error:
        assert_one_sentence(error, "place")
    else:
        assert isinstance(found, str) or (math.isfinite(found) and found >= 0)


@pytest.mark.parametrize(
    ("call", "value", "words"),
    [
        (units.duration, "90", "no unit"),
        (units.duration, 90, "no unit"),
        (units.duration, "90x", "unknown unit 'x'"),
        (units.duration, "0s", "above zero"),
        (units.percent, "30", "not a percentage"),
        (units.percent, "0%", "above 0%"),
        (units.percent, "100.1%", "outside"),
        (units.rate, "7kbit", "below 8kbit"),
        (units.rate, "10mb", "not a rate"),
        (units.mtu, "575", "576 to 65535"),
        (units.mtu, "65536", "576 to 65535"),
        (units.port, "0", "1 to 65535"),
        (units.port, "65536", "1 to 65535"),
        (PARSERS["choice"], True, "boolean"),
        (PARSERS["choice"], "Drop", "use one of drop, reject"),
    ],
)
def test_the_sentence_says_what_is_wrong(call, value: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call(value, "place")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0004, "0.4 ms"),
        (0.25, "250 ms"),
        (0.9999, "1 s"),
        (1.25, "1.25 s"),
        (60, "60 s"),
        (119.99, "2 min"),
        (125, "2 min 5 s"),
        (120, "2 min"),
        (3600, "60 min"),
    ],
)
def test_seconds_as_people_read_them(seconds: float, said: str) -> None:
    assert units.say_seconds(seconds) == said


@given(st.floats(0, 10**6))
def test_seconds_are_never_said_in_powers_of_ten(seconds: float) -> None:
    said = units.say_seconds(seconds)
    assert "e+" not in said
    assert " 60 s" not in said[1:]
