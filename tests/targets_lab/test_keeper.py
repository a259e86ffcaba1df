"""The keeper's life: it comes up, answers, ends with its owner, and leaves nothing however it dies."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from chaosnet.errors import InputError, Refused, TargetError, TargetGone
from chaosnet.shipped import experiments
from chaosnet.targets import attach, labs
from chaosnet.targets.lab import open_lab, running, spawn
from chaosnet.targets.lab.client import LabTarget

pytestmark = pytest.mark.lab
Start = Callable[..., LabTarget]


def pid_namespace(pid: int) -> int:
    return os.stat(f"/proc/{pid}/ns/pid").st_ino


def inhabitants(namespace: int) -> list[int]:
    """The processes of a PID namespace."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.stat(entry / "ns" / "pid").st_ino == namespace:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def eventually(condition: Callable[[], object], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def keeper(target: LabTarget) -> running.Running:
    found = running.find(target.ref)
    assert found is not None
    return found


def alive(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def host_links() -> str:
    return "".join(sorted(os.listdir("/sys/class/net")))


def test_it_comes_up_settles_and_goes(start: Start) -> None:
    before = host_links()
    target = start()
    target.settle(30.0)
    inside = pid_namespace(keeper(target).pid)
    assert len(inhabitants(inside)) == 1 + 7 + 2  # itself, a BIRD for each node and router, two DNS servers
    assert {pod.workload for pod in target.inventory().pods} == {"kube-dns", "web"}
    assert labs() == (target.ref,)
    assert host_links() == before
    target.close()
    assert labs() == ()
    # The keeper may be a zombie for a moment, until the machine's init has collected it.
    assert eventually(lambda: not inhabitants(inside))


def test_a_killed_keeper_leaves_nothing(start: Start, small: Path) -> None:
    mounts, links = Path("/proc/self/mountinfo").read_text(), host_links()
    target = start()
    target.settle(30.0)
    found = keeper(target)
    inside = pid_namespace(found.pid)
    os.kill(found.pid, signal.SIGKILL)
    assert eventually(lambda: not inhabitants(inside))
    assert labs() == ()
    home = running.home()
    assert not home.record(target.ref).exists()
    assert not home.socket(target.ref).exists()
    assert (Path("/proc/self/mountinfo").read_text(), host_links()) == (mounts, links)
    with pytest.raises(TargetGone, match="ended"):
        target.inventory()
    with pytest.raises(TargetGone):
        attach("lab", target.ref)


def test_the_name_of_a_dead_lab_is_free_again(small: Path) -> None:
    for _ in range(3):
        started = spawn.start(small, "again", owned=True)
        found = running.find("again")
        assert found is not None
        os.kill(found.pid, signal.SIGKILL)
        # At once, before anybody has swept its record.
        assert eventually(lambda pid=found.pid: not alive(pid))
        os.close(started.owner)
    assert labs() == ()


def test_two_labs_cannot_have_one_name(small: Path) -> None:
    started = spawn.start(small, "twice", owned=True)
    try:
        with pytest.raises(Refused, match="the lab twice runs already"):
            spawn.start(small, "twice", owned=True)
    finally:
        os.close(started.owner)
        assert eventually(lambda: labs() == ())


def test_it_goes_with_the_process_that_owns_it(small: Path) -> None:
    code = "import sys, time; from chaosnet.targets import open_target; print(open_target('lab', sys.argv[1]).ref, flush=True); time.sleep(600)"
    owner = subprocess.Popen([sys.executable, "-c", code, str(small)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    name = owner.stdout.readline().strip()
    assert labs() == (name,)
    owner.kill()
    owner.wait()
    owner.stdout.close()
    assert eventually(lambda: labs() == ())


def test_a_detached_lab_stays_until_told(small: Path) -> None:
    code = "import sys; from chaosnet.targets.lab import spawn; spawn.start(sys.argv[1], 'stays', owned=False)"
    subprocess.run([sys.executable, "-c", code, str(small)], check=True)
    try:
        assert labs() == ("stays",)
        target = open_lab("stays")
        target.close()
        assert labs() == ("stays",)
    finally:
        LabTarget("stays").end()
    assert labs() == ()


def test_sigterm_ends_it_cleanly(start: Start) -> None:
    target = start()
    found = keeper(target)
    os.kill(found.pid, signal.SIGTERM)
    assert eventually(lambda: not Path(f"/proc/{found.pid}").exists())
    assert not running.home().record(target.ref).exists()


def test_only_its_user_may_open_the_socket(start: Start) -> None:
    target = start()
    path = running.home().socket(target.ref)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.requires("root")
def test_another_user_who_gets_to_the_socket_is_not_heard(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_nobody: Callable[[list[str]], list[str]]
) -> None:
    target = start()
    path = running.home().socket(target.ref)
    line = b'{"id":1,"call":"owned","args":[]}\n'
    code = (
        "import socket, sys; wire = socket.socket(socket.AF_UNIX); wire.connect(sys.argv[1]);"
        f"wire.sendall({line!r}); print(wire.recv(100))"
    )
    mode = path.parent.stat().st_mode
    path.chmod(0o666)
    path.parent.chmod(0o755)
    try:
        said = subprocess.run(as_nobody(["-c", code, str(path)]), capture_output=True, text=True, timeout=20, check=False)
    finally:
        path.parent.chmod(mode)
    # Hung up on, before or after its line was written.
    assert said.stdout.strip() == "b''" or "ConnectionResetError" in said.stderr or "BrokenPipeError" in said.stderr
    assert target.owned() == ()


def test_a_socket_folder_that_others_may_enter_is_refused(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "chaosnet").mkdir(mode=0o755)
    (tmp_path / "chaosnet").chmod(0o755)
    with pytest.raises(Refused, match="not a folder of yours alone"):
        spawn.start(small, "open", owned=True)


def test_a_runtime_folder_with_a_long_path_will_do(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("x" * 120)
    long.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    target = open_lab(str(small))
    try:
        assert target.inventory().pods
    finally:
        target.close()


def test_what_is_wrong_with_a_topology_comes_from_the_keeper_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("name: bad\nclusterss: {}\n")
    with pytest.raises(
        InputError, match=r"bad\.yaml line 2: clusterss: unknown field 'clusterss'; did you mean 'clusters'\?"
    ) as caught:
        open_lab(str(path))
    assert caught.value.exit == 2
    assert labs() == ()


def test_a_file_in_the_place_of_the_socket_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "chaosnet").write_text("")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with pytest.raises(Refused, match="is not a folder of yours alone"):
        running.socket_folder()


def test_a_folder_among_the_records_hides_no_lab(start: Start) -> None:
    name = start().ref
    (running.labs_folder() / "folder.json").mkdir()
    assert name in {lab.name for lab in running.running()}


def test_nonsense_on_the_socket_is_answered_and_survived(start: Start) -> None:
    target = start()
    for nonsense in (
        b"\n",
        b"[]\n",
        b'{"id":1,"call":"nothing","args":[]}\n',
        b'{"id":1,"call":"do","args":[1]}\n',
        b"\xff\xfe\n",
    ):
        with running.dial(target.ref) as wire:
            wire.sendall(nonsense)
            assert b'"error"' in wire.recv(65536)
    with running.dial(target.ref) as wire:
        wire.sendall(b"half a line")
        wire.shutdown(socket.SHUT_WR)
        assert wire.recv(10) == b""
    assert target.inventory().pods


def test_a_lab_that_cannot_settle_says_what_is_missing(start: Start) -> None:
    target = start()
    target.settle(30.0)
    stop = ["sh", "-c", "kill -STOP $(cat /run/chaosnet/bird/r-east.pid)"]
    assert target.run("r-east", stop) == 0
    # Its peers notice when the hold time of 3 s is over; itself it says nothing at all.
    with pytest.raises(TargetError, match=r"is not ready after 5 s: the BGP session of \S+ with \S+ is not Established"):
        settle_for(target, 8)


def settle_for(target: LabTarget, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        target.settle(5)


def test_an_ordinary_user_has_a_lab_too(small: Path, as_nobody: Callable[[list[str]], list[str]]) -> None:
    code = (
        "import os, sys; from chaosnet.targets import open_target; t = open_target('lab', sys.argv[1]); t.settle(30.0);"
        "ping = lambda: t.run('west/apps/web-0', ['ping', '-c1', '-W2', '10.1.1.2']);"
        "file = open(os.path.expanduser('~/x.pcapng'), 'wb');"
        "seen = t.record([('pod', 'west/apps/web-0', 'eth0')], [], file.fileno(), ping); file.close();"
        "print(os.getuid(), len(t.inventory().pods), ping(), seen['pod'] >= 2);"
        "t.close()"
    )
    for path in (small.parent, *small.parent.parents):
        if path.stat().st_uid == os.getuid() and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o055)
    said = subprocess.run(as_nobody(["-c", code, str(small)]), capture_output=True, text=True, timeout=60, check=False)
    assert said.stderr == ""
    assert said.stdout.splitlines()[-1].split()[1:] == ["6", "0", "True"]
    if os.getuid() == 0:
        assert said.stdout.splitlines()[-1].split()[0] == "65534"


@pytest.mark.slow
def test_a_larger_lab_costs_no_more_than_its_share(start: Start) -> None:
    """The keeper's own time on the processor, which other work on the machine does not change."""
    spent = {}
    for pods in (20, 60, 200):
        target = start(experiments() / "labs" / f"pods-{pods}.yaml")
        spent[pods] = int(Path(f"/proc/{keeper(target).pid}/schedstat").read_text().split()[0]) / 1e9
        assert len(target.inventory().pods) == pods
        target.close()
    first, then = (spent[60] - spent[20]) / 40, (spent[200] - spent[60]) / 140
    # Linear, with some room for what a caching processor and a busy neighbour do to one measurement.
    assert then < 2 * max(first, 0.5e-3), spent
