"""The timeline as SVG: one lane an edge, the faults as bands, the moments as vertical marks.

Made to be read in grey too: an open edge is a thin line and trouble a tall block, each state has its own hatching and
letter, and long stretches carry their name.  Colours come from CSS classes (``templates/picture.css``).  Does not decide
what is shown: :mod:`chaosnet.report.timeline` does.  All text goes through ElementTree, which escapes it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from chaosnet.report import words
from chaosnet.report.timeline import Group, Lane, Mark, Timeline, columns, runs, ticks

# Heights in px: the rows of the picture, and of each state's stretch within a lane.
_MARK_ROW, _SPAN_ROW, _HEADING, _LANE, _GAP, _LABEL_ABOVE = 15, 20, 22, 16, 5, 15
_INDENT = 12
_TALL = {"open": 5, "unknown": 5, "degraded": 10}
# Mean width of a character at 11 and 12 px in common sans-serif fonts; only to place text, never to cut it short.
_SMALL, _NORMAL = 6.0, 7.0
# The most stretches of one lane that its hover title spells out.
_TOLD = 12


@dataclass(frozen=True, slots=True)
class Frame:
    """Where things go: the whole ``width``, and the plot from ``left`` to ``right``; labels stand above where left is small."""

    width: int
    left: int
    right: int
    end: float

    @property
    def above(self) -> bool:
        """Whether the lanes' names stand above them instead of beside them."""
        return self.left < 80

    def x(self, seconds: float) -> float:
        """Seconds to px."""
        return round(self.left + seconds / self.end * (self.right - self.left), 1)


def frame(width: int, end: float) -> Frame:
    """The frame for a picture ``width`` px wide: names beside the lanes where there is room."""
    left = 2 if width < 480 else 168 if width < 800 else 232
    return Frame(width, left, width - (6 if width < 480 else 14), end)


def draw(picture: Timeline, width: int, name: str, title: str, folded: bool = False) -> ET.Element:
    """The SVG element, ``width`` px wide; ``name`` makes its inner ids unique in a page.

    With ``folded`` it shows the lanes that the main picture only sums up.
    """
    box = frame(width, picture.end)
    svg = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "class": "timeline", "role": "img"})
    svg.set("aria-labelledby", f"{name}-title")
    _text_child(svg, "title", title).set("id", f"{name}-title")
    groups = (Group("others", "", picture.folded),) if folded else picture.groups
    states = tuple(s for s in words.STATES if any(p.state == s for g in groups for lane in g.lanes for p in lane.stretches))
    _patterns(svg, name, states)
    back, middle, front = (ET.SubElement(svg, "g") for _ in range(3))

    rows = _rows(picture.marks, box)
    top = _MARK_ROW * (max(rows) + 1 if rows else 0) + 4
    y = float(top)
    for span in picture.spans:
        _span(middle, front, box, y, span.start, span.end, span.name, span.closed)
        y += _SPAN_ROW
    first_lane = y + 2
    for group in groups:
        y = _group(middle, front, box, y, group, name)
    floor = y + 4
    for span in picture.spans:
        _rect(back, "band", box.x(span.start), first_lane, box.x(span.end) - box.x(span.start), floor - first_lane)
    _axis(back, front, box, first_lane, floor)
    _marks(middle, front, box, picture.marks, rows, floor)
    height = _legend(front, box, floor + 34, states, name)
    svg.set("viewBox", f"0 0 {width} {height:g}")
    svg.set("width", f"{width}")
    svg.set("height", f"{height:g}")
    return svg


def _text_child(parent: ET.Element, tag: str, text: str) -> ET.Element:
    child = ET.SubElement(parent, tag)
    child.text = text
    return child


def _rect(parent: ET.Element, kind: str, x: float, y: float, width: float, height: float) -> ET.Element:
    place = {"x": f"{x:g}", "y": f"{y:g}", "width": f"{max(width, 0):g}", "height": f"{height:g}"}
    return ET.SubElement(parent, "rect", {"class": kind, **place})


def _text(parent: ET.Element, kind: str, x: float, y: float, text: str, anchor: str = "") -> ET.Element:
    child = ET.SubElement(parent, "text", {"class": kind, "x": f"{x:g}", "y": f"{y:g}"})
    if anchor:
        child.set("text-anchor", anchor)
    child.text = text
    return child


def _line(parent: ET.Element, kind: str, x: float, top: float, bottom: float) -> ET.Element:
    return ET.SubElement(parent, "path", {"class": kind, "d": f"M{x:g} {top:g}V{bottom:g}"})


def _slug(state: str) -> str:
    return state.replace(" ", "-")


# Hatching of each state as path data in a 6 x 6 tile: slanted, upright, crossed, dotted, and the other slant.
_HATCH = {
    "degraded": "M-1 7L7 -1M-1 1L1 -1M5 7L7 5", "refused": "M1.5 0V6", "reset": "M0 0L6 6M6 0L0 6",
    "unresolved": "M1 1h1.6M4 4h1.6", "timed out": "M-1 -1L7 7M-1 5L1 7M5 -1L7 1", "unknown": "M0 3h3",
}  # fmt: skip


def _patterns(svg: ET.Element, name: str, states: Sequence[str]) -> None:
    defs = ET.SubElement(svg, "defs")
    for state in states:
        tile = {"id": f"{name}-{_slug(state)}", "width": "6", "height": "6", "patternUnits": "userSpaceOnUse"}
        pattern = ET.SubElement(defs, "pattern", tile)
        _rect(pattern, f"fill {_slug(state)}", 0, 0, 6, 6)
        if state in _HATCH:
            ET.SubElement(pattern, "path", {"class": f"hatch {_slug(state)}", "d": _HATCH[state]})


def _rows(marks: Sequence[Mark], box: Frame) -> list[int]:
    """A row for each mark's words, so that no words overlap and no line crosses words.

    Words stand right of their line, later ones lower; those that would leave the picture stand left of it, earlier ones
    lower.
    """
    rows = [0] * len(marks)
    ends: list[tuple[float, int]] = []
    for i in sorted(range(len(marks)), key=lambda i: marks[i].at):
        if _outward(marks[i], box) > 0:
            x = box.x(marks[i].at)
            rows[i] = max((row + 1 for end, row in ends if end > x), default=0)
            ends.append((x + _breadth(marks[i]), rows[i]))
    starts: list[tuple[float, int]] = []
    for i in sorted(range(len(marks)), key=lambda i: -marks[i].at):
        if _outward(marks[i], box) < 0:
            x = box.x(marks[i].at)
            rows[i] = max((row + 1 for start, row in starts if start < x), default=0)
            starts.append((x - _breadth(marks[i]), rows[i]))
    if starts and ends and min(start for start, _ in starts) < max(end for end, _ in ends):
        lower = max(row for _, row in starts) + 1
        rows = [row + lower if _outward(mark, box) > 0 else row for mark, row in zip(marks, rows, strict=True)]
    return rows


def _mark_text(mark: Mark) -> str:
    return f"{mark.text} {mark.at:.2f} s"


def _breadth(mark: Mark) -> float:
    return len(_mark_text(mark)) * _SMALL + 10


def _outward(mark: Mark, box: Frame) -> int:
    return 1 if box.x(mark.at) + _breadth(mark) <= box.width else -1


def _marks(
    middle: ET.Element, front: ET.Element, box: Frame, marks: Sequence[Mark], rows: Sequence[int], floor: float
) -> None:
    for mark, row in zip(marks, rows, strict=True):
        x, y = box.x(mark.at), row * _MARK_ROW + 12
        line = _line(middle, f"mark {mark.moment}", x, y - 9, floor)
        _text_child(line, "title", f"{_mark_text(mark)}: {words.MOMENT_MEANINGS[mark.moment]}")
        side = _outward(mark, box)
        _text(front, f"moment {mark.moment}", x + 4 * side, y, _mark_text(mark), "" if side > 0 else "end")


def _span(
    middle: ET.Element, front: ET.Element, box: Frame, y: float, start: float, end: float, name: str, closed: bool
) -> None:
    x, wide = box.x(start), box.x(end) - box.x(start)
    bar = _rect(middle, "span" if closed else "span unclosed", x, y + 3, max(wide, 2), 12)
    _text_child(bar, "title", f"{name}: from {start:.3f} s " + (f"to {end:.3f} s" if closed else "on; no undo was seen"))
    if box.above:
        _text(front, "span-name", x + 4, y + 12.5, words.short(name, 40))
    else:
        _text(front, "span-label", 2, y + 13, words.short(name, int((box.left - 14) / _NORMAL)))


def _group(middle: ET.Element, front: ET.Element, box: Frame, y: float, group: Group, name: str) -> float:
    if group.title:
        kind = "heading collateral" if group.kind == "collateral" else "heading"
        _text(front, kind, 2, y + 16, group.title)
        y += _HEADING
    for lane in group.lanes:
        label = words.short(lane.name, int(((box.width if box.above else box.left) - _INDENT - 8) / _NORMAL))
        if box.above:
            text = _text(front, "label", 2, y + 11, label)
            y += _LABEL_ABOVE
        else:
            text = _text(front, "label", _INDENT, y + 12, label)
        if label != lane.name:
            _text_child(text, "title", lane.name)
        _lane(middle, front, box, y, lane, name)
        y += _LANE + _GAP
    return y


def _lane(middle: ET.Element, front: ET.Element, box: Frame, y: float, lane: Lane, name: str) -> None:
    """One path a state, however many stretches it has: 200 edges that flap must not make a page of megabytes."""
    _rect(middle, "rail", box.left, y + _LANE / 2 - 0.5, box.right - box.left, 1)
    number = (box.right - box.left) // 2
    paths: dict[str, list[str]] = {}
    for first, length, state in runs(columns(lane.stretches, box.end, number)):
        if not state:
            continue
        x, wide = box.left + 2 * first, 2 * length
        paths.setdefault(state, []).append(f"M{x} {y + _LANE / 2:g}h{wide}")
        word = state if wide > len(state) * _SMALL + 12 else words.LETTERS[state]
        if words.LETTERS[state] and wide >= 12 and state != "unknown":
            _text(front, f"within {_slug(state)}", x + wide / 2, y + 11.5, word, "middle")
    for state, parts in paths.items():
        path = ET.SubElement(middle, "path", {"class": "run", "d": "".join(parts)})
        path.set("stroke", f"url(#{name}-{_slug(state)})")
        path.set("stroke-width", str(_TALL.get(state, _LANE)))
        _text_child(path, "title", f"{lane.name}: {_told(lane, state)}")


def _told(lane: Lane, state: str) -> str:
    """When the lane was in ``state``: ``"timed out 5.03–25.12 s"``."""
    times = [f"{piece.start:.2f}–{piece.end:.2f} s" for piece in lane.stretches if piece.state == state]
    more = f" and {len(times) - _TOLD} times more" if len(times) > _TOLD else ""
    return f"{state} {', '.join(times[:_TOLD])}{more}"


def _axis(back: ET.Element, front: ET.Element, box: Frame, top: float, floor: float) -> None:
    marks = ticks(box.end, max(2, (box.right - box.left) // 70))
    for at in marks:
        _line(back, "grid", box.x(at), top, floor + 4)
        _text(front, "tick", box.x(at), floor + 17, f"{at:g}" + (" s" if at == marks[-1] else ""), _anchor(at, box))


def _anchor(at: float, box: Frame) -> str:
    if box.x(at) - box.left < 8 and box.above:
        return "start"
    return "end" if box.width - box.x(at) < 16 else "middle"


def _legend(front: ET.Element, box: Frame, y: float, states: Sequence[str], name: str) -> float:
    """Swatches of the states that occur; returns where the picture ends."""
    x = float(box.left)
    for state in states:
        text = f"{state} ({words.LETTERS[state]})" if words.LETTERS[state] else state
        wide = 30 + len(text) * _SMALL + 16
        if x + wide > box.width and x > box.left:
            x, y = float(box.left), y + 20
        path = ET.SubElement(front, "path", {"class": "run", "d": f"M{x:g} {y - 4:g}h24"})
        path.set("stroke", f"url(#{name}-{_slug(state)})")
        path.set("stroke-width", str(min(12, _TALL.get(state, 12))))
        _text(front, "legend", x + 30, y, text)
        x += wide
    return y + 8


def svg(picture: Timeline, width: int, name: str, title: str, folded: bool = False) -> str:
    """:func:`draw` as text."""
    return ET.tostring(draw(picture, width, name, title, folded), encoding="unicode")


def pictures(picture: Timeline, title: str, widths: Sequence[tuple[str, int]]) -> Iterator[tuple[str, str]]:
    """For each (name, width) the SVG as text, for a page that shows the one that fits."""
    for name, width in widths:
        yield name, svg(picture, width, name, title)
