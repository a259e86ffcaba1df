"""HTML: the report as one file for a browser: verdict, timeline, edges, evidence, what was changed and undone.

Nothing in it comes from or goes to a network: style and script are inline and named by their hash in a content security
policy that allows nothing else.  Every text is escaped by jinja2.  It knows no layout: that is in ``templates/``.
"""

import base64
import hashlib
import json
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from chaosnet.model.units import say_seconds
from chaosnet.report import picture, words
from chaosnet.report.formats.json import normalised
from chaosnet.report.record import MOMENTS, RunRecord
from chaosnet.report.timeline import timeline

FILE = "report.html"

# The picture is drawn for three widths and the page shows the one that fits: text in a scaled picture is unreadable.
_WIDTHS = (("wide", 1040), ("middle", 680), ("narrow", 346))
_MOST_EVENTS = 1000
_MOST_RAW = 150_000


def render(record: RunRecord) -> str:
    """The whole page."""
    style, script = _style(), _template("report.js")
    shape = timeline(record)
    told, rest = words.table_edges(record)
    title = f"Timeline of the run: {words.short(record.title, 120)}"
    raw = json.dumps(normalised(record, samples=False), indent=1, ensure_ascii=False)
    return _environment().get_template("report.html.j2").render(
        record=record,
        words=words,
        moments=MOMENTS,
        collateral=words.hit(record),
        told=told,
        rest=rest,
        pictures=[(name, Markup(svg)) for name, svg in picture.pictures(shape, title, _WIDTHS)],
        folded=Markup(picture.svg(shape, _WIDTHS[0][1], "folded", f"{title}, the rest", folded=True)) if shape.folded else "",
        folded_count=sum(lane.edges for lane in shape.folded),
        events=record.events[:_MOST_EVENTS],
        raw=raw if len(raw) <= _MOST_RAW else "",
        say_seconds=say_seconds,
        style=Markup(style),
        script=Markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
    )  # fmt: skip


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("chaosnet.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["short"] = words.short
    environment.filters["moment"] = words.moment
    return environment


def _template(name: str) -> str:
    return (files("chaosnet.report") / "templates" / name).read_text(encoding="utf-8")


@cache
def _style() -> str:
    light, dark = _template("colours.css"), _template("dark.css")
    by_theme = (
        f"@media screen and (prefers-color-scheme: dark) {{ :root:not([data-theme=light]) {{\n{dark}}} }}\n"
        f"@media screen {{ :root[data-theme=dark] {{\n{dark}}} }}\n"
    )
    return "\n" + light + by_theme + _template("report.css") + _template("picture.css")


def _hash(text: str) -> str:
    """The source expression of an inline block: CSP level 3, section 6.7.2."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
