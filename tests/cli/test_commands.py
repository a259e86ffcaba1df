"""validate, doctor, faults and probes, as people and scripts call them."""

import json
from importlib import util
from pathlib import Path

import pytest
import yaml

from chaosnet import catalogue, shipped
from chaosnet.catalogue import Entry
from chaosnet.cli import frame

ENTRIES = [*catalogue.entries("fault"), *catalogue.entries("probe")]
MTU = shipped.experiments() / "incidents" / "mtu-black-hole.yaml"


def test_validate_says_valid_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert frame.main(["validate", str(MTU)]) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"{MTU}: valid\n")


def test_validate_says_each_mistake_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(MTU.read_text().replace("mtu: ", "mut: ").replace("rollbacks:\n", "rollback:\n"))
    assert frame.main(["validate", str(wrong), str(MTU)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert all(line.startswith((str(wrong), str(MTU))) for line in lines)
    assert any("did you mean 'rollbacks'?" in line for line in lines)
    assert lines[-1] == f"{MTU}: valid"


def test_validate_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("title: a\n")
    assert frame.main(["validate", "--json", str(wrong), str(MTU)]) == 2
    document = json.loads(capsys.readouterr().out)
    assert document["exit"] == 2
    assert [file["valid"] for file in document["files"]] == [False, True]
    assert {"line", "path", "problem", "remedy", "sentence"} == set(document["files"][0]["problems"][0])


@pytest.mark.lab
def test_doctor_json(capsys: pytest.CaptureFixture[str]) -> None:
    code = frame.main(["doctor", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert code == document["exit"] == 0
    assert document["can_run_lab"]
    for check in document["checks"]:
        assert check["ok"] or check["mend"], check
        assert check["needed"]


@pytest.mark.lab
def test_doctor_names_what_is_missing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from chaosnet.targets.lab import doctor, processes

    monkeypatch.setitem(processes._ENVIRONMENT, "PATH", "/nowhere")
    assert frame.main(["doctor"]) == 2
    said = capsys.readouterr().out
    assert "apt-get install" in said
    assert "bird2" in said
    assert "cannot run here" in said
    assert doctor.kernel_features()["namespaces"] == ""


def test_doctor_knows_the_kernel_that_has_no_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    from chaosnet.targets.lab import doctor

    monkeypatch.setattr(doctor, "kernel_features", lambda: {"namespaces": "Operation not permitted"})
    checks = {check.name: check for check in doctor.examine()}
    assert not checks["namespaces"].ok
    assert checks["namespaces"].mend
    assert not checks["netem"].ok


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry.kind}-{entry.name}")
def test_every_door_has_a_sentence_and_an_example_that_fits(entry: Entry) -> None:
    assert entry.sentence.endswith(".")
    (activity,) = yaml.safe_load(catalogue.activity(entry))
    provider = activity["provider"]
    assert (provider["module"], provider["func"]) == (entry.module, entry.name)
    given = set(provider.get("arguments", {}))
    assert given <= {argument.name for argument in entry.arguments}
    assert {argument.name for argument in entry.arguments if argument.default is None} <= given


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry.kind}-{entry.name}")
def test_every_example_is_valid_but_for_its_edges(entry: Entry, tmp_path: Path) -> None:
    """Units, choices and places of the examples are right; the edges they name are the reader's own."""
    spec = util.spec_from_file_location("mutants_of_cli", Path(__file__).parents[1] / "validate" / "mutants.py")
    assert spec is not None
    assert spec.loader is not None
    mutants = util.module_from_spec(spec)
    spec.loader.exec_module(mutants)
    from chaosnet.validate import problems

    (activity,) = yaml.safe_load(catalogue.activity(entry))
    document = json.loads(json.dumps(mutants.EXPERIMENT))
    if entry.kind == "fault":
        document["method"] = [{**activity, "name": "the example"}]
    else:
        document["steady-state-hypothesis"]["probes"] = [{**activity, "name": "the example"}]
    path = tmp_path / "example.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    wrong = [str(each) for each in problems(str(path))]
    assert [text for text in wrong if "there is no edge" not in text and "selects nothing" not in text] == []


@pytest.mark.parametrize("kind", ["fault", "probe"])
def test_the_catalogue_in_its_forms(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert frame.main([f"{kind}s"]) == 0
    table = capsys.readouterr().out
    entries = catalogue.entries(kind)
    assert all(entry.name in table and entry.module in table for entry in entries)
    assert frame.main([f"{kind}s", "--json"]) == 0
    assert [entry["name"] for entry in json.loads(capsys.readouterr().out)] == [entry.name for entry in entries]
    assert frame.main([f"{kind}s", "--markdown"]) == 0
    assert capsys.readouterr().out.count("\n") == len(entries) + 2
    assert frame.main([f"{kind}s", entries[0].name]) == 0
    assert f"func: {entries[0].name}" in capsys.readouterr().out
