"""The shelf of formats, and ``chaosnet report``."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from chaosnet.cli.frame import main
from chaosnet.errors import InputError
from chaosnet.report import formats, shelf

FORMATS = Path(formats.__file__).parent


def test_the_shelf_is_the_folder() -> None:
    assert set(shelf.names()) == {path.stem for path in FORMATS.glob("*.py")} - {"__init__"}
    assert len({shelf.load(name).FILE for name in shelf.names()}) == len(shelf.names())
    assert set(shelf.USUAL) <= set(shelf.names())


def test_a_new_file_is_a_new_format(tmp_path: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shout.py").write_text('FILE = "shout.txt"\ndef render(record):\n    return record.title.upper()\n')
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, f"{formats.__name__}.shout", raising=False)
    (written,) = shelf.write(run_folder, ["shout"])
    assert written.read_text() == "MTU BLACK HOLE ON THE WAY TO PROD"
    monkeypatch.delitem(sys.modules, f"{formats.__name__}.shout")


def test_an_unknown_format_lists_those_there_are() -> None:
    with pytest.raises(InputError, match="'pdf' is not a report format; use one of html, json, junit, markdown, svg, text"):
        shelf.load("pdf")


def test_a_report_is_whole_or_absent(tmp_path: Path) -> None:
    target = tmp_path / "taken"
    target.mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        shelf.save(target, "text")
    assert list(tmp_path.iterdir()) == [target]


def test_the_shelf_is_cheap_to_import() -> None:
    code = "import sys, chaosnet.report, chaosnet.report.shelf; print([m for m in ('jinja2', 'rich') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_command_renders_the_folder_again(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(run_folder)]) == 0
    said = capsys.readouterr()
    assert "PASSED  MTU black hole" in said.err
    paths = [Path(line) for line in said.out.split()]
    assert [path.name for path in paths] == ["report.html", "report.md", "report.json", "junit.xml", "timeline.svg"]
    assert all(path.stat().st_size > 500 for path in paths)
    assert sorted(path.name for path in run_folder.iterdir()) == sorted(["run.json", *(path.name for path in paths)])


def test_the_command_writes_one_format_where_told(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(run_folder / "run.json"), "--format", "svg", "--output", str(tmp_path / "docs" / "t.svg")]) == 0
    assert (tmp_path / "docs" / "t.svg").read_text().startswith("<svg ")
    capsys.readouterr()
    assert main(["report", str(run_folder), "--format", "json", "--output", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "pass"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--format", "pdf"], "'pdf' is not a report format"),
        (["--output", "-"], "give --format once"),
        (["--format", "html", "--format", "svg", "--output", "-"], "give --format once"),
    ],
)
def test_bad_options_are_one_sentence(
    run_folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    assert main(["report", str(run_folder), *arguments]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


def test_a_folder_without_a_run_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path / "nothing")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
