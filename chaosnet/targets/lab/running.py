"""Which labs run on this machine for this user: their records, locks and sockets.

A keeper holds a lock on its record for as long as it lives, and the kernel lets go of it however the keeper dies; so a
record that can be locked is stale, and is swept by whoever finds it.  Starts and stops nothing.
"""

import fcntl
import hashlib
import json
import os
import re
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from chaosnet.errors import InputError, Refused, TargetError

NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,60}[a-z0-9])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Running:
    """A running lab.  ``pid`` is its keeper's, ``owned`` whether it goes with the run that started it."""

    name: str
    pid: int
    topology: str
    owned: bool
    started: float


def labs_folder() -> Path:
    """Where records are: ``$XDG_STATE_HOME/chaosnet/labs`` (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_STATE_HOME", "")
    try:
        folder = (Path(base) if os.path.isabs(base) else Path.home() / ".local" / "state") / "chaosnet" / "labs"
    except RuntimeError:  # a user without an entry in passwd(5), as in many containers
        raise InputError("HOME", "this user has no home folder", "set HOME or XDG_STATE_HOME to a folder of yours") from None
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise InputError(
            "XDG_STATE_HOME", f"{folder} cannot be made: {error.strerror}", "point it at a folder of yours"
        ) from None
    return folder


def socket_folder() -> Path:
    """Where sockets are: a folder that only this user may enter, in XDG_RUNTIME_DIR or else in /tmp.

    Refused where somebody else owns it or others may enter it: whoever holds the folder could pose as our lab.
    """
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    given = Path(base)
    ours = os.path.isabs(base) and given.is_dir() and given.stat().st_uid == os.getuid()
    folder = given / "chaosnet" if ours else Path("/tmp") / f"chaosnet-{os.getuid()}"
    with suppress(FileExistsError):  # not a folder: said below
        folder.mkdir(exist_ok=True, mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise Refused(f"{folder} is not a folder of yours alone (mode 0700), so no lab puts its socket there; remove it")
    return folder


@dataclass(frozen=True, slots=True)
class Home:
    """Where the labs of one state folder are: their records, and their sockets, whose names carry ``tag``.

    Two state folders of one user share a folder for sockets; the tag keeps labs of the same name apart.
    """

    records: Path
    sockets: Path
    tag: str

    def record(self, name: str) -> Path:
        """The record of a lab."""
        return self.records / f"{name}.json"

    def socket(self, name: str) -> Path:
        """The socket of a lab's keeper."""
        return self.sockets / f"{name}.{self.tag}.sock"


def home() -> Home:
    """As the environment says now."""
    records = labs_folder()
    return Home(records, socket_folder(), hashlib.sha256(os.fsencode(records)).hexdigest()[:8])


@dataclass
class Claim:
    """The right to be the lab of a name: a locked record and a listening socket, both held open."""

    name: str
    home: Home
    record: int
    listener: socket.socket
    records: int
    sockets: int

    def note(self, running: Running) -> None:
        """Write the record."""
        data = json.dumps(asdict(running)).encode()
        os.pwrite(self.record, data, 0)
        os.ftruncate(self.record, len(data))

    def release(self) -> None:
        """Remove record and socket; works from inside the lab's own mounts, for it goes by open folders."""
        for folder, path in (
            (self.sockets, self.home.socket(self.name)),
            (self.records, self.home.record(self.name)),
        ):
            with suppress(FileNotFoundError):
                os.unlink(path.name, dir_fd=folder)


def claim(name: str) -> Claim:
    """Claim a lab's name.  Refused where a lab of this name runs."""
    place = home()
    records = os.open(place.records, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    sockets = os.open(place.sockets, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    record = _lock(records, f"{name}.json")
    if record is None:
        raise Refused(f"the lab {name} runs already; look at it with chaosnet lab ls, or end it with chaosnet lab down {name}")
    with suppress(FileNotFoundError):
        os.unlink(place.socket(name).name, dir_fd=sockets)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # Through the folder's descriptor, for the path itself may be longer than the 107 bytes of a socket's name (unix(7)).
    listener.bind(f"/proc/self/fd/{sockets}/{place.socket(name).name}")
    os.chmod(place.socket(name).name, 0o600, dir_fd=sockets)
    listener.listen(64)
    return Claim(name, place, record, listener, records, sockets)


def _lock(folder: int, name: str) -> int | None:
    """The record, created if needed and locked by us; None where a living keeper holds it."""
    while True:
        record = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=folder)
        try:
            fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(record)
            return None
        try:
            if os.fstat(record).st_ino == os.stat(name, dir_fd=folder).st_ino:
                return record
        except FileNotFoundError:
            pass  # swept by somebody between our opening and our locking
        os.close(record)


def running() -> Iterator[Running]:
    """The labs that run now, by name.  Records of dead ones are removed on the way."""
    place = home()
    for path in sorted(place.records.glob("*.json")):
        found = find(path.stem, place)
        if found is not None:
            yield found


def find(name: str, place: Home | None = None) -> Running | None:
    """The running lab of that name, or None."""
    if not NAME.fullmatch(name):
        return None
    place = place or home()
    try:
        record = os.open(place.record(name), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        try:
            fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return _parse(os.pread(record, 65536, 0))
        # Nobody holds it: its keeper is dead.  We hold the lock, so no new keeper can be in the middle of taking it.
        for stale in (place.socket(name), place.record(name)):
            with suppress(OSError):  # a folder, say: nothing of ours, and in nobody's way
                stale.unlink(missing_ok=True)
        return None
    finally:
        os.close(record)


def _parse(data: bytes) -> Running | None:
    try:
        return Running(**json.loads(data))
    except (ValueError, TypeError):
        return None  # being written this moment: it is not ready yet


def dial(name: str, place: Home | None = None) -> socket.socket:
    """A connection to a lab's keeper; TargetError where none answers."""
    place = place or home()
    folder = os.open(place.sockets, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    wire = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        wire.connect(f"/proc/self/fd/{folder}/{place.socket(name).name}")
        return wire
    except OSError as error:
        wire.close()
        raise TargetError(f"the lab {name} does not answer: {error.strerror}") from error
    finally:
        os.close(folder)


def _lives(pid: int) -> bool:
    """Whether a process is there and not a zombie (proc(5): the state follows the command's closing parenthesis)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def await_end(lab: Running, place: Home | None = None, timeout: float = 10.0) -> None:
    """Return when a lab is gone, and its keeper with it; TargetError after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while _lives(lab.pid) or find(lab.name, place) == lab:
        if time.monotonic() > deadline:
            raise TargetError(f"the lab {lab.name} does not end; kill its keeper, process {lab.pid}")
        time.sleep(0.005)
