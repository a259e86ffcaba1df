"""Processes of the lab: started inside a namespace, reaped by the keeper, who is init and inherits every orphan.

A process gets plain argument lists, an environment of its own and no descriptor that it was not given.  What runs, and what a
stopped one means, is for :mod:`chaosnet.targets.lab.daemons`.
"""

import os
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from chaosnet.errors import TargetError
from chaosnet.targets.lab.namespaces import Namespaces

_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
#: Program → the Debian and Ubuntu package it comes in.
PACKAGES = {"bird": "bird2", "dnsmasq": "dnsmasq-base", "tcpdump": "tcpdump", "nft": "nftables"}


def program(name: str) -> str:
    """The path of a program; TargetError naming the package to install where it is missing."""
    found = shutil.which(name, path=_ENVIRONMENT["PATH"])
    if found is None:
        raise TargetError(f"{name} is not installed; run: apt-get install {PACKAGES.get(name, name)}")
    return found


@dataclass
class Processes:
    """The keeper's children, by process id."""

    namespaces: Namespaces
    _ended: dict[int, Callable[[int], None]] = field(default_factory=dict)

    def start(
        self,
        namespace: str,
        argv: Sequence[str],
        ended: Callable[[int], None] = lambda status: None,
        log: str = "/dev/null",
        environment: Mapping[str, str] | None = None,
    ) -> int:
        """Start ``argv`` in a namespace; its output goes to the file ``log``.

        ``ended`` is called with the exit status (128 and the signal's number, as shells have it) when it is over.
        """
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        with self.namespaces.inside(namespace):
            child = os.posix_spawn(
                argv[0],
                list(argv),
                {**_ENVIRONMENT, **(environment or {})},
                file_actions=actions,
                setsid=True,
                setsigmask=(),
                setsigdef=(signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP),
            )
        self._ended[child] = ended
        return child

    def adopt(self, child: int, ended: Callable[[int], None]) -> None:
        """Have ``ended`` called for a child that was forked elsewhere."""
        self._ended[child] = ended

    def kill(self, child: int, number: int = signal.SIGKILL) -> None:
        """Send a signal; nothing happens where the process is over."""
        if child in self._ended:
            os.kill(child, number)

    def end(self) -> None:
        """Kill every process of the lab but this one, its init, and wait until they are gone."""
        try:
            os.kill(-1, signal.SIGKILL)  # kill(2): all of this PID namespace
        except ProcessLookupError:
            return
        while True:
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                return

    def reap(self) -> None:
        """Collect every child that is over; for the SIGCHLD handler."""
        while True:
            try:
                child, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if child == 0:
                return
            code = os.waitstatus_to_exitcode(status)
            ended = self._ended.pop(child, None)
            if ended is not None:
                ended(code if code >= 0 else 128 - code)
