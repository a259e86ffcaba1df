"""Turns a process into the keeper: init of user, PID, mount and network namespaces of its own.

Always a user namespace, for root too: what happens inside can then never reach the host's network.  An ordinary user is root in
there and nobody elsewhere; root keeps every user id, so that programs may give up privileges as they are used to.  When the
process that :func:`isolate` returns in dies, the kernel kills all the others and takes the network away.
"""

import ctypes
import os
import sys
from collections.abc import Callable
from pathlib import Path

from chaosnet.errors import Unsupported
from chaosnet.targets.lab.namespaces import (
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    unshare,
)

# <sys/mount.h>
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)


def isolate(born: Callable[[int], None]) -> None:
    """Return as init of new namespaces, in a child; the calling process calls ``born`` with the child's id and exits.

    Raises Unsupported, in the calling process, where the machine does not let this user make namespaces.
    """
    try:
        _new_user()
        unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)
        # Shared mounts would carry ours out to the host.
        _mount("none", "/", None, _MS_REC | _MS_PRIVATE)
        _mount("chaosnet", "/run", "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=755")
    except OSError as error:
        raise Unsupported(f"this machine does not let you make a lab's namespaces ({error.strerror}); {mend()}") from error
    child = os.fork()
    if child:
        born(child)
        sys.stdout.flush()
        os._exit(0)
    os.setsid()
    try:
        _mount("proc", "/proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    except OSError:
        # Where the machine's own /proc is covered in parts (a container's) the kernel gives no new one; the old one serves.
        return


def _new_user() -> None:
    """A user namespace in which we are root; from root's, with every id it has itself."""
    if os.geteuid() != 0:
        user, group = os.geteuid(), os.getegid()
        unshare(CLONE_NEWUSER)
        # user_namespaces(7): a process without privileges may map its own group only after giving setgroups up.
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
        return
    # More than one id may only be mapped from outside: by a child that stays behind.
    go_read, go_write = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(go_write)
            os.read(go_read, 1)
            for kind in ("uid_map", "gid_map"):
                lines = [line.split() for line in Path(f"/proc/self/{kind}").read_text().splitlines()]
                Path(f"/proc/{parent}/{kind}").write_text("".join(f"{inside} {inside} {count}\n" for inside, _, count in lines))
            status = 0
        finally:
            os._exit(status)
    os.close(go_read)
    try:
        unshare(CLONE_NEWUSER)
    finally:
        os.close(go_write)
        _, status = os.waitpid(child, 0)
    if status:
        raise OSError(1, "its user ids cannot be mapped")


def _mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    if _libc.mount(source.encode(), target.encode(), kind.encode() if kind else None, flags, options.encode() or None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def bind(source: str, target: str) -> None:
    """Put the file ``source`` in the place of ``target``, in this mount namespace; OSError where it cannot be."""
    _mount(source, target, None, _MS_BIND)


def own_mounts() -> None:
    """Give this process mounts of its own."""
    unshare(CLONE_NEWNS)


def mend() -> str:
    """What to do where namespaces are not permitted, by what the kernel says of itself."""
    for key, bad, good in (
        ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
        ("kernel.unprivileged_userns_clone", "0", "1"),
        ("user.max_user_namespaces", "0", "10000"),
        ("user.max_net_namespaces", "0", "10000"),
    ):
        try:
            value = Path(f"/proc/sys/{key.replace('.', '/')}").read_text().strip()
        except OSError:
            continue
        if value == bad and (os.geteuid() != 0 or key.startswith("user.")):
            return f"{key} is {bad} here: run sudo sysctl -w {key}={good}, or run as root"
    return "run as root, or, in a container, start it with --privileged"
