"""Everything wrong is found and said in a sentence; everything right is left alone; nothing ever ends in a traceback."""

import json
import os
import re
import subprocess
import sys
from importlib import util
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaosnet import shipped
from chaosnet.cli import frame
from chaosnet.errors import InputError
from chaosnet.lab import manifests, topology_file
from chaosnet.lab.manifests import load_yaml
from chaosnet.validate import first_problem, problems

_spec = util.spec_from_file_location("mutants", Path(__file__).with_name("mutants.py"))
assert _spec is not None
assert _spec.loader is not None
mutants: Any = util.module_from_spec(_spec)
_spec.loader.exec_module(mutants)

WRONG = [
    *(("experiment", *each) for each in mutants.experiments()),
    *(("topology", *each) for each in mutants.topologies()),
    *(("manifest", *each) for each in mutants.manifests()),
]

MTU = shipped.experiments() / "incidents" / "mtu-black-hole.yaml"


def sentences(path: Path) -> list[str]:
    """What is said of a file, each checked to be one sentence that names the file."""
    said = [str(problem) for problem in problems(str(path))]
    for text in said:
        assert text.startswith(str(path))
        assert "\n" not in text
        assert "Traceback" not in text
        assert len(text) < 1200
        assert not re.search(r"<\w+ object at 0x|Error\(", text), text
    return said


def written(folder: Path, document: Any) -> Path:
    """The document as a YAML file."""
    path = folder / "file.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "document", [mutants.EXPERIMENT, mutants.TOPOLOGY, mutants.MANIFEST], ids=["experiment", "topology", "manifest"]
)
def test_what_the_mutants_are_made_of_is_right(tmp_path: Path, document: Any) -> None:
    assert sentences(written(tmp_path, document)) == []


@pytest.mark.parametrize(
    "file", sorted(shipped.experiments().glob("*/*.yaml")), ids=lambda file: f"{file.parent.name}/{file.stem}"
)
def test_what_is_shipped_is_right(file: Path) -> None:
    assert sentences(file) == []


def test_there_are_enough_of_them() -> None:
    assert len(WRONG) + len(mutants.TEXTS) >= 200


@pytest.mark.parametrize(
    ("kind", "piece", "document"), WRONG, ids=[f"{kind}-{piece}-{n}" for n, (kind, piece, _) in enumerate(WRONG)]
)
def test_each_mistake_is_named(
    tmp_path: Path, kind: str, piece: str, document: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, document)
    assert frame.main(["validate", str(path)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said == sentences(path)
    assert any(piece.lower() in text.lower() for text in said), said


@pytest.mark.parametrize(("piece", "text"), mutants.TEXTS, ids=range(len(mutants.TEXTS)))
def test_what_is_no_document_is_named(tmp_path: Path, piece: str, text: str) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(text, encoding="utf-8")
    said = sentences(path)
    assert any(piece in sentence for sentence in said), said


@pytest.mark.parametrize("seed", range(12))
def test_no_drawn_document_trips_it(tmp_path: Path, seed: int) -> None:
    for document in mutants.drawn(seed, 40):
        sentences(written(tmp_path, document))


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_bytes(b"title: \xff\xfe")
    assert "not UTF-8" in sentences(path)[0]


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 5_000, "- " * 5_000 + "a", "title: " + "[" * 300 + "]" * 300])
def test_nesting_that_would_overflow_the_stack(tmp_path: Path, text: str) -> None:
    # In a process of its own: what this guards against is a segmentation fault.
    file = tmp_path / "deep.yaml"
    file.write_text(text)
    words = [sys.executable, "-m", "chaosnet", "validate", str(file)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert "nest" in done.stderr
    with pytest.raises(InputError, match="nest"):
        load_yaml(text, "here")


@pytest.mark.parametrize("pause", ["1e400", ".inf", "-.inf", ".nan", "1" + "0" * 400])
def test_a_pause_without_end(tmp_path: Path, pause: str) -> None:
    file = tmp_path / "pause.yaml"
    file.write_text(MTU.read_text().replace("pauses: {after: 6}", f"pauses: {{after: {pause}}}"))
    assert any("is not a number of seconds" in str(problem) for problem in problems(str(file)))


def test_a_lab_that_is_a_device(tmp_path: Path) -> None:
    file = tmp_path / "device.yaml"
    file.write_text(MTU.read_text().replace("../labs/two-clusters.yaml", "/dev/zero"))
    assert any("this is no regular file" in str(problem) for problem in problems(str(file)))
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match="this is no regular file"):
        topology_file.load(pipe)
    with pytest.raises(InputError, match="this is no regular file"):
        manifests.load([pipe])


def test_files_that_are_not_there(tmp_path: Path) -> None:
    assert "no such file" in sentences(tmp_path / "nothing.yaml")[0]
    assert "folder" in sentences(tmp_path)[0]


def test_the_line_is_that_of_the_mistake(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    text = yaml.safe_dump(mutants.EXPERIMENT, sort_keys=False).replace("mtu: '1450'", "mtu: 145o")
    path.write_text(text, encoding="utf-8")
    line = next(number for number, each in enumerate(text.splitlines(), 1) if "145o" in each)
    (found,) = problems(str(path))
    assert (found.line, found.path) == (line, "method[0].provider.arguments.mtu")


def test_json_experiments_are_read_too(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text(json.dumps(mutants.EXPERIMENT), encoding="utf-8")
    assert sentences(path) == []


def test_several_mistakes_are_all_named(tmp_path: Path) -> None:
    document = mutants.rename(mutants.put(mutants.EXPERIMENT, ("method", 0, "background"), True), ("rollbacks",), "rollback")
    said = " ".join(sentences(written(tmp_path, document)))
    assert "rollback" in said
    assert "background" in said


def test_the_control_in_the_settings_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".chaostoolkit").mkdir()
    settings = {"controls": {"x": {"provider": {"type": "python", "module": "chaosnet.control"}}}}
    (tmp_path / ".chaostoolkit" / "settings.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    assert "settings.yaml" in sentences(written(tmp_path, mutants.EXPERIMENT))[0]


def test_the_first_problem_stops_a_run(tmp_path: Path) -> None:
    assert first_problem(str(written(tmp_path, mutants.EXPERIMENT))) == "MTU black hole"
    with pytest.raises(InputError, match="rollback"):
        first_problem(str(written(tmp_path, mutants.rename(mutants.EXPERIMENT, ("rollbacks",), "rollback"))))
    with pytest.raises(InputError, match="not an experiment"):
        first_problem(str(written(tmp_path, mutants.TOPOLOGY)))


def test_a_bad_file_leaves_no_session_behind(tmp_path: Path) -> None:
    from chaosnet.engine import session
    from chaosnet.errors import NoSession

    problems(str(written(tmp_path, mutants.EXPERIMENT)))
    with pytest.raises(NoSession):
        session.current()


def test_a_run_elsewhere_is_not_held_against_the_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = mutants.put(mutants.EXPERIMENT, ("extensions", 0, "edges", "small", "to"), "svc:prod/other/thing")
    path = str(written(tmp_path, elsewhere))
    with pytest.raises(InputError, match="selects nothing"):
        first_problem(path)
    assert first_problem(path, "kubernetes") == "MTU black hole"
    assert first_problem(path, "lab", "a-lab-that-is-up") == "MTU black hole"
    with pytest.raises(InputError, match="no-such-lab"):
        first_problem(path, "lab", "no-such-lab.yaml")
    monkeypatch.setenv("CHAOSNET_LAB", "a-lab-that-is-up")
    assert first_problem(path) == "MTU black hole"


def test_a_lab_in_place_of_its_own(tmp_path: Path) -> None:
    path = written(tmp_path, mutants.EXPERIMENT)
    other = str(shipped.experiments() / "labs" / "pods-20.yaml")
    assert "selects nothing" in " ".join(str(each) for each in problems(str(path), other))
