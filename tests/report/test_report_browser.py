"""The page in a real Chromium: it shows the verdict and the timeline, in both themes, on a phone; and nothing executes.

Pictures are read by the few lines of PNG below, so that the tests need no imaging library.
"""

import re
import shutil
import struct
import subprocess
import zlib
from collections import Counter
from collections.abc import Callable
from html import escape
from pathlib import Path

import pytest

from chaosnet.report.formats import html
from chaosnet.report.record import RunRecord

pytestmark = pytest.mark.browser
RunOf = Callable[[str], RunRecord]
Pixels = list[bytes]

_NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture
def chromium(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """A function: run Chromium without a window on a page with these options; what it printed."""
    program = next(found for found in map(shutil.which, _NAMES) if found)
    monkeypatch.setenv("TZ", "Asia/Shanghai")

    def run(page: str, *options: str, width: int = 1280, height: int = 1600, dark: bool = False) -> str:
        path = tmp_path / "report.html"
        path.write_text(page, encoding="utf-8")
        done = subprocess.run(
            [
                program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage",
                f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},{height}",
                f"--blink-settings=preferredColorScheme={0 if dark else 1}", *options, path.as_uri(),
            ],
            capture_output=True, text=True, timeout=90, check=True,
        )  # fmt: skip
        return done.stdout

    return run


def _pixels(path: Path) -> Pixels:
    """The rows of an 8-bit RGB or RGBA PNG, as RGB (PNG specification, sections 9 and 11.2)."""
    data, at, packed, width, channels = path.read_bytes(), 8, b"", 0, 0
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, _, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", body)
            assert (depth, interlace) == (8, 0)
            channels = {2: 3, 6: 4}[colour]
        if kind == b"IDAT":
            packed += body
        at += length + 12
    raw, stride = zlib.decompress(packed), width * channels
    rows: Pixels = []
    previous = bytes(stride)
    for start in range(0, len(raw), stride + 1):
        line = bytearray(raw[start + 1 : start + 1 + stride])
        _unfilter(raw[start], line, previous, channels)
        previous = bytes(line)
        rows.append(previous if channels == 3 else b"".join(previous[i : i + 3] for i in range(0, stride, 4)))
    return rows


def _unfilter(kind: int, line: bytearray, above: bytes, step: int) -> None:
    if kind == 0:
        return
    if kind == 2:
        line[:] = bytes((a + b) & 255 for a, b in zip(line, above, strict=True))
        return
    for i in range(len(line)):
        left = line[i - step] if i >= step else 0
        if kind == 1:
            add = left
        elif kind == 3:
            add = (left + above[i]) // 2
        else:
            corner = above[i - step] if i >= step else 0
            guess = left + above[i] - corner
            add = min((left, above[i], corner), key=lambda value: abs(guess - value))
        line[i] = (line[i] + add) & 255


def _colours(rows: Pixels) -> Counter[str]:
    return Counter(row[i : i + 3].hex() for row in rows for i in range(0, len(row), 3))


def _shot(chromium: Callable[..., str], tmp_path: Path, page: str, **options: object) -> Pixels:
    path = tmp_path / "shot.png"
    chromium(page, f"--screenshot={path}", **options)
    return _pixels(path)


@pytest.mark.parametrize(
    ("run", "verdict", "trouble"),
    [("black_hole", "12694f", "b53d12"), ("collateral", "ae2a19", "7a52a8"), ("unproven", "855300", "b53d12")],
)
def test_the_verdict_and_the_timeline_are_seen(
    chromium: Callable[..., str], tmp_path: Path, run_record: RunOf, run: str, verdict: str, trouble: str
) -> None:
    rows = _shot(chromium, tmp_path, html.render(run_record(run)))
    assert len(rows) == 1600
    # The big word and the bar above it, in the verdict's colour, within the first screenful.
    assert _colours(rows[:250])[verdict] > 3000
    # The timeline: open lines in the open colour, trouble in its own, the fault's bar; all below the verdict.
    below = _colours(rows[400:])
    assert below["8cc7b5"] > 1500
    assert below[trouble] > 300
    assert below["3d4a5c"] > 1000


def test_a_dark_reader_gets_a_dark_page(chromium: Callable[..., str], tmp_path: Path, run_record: RunOf) -> None:
    rows = _shot(chromium, tmp_path, html.render(run_record("black_hole")), dark=True)
    colours = _colours(rows)
    assert sum(number for colour, number in colours.items() if int(colour[:2], 16) < 64) > 0.9 * sum(colours.values())
    assert colours["5fcaa3"] > 3000
    assert colours["e2683a"] > 300


def test_grey_and_print_keep_the_picture(chromium: Callable[..., str], tmp_path: Path, run_record: RunOf) -> None:
    pdf = tmp_path / "report.pdf"
    chromium(html.render(run_record("collateral")), f"--print-to-pdf={pdf}", "--no-pdf-header-footer", dark=True)
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", pdf.read_bytes())) <= 8


def _without_policy(page: str) -> str:
    """The page as it would be without its content security policy: escaping alone must do."""
    bare = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    assert bare != page
    return bare


@pytest.mark.parametrize("policy", [True, False])
def test_nothing_in_the_names_executes(chromium: Callable[..., str], run_record: RunOf, policy: bool) -> None:
    page = html.render(run_record("hostile"))
    dom = chromium(page if policy else _without_policy(page), "--dump-dom", "--virtual-time-budget=2000")
    title = re.search(r"<title>(.*?)</title>", dom)
    assert title is not None
    assert title.group(1).startswith("Failed: &lt;script&gt;")
    assert "<img" not in dom
    assert "onload=" not in re.sub(r">[^<]*<|=\"[^\"]*\"", "", dom)


def test_a_hole_in_the_escaping_would_be_seen(chromium: Callable[..., str], run_record: RunOf) -> None:
    page = _without_policy(html.render(run_record("hostile"))).replace("&lt;", "<").replace("&gt;", ">").replace("&#39;", "'")
    assert "<title>owned</title>" in chromium(page, "--dump-dom", "--virtual-time-budget=2000")


def test_times_are_in_the_readers_zone_and_the_theme_can_be_chosen(chromium: Callable[..., str], run_record: RunOf) -> None:
    page = html.render(run_record("black_hole"))
    click = "<script>document.getElementById('theme').click(); document.getElementById('theme').click();</script></body>"
    dom = chromium(_without_policy(page).replace("</body>", click), "--dump-dom")
    assert re.search(r'<time datetime="2026-03-14T09:26:53[^>]*>March 14, 2026 at 5:26:53', dom)
    assert 'data-theme="dark"' in dom
    assert "Theme: dark" in dom


@pytest.mark.parametrize(("width", "shown"), [(1280, "wide"), (961, "wide"), (800, "middle"), (390, "narrow")])
@pytest.mark.parametrize("run", ["collateral", "hostile", "crowd"])
def test_nothing_runs_out_of_the_window(
    chromium: Callable[..., str], run_record: RunOf, width: int, shown: str, run: str
) -> None:
    # A window of Chromium is never narrower than 500 px; a frame can be.
    ask = """<!doctype html><title></title><iframe width="WIDTH" height="800" style="border: 0" srcdoc="PAGE"></iframe><script>
      onload = function () {
        const page = document.querySelector("iframe").contentDocument, all = page.querySelectorAll(".picture:not(.scrolls)");
        page.querySelectorAll("details").forEach(e => { e.open = true; });
        const seen = [...all].filter(e => e.offsetWidth > 0).map(e => e.className);
        document.title = [page.defaultView.innerWidth, page.documentElement.scrollWidth, seen.join()].join(" ");
      };
    </script>"""
    page = ask.replace("WIDTH", str(width)).replace("PAGE", escape(_without_policy(html.render(run_record(run)))))
    dom = chromium(page, "--dump-dom", "--virtual-time-budget=3000", width=1400)
    title = re.search(r"<title>(\d+) (\d+) (.*?)</title>", dom)
    assert title is not None
    window, content, pictures = title.groups()
    assert int(window) == width
    assert int(content) <= width
    assert pictures == f"picture {shown}"
