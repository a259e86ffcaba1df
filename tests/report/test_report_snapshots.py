"""What each format makes of each run, word for word.  ``UPDATE_SNAPSHOTS=1 pytest tests/report`` writes them anew."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from chaosnet.report import shelf
from chaosnet.report.record import RunRecord

SNAPSHOTS = Path(__file__).with_name("snapshots")
RUNS = ("black_hole", "collateral", "unproven", "residue", "aborted", "hostile")
# JSON is held by reading it back; long hostile pages are held by parsing them.
CASES = [
    (run, name)
    for run in RUNS
    for name in ("html", "markdown", "junit", "svg", "text")
    if not (run == "hostile" and name in ("html", "svg"))
] + [("aborted", "json"), ("crowd", "text")]


def _steady(name: str, text: str) -> str:
    """Without what changes with every touch of the style, and without the same picture in other widths."""
    text = re.sub(r"(<(style|script)>).*?(</\2>)", r"\1…\3", text, flags=re.DOTALL)
    text = re.sub(r"sha256-[A-Za-z0-9+/=]+", "sha256-…", text)
    if name == "html":
        text = re.sub(r'<div class="picture (middle|narrow|scrolls)".*?</svg></div>', r'<div class="picture \1">…</div>', text)
        text = re.sub(r"<pre><code>\{.*?</code></pre>", "<pre><code>…</code></pre>", text, flags=re.DOTALL)
        text = re.sub(r"\n\s*\n+", "\n", text)
    return text


@pytest.mark.parametrize(("run", "name"), CASES)
def test_the_format_says_what_it_said(run: str, name: str, run_record: Callable[[str], RunRecord]) -> None:
    format_ = shelf.load(name)
    text = _steady(name, format_.render(run_record(run)))
    kept = SNAPSHOTS / f"{run}.{format_.FILE}"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(text, encoding="utf-8")
    assert text == kept.read_text(encoding="utf-8"), "changed on purpose? UPDATE_SNAPSHOTS=1 writes it anew; read the diff"


def test_rendering_twice_gives_the_same(any_run: tuple[str, RunRecord]) -> None:
    name, record = any_run
    if name != "crowd":
        for format_ in shelf.names():
            assert shelf.load(format_).render(record) == shelf.load(format_).render(record)
