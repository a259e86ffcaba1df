"""Markdown (GitHub's kind): the report for a pull request or a wiki, with the timeline in characters.

Text of strangers is escaped so that it cannot become markup, a link, a mention or a heading.
"""

import re
from collections.abc import Iterator, Sequence

from chaosnet.report import terminal, words
from chaosnet.report.record import MOMENTS, EdgeRecord, FaultRecord, RunRecord

FILE = "report.md"
_MOST_EDGES = 60

# What begins markup anywhere (an underscore only at a word's edge), and what does so only at the beginning of a line.
_MARKUP = re.compile(r"([\\`*\[\]|~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")
_OPENING = re.compile(r"^(\s*(?:[0-9]{1,9})?)([#+\-=>.)])")


def text(words_: str, most: int = 600) -> str:
    """``words_`` as Markdown that shows exactly that, on one line; ``@`` and ``://`` are kept from becoming links."""
    shown = words.short(words_, most).replace("&", "&amp;").replace("<", "&lt;")
    shown = _OPENING.sub(r"\1\\\2", _MARKUP.sub(r"\\\1", shown))
    # A word joiner after them: GitHub finds mentions, issues and bare addresses in the text, whatever the escapes.
    return shown.replace("@", "@\u2060").replace("#", "#\u2060").replace("://", ":\u2060//").replace("www.", "www\u2060.")


def code(words_: str, most: int = 200) -> str:
    """``words_`` as a code span, with a fence longer than any in it; a pipe would end the table's cell even there."""
    shown = words.short(words_, most).replace("|", "\u01c0") or " "
    ticks = "`" * (max((len(run) for run in re.findall("`+", shown)), default=0) + 1)
    pad = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{ticks}{pad}{shown}{pad}{ticks}"


def render(record: RunRecord) -> str:
    """The whole document."""
    return "\n".join(_lines(record)) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"| {' | '.join('---' for _ in head)} |"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def _section(title: str, sentences: Sequence[str]) -> Iterator[str]:
    if sentences:
        yield f"## {title}"
        yield ""
        yield from (f"- {text(sentence)}" for sentence in sentences)
        yield ""


def _lines(record: RunRecord) -> Iterator[str]:
    yield f"# {words.VERDICTS[record.verdict]}: {text(record.title)}"
    yield ""
    yield f"**{text(words.headline(record))}**"
    yield ""
    for line in (words.declared(record), record.description):
        if line:
            yield text(line)
            yield ""
    yield from _table(
        ("Question", "Answer"),
        [(reply.question, f"**{reply.answer}.** {text(reply.sentence)}") for reply in words.replies(record)],
    )
    if record.findings:
        yield "## Why"
        yield ""
        yield from _table(
            ("Outcome", "About", "Reason"),
            [(text(finding.outcome, 20), text(finding.about, 40), text(finding.sentence)) for finding in record.findings],
        )
    picture = terminal.picture(record)
    fence = "`" * max(3, max((len(run) for run in re.findall("`+", picture)), default=0) + 1)
    yield "## Timeline"
    yield ""
    yield f"{fence}text"
    yield picture.rstrip("\n")
    yield fence
    yield ""
    yield from _moments(record.faults)
    yield from _hypothesis(record)
    yield from _edges(record)
    for fault in record.faults:
        yield from _fault(fault)
    yield from _section("Left behind", words.residue(record))
    yield from _section("What the network had learned", record.learned)
    yield from _environment(record)


def _moments(faults: Sequence[FaultRecord]) -> Iterator[str]:
    if faults:
        yield from _table(
            ("Fault", *(words.MOMENT_WORDS[name] for name in MOMENTS)),
            [
                (code(fault.kind or "fault", 60), *(words.moment(getattr(fault.times, name)) for name in MOMENTS))
                for fault in faults
            ],
        )


def _hypothesis(record: RunRecord) -> Iterator[str]:
    hypothesis = record.hypothesis
    yield "## Hypothesis"
    yield ""
    if not hypothesis.stated or not (hypothesis.title or hypothesis.probes):
        yield "The experiment states none."
        yield ""
        return
    yield f"> {text(hypothesis.title)}"
    yield ""
    whole = ("**The hypothesis**", *(words.held(x) for x in (hypothesis.before, hypothesis.during, hypothesis.after)))
    rows = [
        (text(probe.name, 120), *(text(words.held(x), 120) for x in (probe.before, probe.during, probe.after)))
        for probe in hypothesis.probes
    ]
    yield from _table(("Probe", "Before", "During", "After"), [whole, *rows])


def _edges(record: RunRecord) -> Iterator[str]:
    if not record.edges:
        return
    collateral = words.hit(record)
    told, more = words.table_edges(record)
    yield "## Edges"
    yield ""
    yield from _table(
        ("Edge", "Expected", "Before", "During", "After", "Result"),
        [_edge_row(edge, collateral) for edge in told[:_MOST_EDGES]],
    )
    rest = len(more) + len(told[_MOST_EDGES:])
    if rest:
        yield f"{words.count(rest, 'more edge')} watched; all of them are in `run.json`."
        yield ""


def _edge_row(edge: EdgeRecord, collateral: frozenset[str]) -> tuple[str, ...]:
    result, tone = words.edge_result(edge, collateral)
    states = (text(state or "–", 40) for state in (edge.before, edge.during, edge.after))
    return (code(edge.name, 80), words.expectation(edge), *states, f"**{text(result)}**" if tone == "bad" else text(result))


def _fault(fault: FaultRecord) -> Iterator[str]:
    yield f"## Fault {code(words.short(words.fault_name(fault), 120))}"
    yield ""
    proven = "proven and held until the undo" if fault.proven and fault.held else "proven" if fault.proven else "not proven"
    yield f"Ticket {code(fault.id or '–', 40)}, {proven}."
    yield ""
    if fault.effects:
        yield from _table(
            ("Effect", "Seen", "Reading", "Before", "After"),
            [
                (text(effect.name, 120), words.value(effect.ok), text(effect.sentence), *_figures(effect.before, effect.figures))
                for effect in fault.effects
            ],
        )
    counted = [words.counters(fault)] if words.counters(fault) else []
    yield from _list("Evidence", [*words.further_evidence(fault), *counted])
    yield from _list("Changed", fault.changes)
    yield from _list("Undone", fault.undo)
    yield from _list("Warnings", fault.warnings)
    if fault.fuse:
        yield f"Fuse: {text(fault.fuse)}"
        yield ""


def _figures(*plain: object) -> Iterator[str]:
    for figures in plain:
        yield text(words.value(figures), 240)  # type: ignore[arg-type]


def _list(title: str, sentences: Sequence[str]) -> Iterator[str]:
    if sentences:
        yield f"**{title}**"
        yield ""
        yield from (f"- {text(sentence)}" for sentence in sentences)
        yield ""


def _environment(record: RunRecord) -> Iterator[str]:
    yield "## Environment and rerun"
    yield ""
    rows = [("run", record.run), ("started", record.started), ("target", f"{record.target} {record.target_ref}".strip())]
    rows += list(record.environment.items())
    yield from _table(("What", "Value"), [(text(key, 80), text(value, 240)) for key, value in rows if value])
    if record.how_to_rerun:
        command = words.short(record.how_to_rerun, 400)
        fence = "`" * max(3, max((len(run) for run in re.findall("`+", command)), default=0) + 1)
        yield f"{fence}sh"
        yield command
        yield fence
