"""Network namespaces held by file descriptor: made, entered, and asked for what lives in them.

The process that owns a :class:`Namespaces` must be single-threaded while it is inside one: ``setns`` moves the calling
thread.  A namespace lives as long as a descriptor, a process or a socket is in it, so nothing is mounted or named on the
host, and when the owner dies the kernel removes all of them.  This module makes no links and no rules.
"""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from chaosnet.errors import TargetError
from chaosnet.model.inventory import Site

if TYPE_CHECKING:
    from chaosnet.targets.lab.netlink import Netlink
    from chaosnet.targets.lab.nft import Nft

# <linux/sched.h>; Python has os.unshare and os.setns from 3.12 only.
CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.setns.argtypes = (ctypes.c_int, ctypes.c_int)
_libc.unshare.argtypes = (ctypes.c_int,)


def unshare(flags: int) -> None:
    """Move this process into new namespaces (unshare(2)); OSError where the kernel says no."""
    if _libc.unshare(flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _setns(descriptor: int) -> None:
    if _libc.setns(descriptor, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def site_namespace(site: Site) -> str:
    """The name of the namespace a site stands for.

    Pods are ``cluster/namespace/name``, nodes ``cluster/name``, routers ``name``.  Raises TargetError for peers (Services
    and addresses), which are no place.
    """
    if site.kind == "pod":
        return f"{site.cluster}/{site.namespace}/{site.name}"
    if site.kind == "node":
        return f"{site.cluster}/{site.name}"
    if site.kind == "router":
        return site.name
    raise TargetError(f"{site} is a peer, not a place: nothing can be done inside it")


class Namespaces:
    """The network namespaces of one lab, by name."""

    def __init__(self) -> None:
        self._home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._now = self._home
        self._held: dict[str, int] = {}
        self._aliases: dict[str, str] = {}
        self._nft: dict[str, Nft] = {}
        self._netlink: dict[str, Netlink] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Every namespace there is, once each, in the order they were made."""
        return tuple(self._held)

    def __contains__(self, name: str) -> bool:
        return name in self._held or name in self._aliases

    def create(self, *names: str) -> None:
        """Make namespaces.  They are empty but for a loopback that is down."""
        try:
            for name in names:
                if name in self._held:
                    raise TargetError(f"the namespace {name} exists already")
                unshare(CLONE_NEWNET)
                self._held[name] = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise TargetError(f"the kernel makes no network namespace: {error.strerror}") from error
        finally:
            _setns(self._home)

    def alias(self, name: str, real: str) -> None:
        """Let ``name`` mean the namespace ``real`` too: a pod on its node's network."""
        self._aliases[name] = real

    def is_alias(self, name: str) -> bool:
        """Whether ``name`` is another name of a namespace."""
        return name in self._aliases

    def remove(self, name: str) -> None:
        """Let go of a namespace; the kernel removes it, with its links, once nothing else is in it."""
        for kept in (self._nft.pop(name, None), self._netlink.pop(name, None)):
            if kept is not None:
                kept.close()
        os.close(self._held.pop(name))

    def descriptor(self, name: str) -> int:
        """The file descriptor that holds a namespace; TargetError where there is none of that name."""
        try:
            return self._held[self._aliases.get(name, name)]
        except KeyError:
            raise TargetError(f"there is no namespace {name!r} in this lab") from None

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """Be in a namespace: sockets made meanwhile stay in it, processes started meanwhile are born in it.

        Nothing may be awaited inside.  Nesting is allowed.
        """
        descriptor = self.descriptor(name)
        before, self._now = self._now, descriptor
        _setns(descriptor)
        try:
            yield
        finally:
            self._now = before
            _setns(before)

    def nft(self, name: str) -> "Nft":
        """The nftables of a namespace."""
        name = self._aliases.get(name, name)
        if name not in self._nft:
            from chaosnet.targets.lab.nft import Nft

            self._nft[name] = Nft(lambda: self.inside(name))
        return self._nft[name]

    def netlink(self, name: str) -> "Netlink":
        """The links, addresses, routes and qdiscs of a namespace."""
        name = self._aliases.get(name, name)
        if name not in self._netlink:
            from chaosnet.targets.lab.netlink import Netlink

            with self.inside(name):
                self._netlink[name] = Netlink()
        return self._netlink[name]

    def sysctl(self, name: str, key: str) -> str:
        """A kernel setting of a namespace by its dotted name; TargetError where it does not exist."""
        try:
            with self.inside(name), open(_sysctl_path(key), encoding="ascii") as file:
                return file.read().strip()
        except OSError as error:
            raise TargetError(f"the setting {key} cannot be read at {name}: {error.strerror}") from error

    def set_sysctl(self, name: str, key: str, value: str) -> None:
        """Write a kernel setting of a namespace; TargetError where the kernel refuses it."""
        with self.inside(name):
            write_sysctl(key, value, name)


def write_sysctl(key: str, value: str, where: str) -> None:
    """Write a kernel setting of the namespace this thread is in; ``where`` names it in the error."""
    try:
        descriptor = os.open(_sysctl_path(key), os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, value.encode("ascii"))
        finally:
            os.close(descriptor)
    except OSError as error:
        raise TargetError(f"the setting {key} cannot be {value} at {where}: {error.strerror}") from error


def _sysctl_path(key: str) -> str:
    """sysctl(8): dots separate; a slash in the name stands for a dot (of an interface called ``eth0.5``)."""
    if ".." in key or not key:
        raise TargetError(f"{key!r} is not the name of a kernel setting")
    return "/proc/sys/" + key.translate({ord("."): "/", ord("/"): "."})
