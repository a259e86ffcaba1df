"""``chaosnet lab``: up, ls, exec, graph, capture, down, as people type them, and what they are told when it cannot be."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from chaosnet.shipped import experiments

pytestmark = pytest.mark.lab
Done = subprocess.CompletedProcess[str]
Chaosnet = Callable[..., Done]


def chaosnet(*arguments: str, before: tuple[str, ...] = (), **options: str) -> Done:
    """The command line in a process of its own."""
    argv = [*before, sys.executable, "-c", "import sys; from chaosnet.cli.frame import main; sys.exit(main())", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=90, check=False, **options)  # type: ignore[call-overload]


@pytest.fixture
def up(small: Path) -> Iterator[str]:
    """A small lab that stays, by the command line."""
    said = chaosnet("lab", "up", "--lab", str(small), "--name", "by-hand")
    assert said.returncode == 0, said.stderr
    try:
        yield said.stdout
    finally:
        chaosnet("lab", "down", "--all")


def test_a_lab_from_up_to_down(up: str, tmp_path: Path) -> None:
    assert "lab by-hand: 2 clusters, 4 nodes, 3 routers, 6 pods; up in " in up
    assert "ready after" in up
    listed = chaosnet("lab", "ls").stdout
    assert "west/apps/web-0" in listed
    assert "BGP: 16 of 16 sessions are Established" in listed
    survey = json.loads(chaosnet("lab", "ls", "--json").stdout)
    assert len(survey["pods"]) == 6
    pinged = chaosnet("lab", "exec", "west/apps/web", "--", "ping", "-M", "do", "-s", "1472", "-c1", "10.1.1.2")
    assert (pinged.returncode, "1480 bytes from 10.1.1.2" in pinged.stdout) == (0, True)
    assert chaosnet("lab", "exec", "w-1", "sh", "-c", "exit 9").returncode == 9
    assert chaosnet("lab", "exec", "w-1", "cat", input="through").stdout == "through"
    drawn = chaosnet("lab", "graph", "-o", str(tmp_path / "lab.svg"))
    assert drawn.returncode == 0
    assert "west" in "".join(ElementTree.parse(tmp_path / "lab.svg").getroot().itertext())
    again = chaosnet("lab", "up", "--lab", str(tmp_path / "topology" / "small.yaml"), "--name", "by-hand")
    assert (again.returncode, again.stderr.strip()) == (
        2, "chaosnet: the lab by-hand runs already; look at it with chaosnet lab ls, or end it with chaosnet lab down by-hand",
    )  # fmt: skip
    down = chaosnet("lab", "down")
    assert (down.returncode, down.stdout.strip()) == (0, "lab by-hand is gone")
    assert chaosnet("lab", "ls").stderr.strip() == "no lab runs; start one with chaosnet lab up"


def test_ctrl_c_reaches_the_command_and_not_the_lab(up: str) -> None:
    argv = [sys.executable, "-c", "import sys; from chaosnet.cli.frame import main; sys.exit(main())", "lab", "exec", "w-1"]
    script = "trap 'echo caught; exit 5' INT; echo begun; while :; do sleep 0.05; done"
    command = subprocess.Popen([*argv, "sh", "-c", script], stdout=subprocess.PIPE, text=True)
    assert command.stdout is not None
    assert command.stdout.readline() == "begun\n"
    command.send_signal(2)
    assert command.communicate(timeout=10)[0] == "caught\n"
    assert command.returncode == 5
    assert chaosnet("lab", "ls").returncode == 0


def test_a_command_ends_with_the_terminal_it_was_typed_in(up: str) -> None:
    argv = [sys.executable, "-c", "import sys; from chaosnet.cli.frame import main; sys.exit(main())", "lab", "exec", "w-1"]
    command = subprocess.Popen([*argv, "sh", "-c", "echo begun; exec sleep 1234"], stdout=subprocess.PIPE, text=True)
    assert command.stdout is not None
    command.stdout.readline()
    command.kill()
    command.wait()
    command.stdout.close()
    deadline = time.monotonic() + 10
    while chaosnet("lab", "exec", "w-1", "pgrep", "-f", "sleep 1234").returncode == 0:
        assert time.monotonic() < deadline


@pytest.mark.requires("tcpdump")
def test_a_capture_by_edge_of_an_experiment(up: str, tmp_path: Path) -> None:
    written = chaosnet(
        "lab", "capture", "--from", "west/apps/web-0", "--to", "east/apps/web-0", "--at", "transit:middle", "--seconds", "0.3",
        "-w", str(tmp_path / "x.pcapng"),
    )  # fmt: skip
    assert (written.returncode, written.stdout.splitlines()[0].startswith("transit:middle: ")) == (0, True)
    wrong = chaosnet("lab", "capture", "--from", "west/apps/web-0", "--to", "east/apps/web-0", "--at", "nowhere")
    assert wrong.returncode == 2
    assert "'nowhere' is no point of this path; there are source-pod, source-node, transit:r-west" in wrong.stderr
    experiment = str(experiments() / "incidents" / "mtu-black-hole.yaml")
    unknown = chaosnet("lab", "capture", "--edge", "uplaod", "--of", experiment)
    assert (unknown.returncode, "declares no edge 'uplaod'; it has small, upload" in unknown.stderr) == (2, True)


def one_sentence(said: Done, *words: str) -> None:
    assert said.returncode == 2
    assert said.stdout == ""
    assert said.stderr.count("\n") == 1
    assert said.stderr.startswith("chaosnet: ")
    for word in words:
        assert word in said.stderr


def test_what_cannot_be_is_one_sentence(small: Path, tmp_path: Path) -> None:
    one_sentence(chaosnet("lab", "up", "--lab", "no-such-lab"), "'no-such-lab' is neither a running lab nor a topology file")
    one_sentence(chaosnet("lab", "up", "--lab", str(small), "--name", "No Name"), "'No Name' is not a name")
    one_sentence(chaosnet("lab", "exec", "w-1", "true"), "none runs", "chaosnet lab up")
    one_sentence(chaosnet("lab", "down", "nobody"), "'nobody' does not run")
    one_sentence(chaosnet("lab", "graph", "--lab", str(small), "-o", str(tmp_path / "no" / "x.svg")), "cannot be written")
    (tmp_path / "bad.yaml").write_text(small.read_text().replace("10.0.2.0/24", "10.0.1.0/24"))
    one_sentence(chaosnet("lab", "up", "--lab", str(tmp_path / "bad.yaml")), "bad.yaml line 12", "overlaps 10.0.1.0/24 of")
    (small.parent / "east.yaml").write_text("kind: [")
    one_sentence(chaosnet("lab", "up", "--lab", str(small)), "east.yaml")


def test_a_graph_needs_no_running_lab(tmp_path: Path) -> None:
    drawn = chaosnet("lab", "graph", "--lab", "two-clusters", "-o", "-")
    assert drawn.returncode == 0
    assert "transit-prod" in "".join(ElementTree.fromstring(drawn.stdout).itertext())


# --- machines that cannot ----------------------------------------------------------------------------------------------

_INSIDE = ("unshare", "--user", "--map-root-user", "--mount", "--")


def test_a_machine_that_makes_no_namespaces_says_which_setting(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In there we are called root, and what is root's in /tmp is not ours.
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    script = 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"'
    said = chaosnet("lab", "up", "--lab", str(small), before=(*_INSIDE, "sh", "-c", script, "sh"))
    one_sentence(said, "does not let you make a lab's namespaces", "run sudo sysctl -w user.max_user_namespaces=10000")


@pytest.mark.parametrize(("program", "package"), [("bird", "bird2"), ("dnsmasq", "dnsmasq-base")])
def test_a_missing_program_is_named_with_its_package(small: Path, program: str, package: str) -> None:
    path = shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin")
    assert path is not None
    hide = ("mount", "--bind", "/dev/null", os.path.realpath(path))
    said = chaosnet(
        "lab",
        "up",
        "--lab",
        str(small),
        before=(*_INSIDE, "sh", "-c", 'mount --bind "$1" "$2"; shift 2; exec "$@"', "sh", *hide[2:]),
    )
    one_sentence(said, f"{program} is not installed; run: apt-get install {package}")


def test_missing_nftables_is_named_with_its_package(small: Path, tmp_path: Path) -> None:
    found = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, check=True, env={"PATH": "/sbin:/usr/sbin"}).stdout
    library = next(line.split()[-1] for line in found.splitlines() if "libnftables.so.1 " in line)
    (tmp_path / "empty").touch()
    script = 'mount --bind "$1" "$2"; shift 2; exec "$@"'
    said = chaosnet("lab", "up", "--lab", str(small), before=(*_INSIDE, "sh", "-c", script, "sh", str(tmp_path / "empty"), os.path.realpath(library)))  # fmt: skip
    one_sentence(said, "libnftables is not installed; run: apt-get install")
