"""The frame: quick to start, whole in its help, and never a traceback."""

import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

import chaosnet
from chaosnet import errors
from chaosnet.cli import frame

HEAVY = {"kubernetes", "jinja2", "pyroute2", "chaoslib", "chaostoolkit", "rich", "yaml", "dns", "requests"}
BIN = Path(sys.executable).parent
# Modules of the package that are no commands: what several commands share.
SHARED = {"frame", "catalogue", "progress", "supervise", "takeback"}


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


def loaded(code: str) -> set[str]:
    """The heavy packages that ``code`` imports."""
    done = python(f"import sys\n{code}\nsys.stderr.write(' '.join(sys.modules))")
    return HEAVY & {name.partition(".")[0] for name in done.stderr.split()}


@pytest.mark.parametrize(
    "code",
    [
        "import chaosnet",
        "import chaosnet.cli",
        "from chaosnet.cli.frame import main; main(['--help'])",
        "from chaosnet.cli.frame import main; main(['--version'])",
        "from chaosnet.cli.frame import main; main(['completion', 'bash'])",
        "from chaosnet.cli.frame import main; main(['run', '--help'])",
    ],
)
def test_it_starts_with_nothing_heavy(code: str) -> None:
    assert loaded(code) == set()


@pytest.mark.chaostoolkit
def test_the_version_takes_less_than_half_of_what_chaos_takes() -> None:
    def once(program: str) -> float:
        begin = time.perf_counter()
        subprocess.run([BIN / program, "--version"], check=True, capture_output=True)
        return time.perf_counter() - begin

    pairs = [(once("chaosnet"), once("chaos")) for _ in range(7)]
    ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    assert ours < theirs / 2, (ours, theirs)


def test_the_version_is_that_of_the_package() -> None:
    said = subprocess.run([BIN / "chaosnet", "--version"], check=True, capture_output=True, text=True)
    assert said.stdout == f"chaosnet {chaosnet.__version__}\n"


def test_every_command_file_is_in_the_help_and_the_other_way_round() -> None:
    files = {path.stem for path in Path(frame.__file__).parent.glob("[!_]*.py")}
    folders = {path.parent.name for path in Path(frame.__file__).parent.glob("*/__init__.py")}
    assert (files | folders) - SHARED == set(frame.COMMANDS)


@pytest.mark.parametrize("name", frame.COMMANDS)
def test_a_command_says_what_the_help_says(name: str) -> None:
    command = frame.chaosnet.get_command(click.Context(frame.chaosnet), name)  # type: ignore[attr-defined]
    assert command is not None
    assert command.short_help == frame.COMMANDS[name]
    assert command.help


@pytest.mark.parametrize("name", frame.COMMANDS)
def test_the_help_of_a_command(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert frame.main([name, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: chaosnet {name}")


def test_the_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    assert frame.main(["--help"]) == 0
    said = capsys.readouterr().out
    for command in re.findall(r"^  chaosnet (\S+)", said, re.MULTILINE):
        assert command in frame.COMMANDS
    assert all(name in said for name in frame.COMMANDS)
    assert "Exit status" in said


@pytest.mark.parametrize(
    ("arguments", "piece"),
    [
        (["stauts"], "did you mean 'status'?"),
        (["xyzzy"], "see chaosnet --help"),
        (["--jsn"], "no such option"),
        (["run"], "chaosnet run --help"),
        (["validate"], "missing argument"),
        (["completion", "tcsh"], "tcsh"),
        (["faults", "shrink_mut"], "did you mean 'shrink_mtu'?"),
        (["validate", "no-such-file.yaml"], "no such file"),
        (["run", "no-such-file.yaml"], "no such file"),
        (["plan", "no-such-file.yaml"], "no such file"),
        (["run", "--target", "moon", "x.yaml"], "moon"),
    ],
)
def test_a_wrong_call_is_one_sentence_and_exit_2(arguments: list[str], piece: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert frame.main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert piece in said.err


def failing(error: BaseException) -> click.Command:
    @click.command(short_help="")
    def command() -> None:
        raise error

    return command


@pytest.fixture
def run_failing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    """Run a command that raises; the exit status and what was said."""

    def run(error: BaseException) -> tuple[int, str]:
        command = failing(error)
        monkeypatch.setattr(frame.LazyGroup, "get_command", lambda self, ctx, name: command)
        code = frame.main(["status"])
        return code, capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    "error",
    [
        errors.InputError("file.yaml: method", "it is wrong", "mend it"),
        errors.Unsupported("no netem here"),
        errors.Refused("too many pods"),
        errors.TargetError("the kernel said no"),
        errors.NotProven("nothing was seen"),
        errors.BaselineNotMet("the network is not well"),
        errors.ResidueLeft("a rule is left"),
        errors.NoSession("no control"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_is_its_sentence_and_its_status(error: errors.ChaosnetError, run_failing) -> None:  # type: ignore[no-untyped-def]
    assert run_failing(error) == (error.exit, f"chaosnet: {error}\n")


def test_an_error_cannot_act_on_the_terminal(run_failing) -> None:  # type: ignore[no-untyped-def]
    code, said = run_failing(errors.Refused("a pod called \x1b[31mred\x07\u202e\nnext"))
    assert code == 2
    assert said.count("\n") == 1
    assert all(char.isprintable() for char in said.rstrip("\n"))


def test_a_crash_goes_to_a_file(run_failing, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    code, said = run_failing(ZeroDivisionError("nobody thought of this"))
    assert code == 5
    assert said.count("\n") == 1
    assert "Traceback" not in said
    (file,) = (tmp_path / "state" / "chaosnet").glob("crash-*.txt")
    assert str(file) in said
    assert "Traceback" in file.read_text()
    assert file.stat().st_mode & 0o077 == 0


def test_an_interrupt_is_no_crash(run_failing) -> None:  # type: ignore[no-untyped-def]
    assert run_failing(KeyboardInterrupt()) == (130, "\nchaosnet: interrupted\n")  # below the terminal's ^C


def test_a_reader_that_goes_away_is_no_crash() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([BIN / "chaosnet", "faults"], stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert done.stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert frame.main(["completion", shell]) == 0
    assert "_CHAOSNET_COMPLETE" in capsys.readouterr().out


def test_bash_completes_commands_and_options() -> None:
    def complete(words: str, number: int) -> list[str]:
        environment = {**os.environ, "COMP_WORDS": words, "COMP_CWORD": str(number), "_CHAOSNET_COMPLETE": "bash_complete"}
        done = subprocess.run([BIN / "chaosnet"], env=environment, capture_output=True, text=True, check=True)
        return [line.partition(",")[2] for line in done.stdout.splitlines()]

    assert complete("chaosnet st", 1) == ["status"]
    assert "--json" in complete("chaosnet run --", 2)


def test_the_bash_script_is_bash(capfd: pytest.CaptureFixture[str]) -> None:
    script = subprocess.run([BIN / "chaosnet", "completion", "bash"], capture_output=True, text=True, check=True).stdout
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_a_group_without_a_command_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert frame.main(["lab"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "Commands:\n  capture" in said.err


def test_a_full_disk_is_no_mystery(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def full() -> None:
        with open("/dev/full", "w") as file:
            file.write("x")

    monkeypatch.setattr("chaosnet.cli.status.survey", full)
    assert frame.main(["status"]) == 5
    assert capsys.readouterr().err == (
        "chaosnet: No space left on device; make room, or name another folder by --out or XDG_STATE_HOME\n"
    )


def test_what_cannot_be_written_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    for words in (["status"], ["undo", "--all"], ["panic", "--yes"]):
        assert frame.main(words) == 2
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 1
        assert "annot be" in said[0]


@pytest.mark.parametrize("words", [["status"], ["undo", "--all"], ["halt"], ["lab", "ls"], ["lab", "up"], ["doctor"]])
def test_a_user_without_a_home_is_told(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)  # as in a container: no such user in passwd(5)
    assert frame.main(words) == 2
    said = "HOME: this user has no home folder; set HOME or XDG_STATE_HOME to a folder of yours"
    assert capsys.readouterr().err == f"chaosnet: {said}\n"
