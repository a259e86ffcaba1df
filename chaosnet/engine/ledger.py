"""The ledger: undo written down before the deed, and the append-only audit.

One JSON file a ticket in the user's state folder; each write goes to a new file, is fsynced, renamed over the old one,
and the folder fsynced (rename(2) is atomic, but only a synced folder survives a power cut).  A ticket file is removed only
when its undo has been seen to hold.  It does not undo anything: whoever drains it does.
"""

import getpass
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from chaosnet.errors import ChaosnetError, InputError, Refused
from chaosnet.model.codec import from_plain, to_plain
from chaosnet.model.ticket import Stage, Ticket

_ID = re.compile(r"[a-z0-9]{10}", re.ASCII)


def state_folder() -> Path:
    """``$XDG_STATE_HOME/chaosnet``, by default ``~/.local/state/chaosnet`` (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_STATE_HOME", "")
    try:
        return (Path(base) if os.path.isabs(base) else Path.home() / ".local" / "state") / "chaosnet"
    except RuntimeError:  # a user without an entry in passwd(5), as in many containers
        raise InputError("HOME", "this user has no home folder", "set HOME or XDG_STATE_HOME to a folder of yours") from None


def owner() -> str:
    """Who injects: ``user@host``."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{os.uname().nodename}"


@contextmanager
def writable(path: Path) -> Iterator[None]:
    """InputError where the state folder is full, or not ours to write."""
    try:
        yield
    except OSError as error:
        remedy = "make room, or point XDG_STATE_HOME elsewhere"
        raise InputError(str(path), f"cannot be written: {error.strerror}", remedy) from None


class Ledger:
    """The tickets of this user on this machine.

    Every method that writes has synced when it returns, and raises InputError where it cannot write.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = (folder or state_folder()) / "tickets"
        self.audit_file = (folder or state_folder()) / "audit.ndjson"
        with writable(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def write(self, ticket: Ticket) -> None:
        """Write or rewrite one ticket, durably."""
        path = self._path(ticket.id)
        fresh = path.with_suffix(f".{os.getpid()}.new")
        data = json.dumps(to_plain(ticket), indent=1).encode()
        with writable(path):
            try:
                with open(fresh, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(fresh, path)
            finally:
                fresh.unlink(missing_ok=True)
            self._sync_folder()

    def advance(self, ticket: Ticket, stage: Stage, **times: float) -> Ticket:
        """The ticket at its next stage, written."""
        moved = replace(ticket, stage=stage, times={**ticket.times, **times})
        self.write(moved)
        return moved

    def remove(self, ticket: Ticket) -> None:
        """Forget a ticket whose undo has been seen to hold.  Idempotent."""
        self._path(ticket.id).unlink(missing_ok=True)
        self._sync_folder()

    def read(self, ticket_id: str) -> Ticket:
        """One ticket; InputError where there is none of that id or its file cannot be read."""
        path = self._path(ticket_id)
        try:
            ticket: Ticket = from_plain(Ticket, json.loads(path.read_bytes()))
            return ticket
        except FileNotFoundError:
            known = ", ".join(ticket.id for ticket in self.open()) or "none"
            raise InputError("ticket", f"there is no open ticket {ticket_id!r}", f"open are: {known}") from None
        except (ValueError, KeyError, TypeError, AttributeError, OSError, ChaosnetError) as error:
            raise InputError(str(path), f"this ticket cannot be read ({error})", "see it, then run chaosnet panic") from None

    def open(self, run: str = "") -> Iterator[Ticket]:
        """Tickets not yet taken back, newest first; of one run where named.  Unreadable files are passed over."""
        tickets = []
        for path in self.folder.glob("*.json"):
            try:
                tickets.append(self.read(path.stem))
            except InputError:
                continue
        tickets.sort(key=lambda ticket: (-ticket.times.get("recorded", 0.0), ticket.id))
        return iter([ticket for ticket in tickets if not run or ticket.run == run])

    def unreadable(self) -> tuple[Path, ...]:
        """Ticket files that cannot be read: someone must look."""
        bad = []
        for path in sorted(self.folder.glob("*.json")):
            try:
                self.read(path.stem)
            except InputError:
                bad.append(path)
        return tuple(bad)

    def refuse_overlap(self, ticket: Ticket) -> None:
        """Refused where another run holds a live ticket on the same target (two drills must not meet)."""
        for other in self.open():
            same = (other.target, other.target_ref) == (ticket.target, ticket.target_ref)
            if same and other.run != ticket.run and other.expires > time.time():
                raise Refused(
                    f"{other.kind} of {other.owner} (ticket {other.id}) is open on {other.target} {other.target_ref}; "
                    f"wait for it, or run chaosnet undo {other.id}"
                )

    def audit(self, event: str, ticket: Ticket, **fields: Any) -> None:
        """Append who did what, where and when; one JSON line, synced."""
        line: Mapping[str, Any] = {
            "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "event": event,
            "ticket": ticket.id,
            "kind": ticket.kind,
            "owner": ticket.owner,
            "run": ticket.run,
            "target": ticket.target,
            "ref": ticket.target_ref,
            "at": list(ticket.at),
            **fields,
        }
        with writable(self.audit_file):
            self.audit_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(self.audit_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(handle, json.dumps(line).encode() + b"\n")
                os.fsync(handle)
            finally:
                os.close(handle)

    def _path(self, ticket_id: str) -> Path:
        if not _ID.fullmatch(ticket_id):
            raise InputError("ticket", f"{ticket_id!r} is not a ticket id", "an id is ten letters and digits")
        return self.folder / f"{ticket_id}.json"

    def _sync_folder(self) -> None:
        handle = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
