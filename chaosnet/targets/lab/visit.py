"""A command inside a namespace of the lab, on the standard input, output and error of whoever asked for it.

It runs as the lab's root with the pod's own resolv.conf, and ends when its client hangs up.  No shell is involved.
"""

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from chaosnet.errors import InputError
from chaosnet.targets.lab.isolation import bind, own_mounts
from chaosnet.targets.lab.processes import Processes

_HOME = Path("/run/chaosnet/visit")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NO_SUCH_COMMAND, _NOT_EXECUTABLE = 127, 126  # as shells have it


class Visit:
    """One running command."""

    def __init__(
        self, processes: Processes, namespace: str, argv: Sequence[str], folder: str, stdio: Sequence[int], resolv: str
    ) -> None:
        if not argv:
            raise InputError("lab exec", "there is no command", "name one after the place")
        self._processes = processes
        self._status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        # Until the child has given up our handlers, a signal to it would be written to our own event loop.
        before = signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        try:
            with processes.namespaces.inside(namespace):
                self._child = os.fork()
                if self._child == 0:
                    _become(argv, folder, stdio, resolv)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        processes.adopt(self._child, self._ended)

    def _ended(self, status: int) -> None:
        if not self._status.done():
            self._status.set_result(status)

    async def wait(self) -> int:
        """The exit status, once it is over."""
        return await self._status

    def signal(self, number: int) -> None:
        """Send a signal to the command and all it started; nothing happens where it is over."""
        if not self._status.done():
            try:
                os.killpg(self._child, number)
            except ProcessLookupError:
                os.kill(self._child, number)  # it does not lead a group yet, and has not been reaped

    def hang_up(self) -> None:
        """The client is gone: so is the command."""
        self.signal(signal.SIGKILL)


def _become(argv: Sequence[str], folder: str, stdio: Sequence[int], resolv: str) -> None:
    """In the child: take the caller's descriptors and resolv.conf, and become the command.  Never returns."""
    status = _NO_SUCH_COMMAND
    try:
        os.setsid()
        for caught in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD):
            signal.signal(caught, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        for number, descriptor in enumerate(stdio):
            os.dup2(descriptor, number)
        if resolv:
            _own_resolv_conf(resolv)
        try:
            os.chdir(folder)
        except OSError:
            os.chdir("/")
        environment = {**os.environ, "PATH": _PATH}
        os.execvpe(argv[0], list(argv), environment)
    except FileNotFoundError:
        os.write(2, f"chaosnet: there is no command {argv[0]!r} on this machine\n".encode())
    except OSError as error:
        status = _NOT_EXECUTABLE
        os.write(2, f"chaosnet: {argv[0]!r} cannot be run: {error.strerror}\n".encode())
    finally:
        os._exit(status)


def _own_resolv_conf(text: str) -> None:
    """The pod's resolv.conf over the machine's, for this process only."""
    own_mounts()
    _HOME.mkdir(parents=True, exist_ok=True)
    path = _HOME / f"{os.getpid()}.resolv.conf"
    path.write_text(text)
    target = Path(os.path.realpath("/etc/resolv.conf"))
    try:
        if not target.exists() and target.is_relative_to("/run"):
            # A link into the /run that the lab has its own of (systemd-resolved).
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
        bind(str(path), str(target))
    except OSError:
        return  # a machine without the file: then names do not resolve in there
    finally:
        path.unlink(missing_ok=True)
