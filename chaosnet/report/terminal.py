"""The end of a run for people at a terminal: verdict, the three answers, and the timeline in characters.

As wide as the terminal; no colour where there is no terminal or NO_COLOR is set; plain ASCII where the terminal cannot
show more.  rich does the colours and the widths of characters, and is imported here, so import this module late.
"""

import io
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from chaosnet.report import words
from chaosnet.report.reading import read
from chaosnet.report.record import RunRecord
from chaosnet.report.timeline import Lane, Mark, Timeline, columns, runs, ticks, timeline

_NARROW, _WIDE = 48, 120
_OPEN, _UNKNOWN, _NOTHING = "─", "·", " "
_BLOCK = {"degraded": "▒", "refused": "▓", "reset": "▓", "unresolved": "▓", "timed out": "▓"}
_ASCII = str.maketrans({
    "─": "-", "▒": "+", "▓": "#", "█": "=", "▾": "v", "│": "|", "·": ".", "–": "-", "…": "~", "→": ">", "“": '"', "”": '"',
})  # fmt: skip
_COLOURS = {
    "open": "green", "degraded": "yellow", "refused": "magenta", "reset": "bright_magenta", "unresolved": "blue",
    "timed out": "red", "unknown": "dim",
}  # fmt: skip
_VERDICT_COLOURS = {"pass": "bold green", "fail": "bold red", "inconclusive": "bold yellow"}


def show(folder: Path, stream: TextIO | None = None) -> None:
    """Write the end of the run in ``folder`` to ``stream`` (standard error), as wide and as colourful as it can take.

    Raises InputError where there is no run record to read.
    """
    stream = stream or sys.stderr
    width = shutil.get_terminal_size((100, 24)).columns
    colour = None if stream.isatty() else False
    text = draw(read(folder), width, colour)
    report = folder / "report.html"
    if report.exists():
        text += f"\nReport: {report}\n"
    encoding = stream.encoding or "utf-8"
    stream.write(encodable(text, encoding))
    stream.flush()


def encodable(text: str, encoding: str) -> str:
    """``text`` as a stream of ``encoding`` can write it: ASCII pictures where it has no blocks, ``?`` for lost letters."""
    try:
        "─▒▓█▾│".encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return text.translate(_ASCII).encode("ascii", "replace").decode("ascii")
    return text.encode(encoding, "replace").decode(encoding)


def draw(record: RunRecord, width: int = 100, colour: bool | None = False) -> str:
    """All of it as text, at most ``width`` columns wide (48 to 120); ``colour`` None follows NO_COLOR and TERM."""
    width = max(_NARROW, min(width - 1, _WIDE))
    console = Console(
        file=io.StringIO(), width=width, force_terminal=colour is not False, no_color=None if colour is None else not colour,
        color_system="auto" if colour is None else "standard" if colour else None, highlight=False, markup=False, emoji=False,
        legacy_windows=False,
    )  # fmt: skip
    for line in _story(record):
        console.print(line, soft_wrap=False)
    for line in _picture(timeline(record), width):
        console.print(line, soft_wrap=True)
    output = console.file
    assert isinstance(output, io.StringIO)
    return "\n".join(line.rstrip() for line in output.getvalue().splitlines()) + "\n"


def picture(record: RunRecord, width: int = 90) -> str:
    """The timeline alone, without colour, for a fenced block of Markdown."""
    return "\n".join(line.plain.rstrip() for line in _picture(timeline(record), width)) + "\n"


def _story(record: RunRecord) -> Iterator[Text]:
    verdict = words.VERDICTS[record.verdict].upper()
    yield Text.assemble((verdict, _VERDICT_COLOURS[record.verdict]), (f"  {words.short(record.title, 200)}", "bold"))
    grave = [finding for finding in record.findings if finding.outcome != "pass"]
    if not grave:
        yield Text(words.headline(record))
    if words.declared(record):
        yield Text(words.declared(record))
    yield Text()
    for reply in words.replies(record):
        style = {True: "green", False: "red", None: ""}[reply.good]
        yield Text.assemble((f"{reply.question} ", "dim"), (f"{reply.answer}. ", style), words.short(reply.sentence, 600))
    if grave:
        yield Text()
    for finding in grave[:8]:
        outcome = finding.outcome if finding.outcome in words.VERDICTS else "inconclusive"
        yield Text.assemble((outcome, _VERDICT_COLOURS[outcome]), f"  {words.short(finding.sentence, 400)}")
    if len(grave) > 8:
        yield Text(f"and {len(grave) - 8} more reasons, all in the report", "dim")
    yield Text()


def _picture(shape: Timeline, width: int) -> Iterator[Text]:
    margin = min(34, max(14, width // 3))
    plot = width - margin
    yield from _moments(shape.marks, shape.end, margin, plot)
    for span in shape.spans:
        first, last = _column(span.start, shape.end, plot), _column(span.end, shape.end, plot)
        bar = "█" * max(1, last - first) + ("" if span.closed else " not undone")
        yield Text.assemble((_label(span.name, margin), "bold"), " " * first, (bar, "bold"))
    for group in shape.groups:
        yield Text(words.short(group.title, width), "red" if group.kind == "collateral" else "dim")
        for lane in group.lanes:
            yield Text.assemble(_label(f"  {lane.name}", margin), *_cells(lane, shape.end, plot))
    if shape.groups:
        yield Text(" " * margin + _axis(shape.end, plot), "dim")
        yield from _legend(shape.states, margin, width)


def _legend(states: Sequence[str], margin: int, width: int) -> Iterator[Text]:
    line = Text(" " * margin)
    for state in states:
        entry = Text.assemble((_sample(state), _COLOURS[state]), (f" {state}   ", "dim"))
        if line.cell_len + len(entry.plain.rstrip()) > width and line.plain.strip():
            yield line
            line = Text(" " * margin)
        line.append_text(entry)
    yield line


def _label(name: str, margin: int) -> str:
    return set_cell_size(words.short(name, margin - 2), margin - 1) + " "


def _sample(state: str) -> str:
    fill = {"open": _OPEN, "unknown": _UNKNOWN}.get(state) or _BLOCK[state]
    return fill + (words.LETTERS[state].replace("?", _UNKNOWN) or fill) + fill


def _column(seconds: float, end: float, plot: int) -> int:
    return min(plot - 1, int(seconds / end * plot))


def _cells(lane: Lane, end: float, plot: int) -> Iterator[tuple[str, str]]:
    for _, length, state in runs(columns(lane.stretches, end, plot)):
        if state in ("", "open", "unknown"):
            yield {"": _NOTHING, "open": _OPEN, "unknown": _UNKNOWN}[state] * length, _COLOURS.get(state, "")
            continue
        word = f" {state} " if length >= len(state) + 4 else words.LETTERS[state]
        yield word.center(length, _BLOCK[state])[:length], _COLOURS[state]


def _axis(end: float, plot: int) -> str:
    line = [" "] * plot
    marks = ticks(end, max(2, plot // 9))
    for at in marks:
        text = f"{at:g}" + (" s" if at == marks[-1] else "")
        first = min(_column(at, end, plot), plot - len(text))
        line[first : first + len(text)] = text
    return "".join(line)


def _moments(marks: Sequence[Mark], end: float, margin: int, plot: int) -> Iterator[Text]:
    """The moments above the picture, each with an arrow at its column, earlier ones higher, none over another."""
    placed: list[tuple[int, int, str]] = []
    for mark in sorted(marks, key=lambda mark: mark.at):
        column, text = _column(mark.at, end, plot), f"{mark.text} {mark.at:.2f} s"
        left = column + cell_len(text) + 2 > plot
        first = column - cell_len(text) - 1 if left else column
        if first < 0:
            continue
        last = first + cell_len(text) + 1
        row = max((r + 1 for r, (begin, end_, _) in _taken(placed) if begin <= last and first <= end_), default=0)
        placed.append((row, column, f"{text} ▾" if left else f"▾ {text}"))
    for row in range(max((row for row, _, _ in placed), default=-1) + 1):
        line = [" "] * (plot + margin)
        for at, column, _ in placed:
            if at < row:
                line[margin + column] = "│"
        for at, column, text in placed:
            if at == row:
                first = column - len(text) + 1 if text.endswith("▾") else column
                line[margin + first : margin + first + len(text)] = text
        yield Text("".join(line).rstrip(), "dim")


def _taken(placed: Sequence[tuple[int, int, str]]) -> Iterator[tuple[int, tuple[int, int, str]]]:
    for row, column, text in placed:
        begin = column - len(text) + 1 if text.endswith("▾") else column
        yield row, (begin, begin + len(text), text)
