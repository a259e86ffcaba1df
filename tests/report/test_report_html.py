"""The page: complete in itself, inert whatever the names, well formed, bounded."""

import base64
import hashlib
import re
import time
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from chaosnet.report.formats import html
from chaosnet.report.record import RunRecord

RunOf = Callable[[str], RunRecord]
_VOID = {"meta", "img", "br", "hr", "input", "link", "circle", "path", "rect"}


class Page(HTMLParser):
    """Every tag with its attributes, the text, and what was not closed as it was opened."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.blocks: dict[str, str] = {}
        self.wrong: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID:
            return
        if not self._open or self._open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        inside = self._open[-1] if self._open else ""
        if inside in ("style", "script"):
            self.blocks[inside] = self.blocks.get(inside, "") + data
        else:
            self.words.append(data)

    @property
    def unclosed(self) -> list[str]:
        return self._open


def test_it_refers_to_nothing_outside(any_run: tuple[str, RunRecord]) -> None:
    page = Page(html.render(any_run[1]))
    for tag, attributes in page.tags:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base", "form", "video", "audio", "image", "use")
        assert "src" not in attributes
        assert "style" not in attributes
        for name, value in attributes.items():
            if name.endswith("href"):
                assert value == "run.json" or re.fullmatch(r"#[a-z]+", value)
            assert name == "xmlns" or not re.match(r"\s*(https?:|//|data:|javascript:)", value) or name in ("title", "datetime")
    assert "url(" not in page.blocks["style"]
    assert "@import" not in page.blocks["style"]
    assert not re.search(r"fetch|XMLHttp|WebSocket|import\(|http", page.blocks["script"])


def test_the_policy_allows_its_own_style_and_script_and_nothing_else(run_record: RunOf) -> None:
    page = Page(html.render(run_record("black_hole")))
    policy = next(a["content"] for tag, a in page.tags if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["base-uri"] == rules["form-action"] == "'none'"
    for block in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(page.blocks[block].encode()).digest()).decode()
        assert rules[f"{block}-src"] == f"'sha256-{digest}'"


def test_hostile_names_are_only_text(run_record: RunOf) -> None:
    hostile, plain = Page(html.render(run_record("hostile"))), Page(html.render(run_record("collateral")))
    assert Counter(tag for tag, _ in hostile.tags)["script"] == 1
    assert {tag for tag, _ in hostile.tags} <= {tag for tag, _ in plain.tags} | {"blockquote"}
    assert not [(tag, name) for tag, attributes in hostile.tags for name in attributes if name.startswith("on")]
    assert hostile.blocks["script"] == plain.blocks["script"]
    shown = "".join(hostile.words)
    assert "<script>document.title='owned'</script>" in shown
    assert "{{ 7*7 }}{% raw %}{# no" in shown
    assert "49" not in "".join(re.findall(r"\{\{.*?\}\}", shown))
    assert "\u202e" not in shown


def test_every_tag_is_closed_and_every_id_is_its_own(any_run: tuple[str, RunRecord]) -> None:
    page = Page(html.render(any_run[1]))
    assert not page.wrong
    assert not page.unclosed
    ids = Counter(attributes["id"] for _, attributes in page.tags if "id" in attributes)
    assert not [name for name, number in ids.items() if number > 1]
    references = {attributes["aria-labelledby"] for _, attributes in page.tags if "aria-labelledby" in attributes}
    references |= {attributes["href"][1:] for _, attributes in page.tags if attributes.get("href", "").startswith("#")}
    assert references <= set(ids)
    strokes = {a["stroke"][5:-1] for tag, a in page.tags if tag == "path" and a.get("stroke", "").startswith("url(#")}
    assert strokes
    assert strokes <= set(ids)


@pytest.mark.parametrize(
    ("run", "word", "answers"),
    [
        ("black_hole", "Passed", ("A fault was injected", "Yes", "Yes")),
        ("collateral", "Failed", ("More was hit than announced", "Yes", "Yes")),
        ("unproven", "Inconclusive", ("A fault was injected", "Yes, then lost", "Yes")),
        ("residue", "Failed", ("A fault was injected", "Yes", "Not entirely")),
        ("aborted", "Inconclusive", ("A fault was injected", "Only at first", "Yes, but no recovery")),
    ],
)
def test_the_verdict_comes_first_then_the_three_answers(
    run: str, word: str, answers: tuple[str, ...], run_record: RunOf
) -> None:
    text = html.render(run_record(run))
    main = text[text.index("<main>") :]
    assert re.sub(r"<[^>]+>", " ", main).split()[0] == word
    assert tuple(re.findall(r'class="reply-answer">([^<]+)<', main)) == answers
    assert main.index("reply-answer") < main.index('class="findings"') < main.index('class="timeline"')


def test_collateral_is_marked_in_the_table(run_record: RunOf) -> None:
    rows = re.findall(r'<tr role="row" class="is-bad">.*?</tr>', html.render(run_record("collateral")), flags=re.DOTALL)
    assert len(rows) == 2
    assert all("collateral" in row for row in rows)


def test_two_hundred_edges_stay_below_a_megabyte_and_are_quick(run_record: RunOf) -> None:
    record = run_record("crowd")
    begin = time.process_time()
    text = html.render(record)
    assert time.process_time() - begin < 5
    assert len(text.encode()) < 1_000_000
