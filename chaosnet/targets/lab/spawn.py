"""Starts keepers: owned by the caller's pipe, or detached to stay.

The caller may have threads, so nothing is forked here: a new Python runs :mod:`chaosnet.targets.lab.keeper`.
"""

import json
import os
import select
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from chaosnet.errors import InputError, TargetError
from chaosnet.targets.lab.calls import error_of
from chaosnet.targets.lab.running import NAME, home

_PATIENCE = 60.0


@dataclass(slots=True)
class Started:
    """A lab that is up.  ``owner`` is the pipe's end that keeps an owned lab alive (-1: detached); ``seconds`` what it took."""

    name: str
    seconds: float
    pods: int
    owner: int = -1


def start(topology: Path | str, name: str, *, owned: bool) -> Started:
    """Start a keeper for a topology file, and return when its network is up (BGP has not converged yet).

    Owned: the lab ends with this process, or when the pipe ``owner`` is closed.  Raises what the keeper could not do:
    InputError for a malformed file, Unsupported where the machine cannot, Refused where a lab of that name runs.
    """
    if not NAME.fullmatch(name):
        raise InputError("the lab's name", f"{name!r} is not a name", "use small letters, digits and inner hyphens")
    home()  # whoever cannot be told where labs are noted must not get one that nobody finds again
    ready_read, ready_write = os.pipe()
    owner_read, owner_write = os.pipe() if owned else (-1, -1)
    theirs = [ready_write, *([owner_read] if owned else [])]
    order = {"name": name, "topology": str(Path(topology).resolve()), "ready": ready_write, "owner": owner_read}
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "chaosnet.targets.lab.keeper", json.dumps(order)],
            stdin=subprocess.DEVNULL, pass_fds=theirs, start_new_session=True,
        )  # fmt: skip
    finally:
        for descriptor in theirs:
            os.close(descriptor)
    try:
        said = _listen(ready_read)
        process.wait(_PATIENCE)
        if not said:
            raise TargetError(f"the lab {name} died while it started (exit status {process.returncode})")
        plain = json.loads(said)
        if "error" in plain:
            raise error_of(plain["error"])
        return Started(plain["ready"]["name"], plain["ready"]["seconds"], plain["ready"]["pods"], owner_write)
    except BaseException:
        if owned:
            os.close(owner_write)
        raise
    finally:
        os.close(ready_read)


def _listen(descriptor: int) -> bytes:
    """All that the keeper says until it closes its end."""
    said = b""
    while select.select([descriptor], [], [], _PATIENCE)[0]:
        piece = os.read(descriptor, 65536)
        said += piece
        if not piece or said.endswith(b"\n"):
            return said
    raise TargetError(f"the lab did not come up within {_PATIENCE:g} s")
