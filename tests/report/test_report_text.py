"""The terminal's picture, Markdown and JUnit XML: within their bounds, and inert whatever the names."""

import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from markdown_it import MarkdownIt
from rich.cells import cell_len

from chaosnet.report import shelf, terminal
from chaosnet.report.formats import junit, markdown
from chaosnet.report.record import RunRecord

RunOf = Callable[[str], RunRecord]


@pytest.mark.parametrize("width", [20, 60, 80, 100, 300])
def test_lines_fit_the_terminal(width: int, any_run: tuple[str, RunRecord]) -> None:
    lines = terminal.draw(any_run[1], width).splitlines()
    assert max(map(cell_len, lines)) <= max(48, min(width, 120))


def test_no_escape_without_colour_and_some_with(run_record: RunOf) -> None:
    record = run_record("collateral")
    assert "\x1b" not in terminal.draw(record, 100, colour=False)
    coloured = terminal.draw(record, 100, colour=True)
    assert "\x1b[1;31mFAILED" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured).split() == terminal.draw(record, 100).split()


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_no_color_is_honoured(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    colourful, plain, piped = Screen(), Screen(), io.StringIO()
    terminal.show(run_folder, colourful)
    monkeypatch.setenv("NO_COLOR", "1")
    terminal.show(run_folder, plain)
    terminal.show(run_folder, piped)
    assert re.search(r"\x1b\[[0-9;]*3[0-7]", colourful.getvalue())
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", plain.getvalue())
    assert "\x1b" not in piped.getvalue()


def test_a_terminal_of_ascii_gets_ascii(run_record: RunOf) -> None:
    text = terminal.encodable(terminal.draw(run_record("black_hole"), 100), "ascii")
    assert text.isascii()
    assert "# timed out #" in text
    assert terminal.encodable("é\u4e2d", "latin-1").isascii()


def test_hostile_names_cannot_act_on_the_terminal(run_record: RunOf) -> None:
    for text in (terminal.draw(run_record("hostile"), 100), shelf.load("text").render(run_record("hostile"))):
        assert all(char.isprintable() or char == "\n" for char in text)


def test_hostile_names_are_only_text_in_markdown(run_record: RunOf) -> None:
    text = markdown.render(run_record("hostile"))
    page = MarkdownIt("commonmark").enable("table").render(text)
    assert not re.search(r"<(script|img|svg|a|b|textarea|title|style|em)[ >]", page)
    assert "@everyone" not in re.sub(r"<pre>.*?</pre>", "", page, flags=re.DOTALL)
    assert "<h1>Failed: &lt;script&gt;document.title='owned'&lt;/script&gt;" in page
    titles = re.findall(r"<h2>(.*?)</h2>", page)
    assert titles[:4] == ["Why", "Timeline", "Hypothesis", "Edges"]


def test_every_row_of_a_markdown_table_has_the_columns_of_its_head(any_run: tuple[str, RunRecord]) -> None:
    page = MarkdownIt("commonmark").enable("table").render(markdown.render(any_run[1]))
    tables = re.findall(r"<table>(.*?)</table>", page, flags=re.DOTALL)
    assert len(tables) >= 4
    for table in tables:
        head = table.count("<th>")
        cells = [row.count("<td>") for row in table.split("<tr>")[2:]]
        assert set(cells) <= {head}
    # A stray pipe would be swallowed as a surplus cell: the reasons must be there whole.
    assert all(len(finding.sentence) > 300 or _whole(finding.sentence, page) for finding in any_run[1].findings)


def _whole(sentence: str, page: str) -> bool:
    import html

    shown = re.sub(r"<[^>]+>", "", page).replace("\u2060", "")
    return sentence in html.unescape(shown)


def _suite(record: RunRecord) -> ET.Element:
    root = ET.fromstring(junit.render(record))
    suite = root.find("testsuite")
    assert suite is not None
    cases = suite.findall("testcase")
    assert suite.get("tests") == str(len(cases))
    assert suite.get("failures") == str(len(suite.findall("testcase/failure")))
    assert suite.get("errors") == str(len(suite.findall("testcase/error")))
    return suite


@pytest.mark.parametrize(
    ("run", "failures", "errors"),
    [("black_hole", 0, 0), ("collateral", 3, 0), ("unproven", 0, 0), ("residue", 2, 0), ("aborted", 0, 2)],
)
def test_junit_is_red_where_the_run_did_not_end_as_declared(run: str, failures: int, errors: int, run_record: RunOf) -> None:
    suite = _suite(run_record(run))
    assert (suite.get("failures"), suite.get("errors")) == (str(failures), str(errors))


def test_junit_is_red_where_a_lesson_passes(run_record: RunOf) -> None:
    record = replace(run_record("black_hole"), expect="inconclusive")
    suite = _suite(record)
    assert int(suite.get("failures", 0)) + int(suite.get("errors", 0)) == 1


def test_junit_is_well_formed_whatever_the_names(any_run: tuple[str, RunRecord]) -> None:
    assert _suite(any_run[1]).get("name", "").startswith("chaosnet: ")
