"""SVG: the timeline alone, for a README or a slide; follows the reader's light or dark theme by itself."""

from importlib.resources import files
from xml.etree import ElementTree as ET

from chaosnet.report import picture, timeline
from chaosnet.report.record import RunRecord

FILE = "timeline.svg"
_WIDTH, _MARGIN = 920, 20


def render(record: RunRecord) -> str:
    """One SVG document without references to anything outside it."""
    svg = picture.draw(timeline.timeline(record), _WIDTH, "timeline", f"{record.title}: timeline")
    style = ET.Element("style")
    light, dark, rules = (_template(name) for name in ("colours.css", "dark.css", "picture.css"))
    style.text = f"{light}@media (prefers-color-scheme: dark) {{ :root {{\n{dark}}} }}\n{rules}"
    svg.insert(1, style)
    width, height = (float(svg.get(side, "0")) + 2 * _MARGIN for side in ("width", "height"))
    corner = {"x": f"{-_MARGIN}", "y": f"{-_MARGIN}", "width": f"{width:g}", "height": f"{height:g}", "rx": "10"}
    svg.insert(2, ET.Element("rect", {"class": "paper", **corner}))
    svg.set("viewBox", f"{-_MARGIN} {-_MARGIN} {width:g} {height:g}")
    svg.set("width", f"{width:g}")
    svg.set("height", f"{height:g}")
    return ET.tostring(svg, encoding="unicode") + "\n"


def _template(name: str) -> str:
    return (files("chaosnet.report") / "templates" / name).read_text(encoding="utf-8")
