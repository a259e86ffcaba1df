"""What is installed, what the rules of import hold, and what the lock files pin."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


def run(*argv: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A program to its end, whatever that is."""
    return subprocess.run(argv, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False)


def copied(folder: Path) -> Path:
    """The checkout without its history and environments."""
    left_out = shutil.ignore_patterns(".git", ".venv*", "*.egg-info", "build", "dist", "__pycache__", ".*_cache", "chaosnet-runs")
    return Path(shutil.copytree(ROOT, folder / "copy", symlinks=True, ignore=left_out))


@pytest.mark.slow
def test_a_wheel_carries_everything(tmp_path: Path) -> None:
    built = run(
        sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path, ".",
        cwd=copied(tmp_path),
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    wanted = {str(path.relative_to(ROOT)) for path in (ROOT / "chaosnet").rglob("*") if path.is_file() and path.suffix != ".pyc"}
    wanted |= {f"chaosnet/{path.relative_to(ROOT)}" for path in (ROOT / "experiments").rglob("*.yaml")}
    assert wanted - inside == set()
    # And it works from there, with the checkout out of sight.
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = (
        "from chaosnet.validate import problems; from chaosnet import shipped, __file__ as where; import sys;"
        "files = sorted(shipped.experiments().glob('*/*.yaml')); sys.stdout.write(where + ' ' + str(len(files)));"
        "sys.exit(bool([p for f in files for p in problems(str(f))]))"
    )
    used = run(sys.executable, "-c", code, cwd=tmp_path, PYTHONPATH=str(tmp_path / "site"))
    assert used.returncode == 0, used.stderr
    where, count = used.stdout.split()
    assert where.startswith(str(tmp_path / "site"))
    assert int(count) == len(list((ROOT / "experiments").glob("*/*.yaml")))


@pytest.mark.chaostoolkit
def test_chaos_discover_finds_every_door(tmp_path: Path) -> None:
    import json

    from chaosnet import catalogue

    found = run(
        BIN / "chaos",
        "--no-version-check",
        "discover",
        "chaosnet",
        "--no-install",
        "--discovery-path",
        "found.json",
        cwd=tmp_path,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    activities = json.loads((tmp_path / "found.json").read_text())["activities"]
    doors = {(entry.module, entry.name): entry for kind in ("fault", "probe") for entry in catalogue.entries(kind)}
    assert {(each["mod"], each["name"]) for each in activities} == set(doors)
    for each in activities:
        entry = doors[each["mod"], each["name"]]
        assert each["type"] == ("action" if entry.kind == "fault" else "probe")
        assert [argument["name"] for argument in each.get("arguments", [])] == [argument.name for argument in entry.arguments]
        # chaostoolkit calls a type that it cannot read an object.
        assert "object" not in {argument.get("type") for argument in each.get("arguments", [])}, each


@pytest.mark.parametrize(
    ("room", "line", "contract"),
    [
        ("engine", "import chaosnet.targets", "targets stand beside the engine"),
        ("model", "import chaosnet.engine", "rooms"),
        ("model", "import yaml", "the model imports errors"),
        ("faults", "import socket", "effects live in targets only"),
        ("report", "import subprocess", "effects live in targets only"),
        ("faults", "from chaosnet.faults import loss", "faults do not know each other"),
        ("targets/lab", "import chaosnet.engine", "targets know the model"),
    ],
)
def test_a_deliberate_violation_breaks_the_rules_of_import(tmp_path: Path, room: str, line: str, contract: str) -> None:
    copy = copied(tmp_path)
    (copy / "chaosnet" / room / "violation.py").write_text(f'"""Breaks a rule."""\n\n{line}\n')
    linted = run(BIN / "lint-imports", "--no-cache", cwd=copy, PYTHONPATH=str(copy))
    assert linted.returncode == 1, linted.stdout + linted.stderr
    assert re.search(rf"{re.escape(contract)}.*BROKEN", linted.stdout), linted.stdout


@pytest.mark.parametrize(("version", "toolkit"), [("3.11", "1.19."), ("3.12", "1.21.")])
def test_the_locks_pin_everything_and_name_no_host(version: str, toolkit: str) -> None:
    text = (ROOT / "locks" / f"python{version}.txt").read_text()
    assert "://" not in text
    assert f"\nchaostoolkit=={toolkit}" in text
    entries = re.findall(r"^([a-z0-9][a-z0-9._-]*)==\S+ \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", text, re.MULTILINE)
    assert len(entries) == len(re.findall(r"^\S", text, re.MULTILINE)) > 50


def test_the_tables_of_the_readme_are_those_of_the_code() -> None:
    checked = run(sys.executable, ROOT / "deploy" / "tables", "--check", cwd=ROOT)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("script", ["deploy/setup", "deploy/lock", ".ci/run"])
def test_scripts_are_bash(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)
    assert run("bash", "-n", script, cwd=ROOT).returncode == 0


def test_make_help_lists_what_there_is() -> None:
    said = run("make", "help", cwd=ROOT).stdout
    assert {line.split()[1] for line in said.splitlines()} >= {"setup", "demo", "test", "check", "bench", "lock", "clean", "help"}
