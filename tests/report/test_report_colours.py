"""The colours of page and picture: enough contrast to read in both themes (WCAG 2.2, 1.4.3 and 1.4.11), and in grey."""

import itertools
import re
from importlib.resources import files

import pytest

_TEMPLATES = files("chaosnet.report") / "templates"


@pytest.fixture(params=["colours.css", "dark.css"])
def colours(request: pytest.FixtureRequest) -> dict[str, str]:
    """The variables of one theme that are plain colours."""
    text = (_TEMPLATES / request.param).read_text(encoding="utf-8")
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", text))


def _luminance(colour: str) -> float:
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_words_can_be_read(colours: dict[str, str]) -> None:
    for ink, paper in itertools.product(
        ("ink", "muted", "link", "pass", "fail", "inconclusive"), ("card", "paper", "soft", "fail-soft")
    ):
        if paper != "fail-soft" or ink in ("ink", "muted", "pass", "fail"):
            assert _contrast(colours[ink], colours[paper]) >= 4.5, (ink, paper)


def test_words_within_the_picture_can_be_read(colours: dict[str, str]) -> None:
    for state in ("refused", "reset", "unresolved", "timed-out"):
        assert _contrast(colours["on-state"], colours[state]) >= 4.5, state
    assert _contrast(colours["on-degraded"], colours["degraded"]) >= 4.5
    assert _contrast(colours["on-fault"], colours["fault"]) >= 4.5


def test_trouble_stands_out_from_the_page(colours: dict[str, str]) -> None:
    for state in ("refused", "reset", "unresolved", "timed-out"):
        assert _contrast(colours[state], colours["card"]) >= 3, state


def test_both_themes_name_the_same_colours() -> None:
    light, dark = (
        re.findall(r"--([a-z-]+):", (_TEMPLATES / name).read_text(encoding="utf-8")) for name in ("colours.css", "dark.css")
    )
    assert set(light) == set(dark)
    used = set()
    for name in ("report.css", "picture.css"):
        used |= set(re.findall(r"var\(--([a-z-]+)\)", (_TEMPLATES / name).read_text(encoding="utf-8")))
    assert used - {"tone"} <= set(light)
