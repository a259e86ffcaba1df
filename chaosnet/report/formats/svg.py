"""SVG: the timeline alone, for a README or a slide; follows the reader's light or dark theme by itself."""

from importlib.resources import files
from xml.etree import ElementTree as ET

from chaosnet.report import picture, timeline
from chaosnet.report.record import RunRecord

FILE = "timeline.svg"
_WIDTH = 960


def render(record: RunRecord) -> str:
    """One SVG document without references to anything outside it."""
    svg = picture.draw(timeline.timeline(record), _WIDTH, "timeline", f"{record.title}: timeline")
    style = ET.Element("style")
    light, dark, rules = (_template(name) for name in ("colours.css", "dark.css", "picture.css"))
    style.text = f"{light}@media (prefers-color-scheme: dark) {{ :root {{\n{dark}}} }}\n{rules}"
    svg.insert(1, style)
    paper = ET.Element("rect", {"class": "paper", "width": "100%", "height": "100%", "rx": "8"})
    svg.insert(2, paper)
    return ET.tostring(svg, encoding="unicode") + "\n"


def _template(name: str) -> str:
    return (files("chaosnet.report") / "templates" / name).read_text(encoding="utf-8")
