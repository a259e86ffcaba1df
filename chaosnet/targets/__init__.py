"""SHELF: the targets, one folder each, and how to open one by name.

Only the command line and the chaostoolkit control open targets; everything else is given one.  A target's code is imported when
it is opened.
"""

import os

from chaosnet.errors import InputError, TargetGone
from chaosnet.model.target import Target

_NAMES = ("lab", "memory")


def names() -> tuple[str, ...]:
    """The targets that can be opened."""
    return _NAMES


def open_target(name: str, lab: str = "", *, owned: bool = True) -> Target:
    """Open the target ``name`` for a run.

    ``lab`` is a topology file or the name of a running lab (in memory: the ref of a network); ``CHAOSNET_LAB`` is asked where
    it is empty, and with neither it is the default lab.  A running lab is attached to and stays; otherwise one is
    started, which ends with this process or at ``close``, or stays where ``owned`` is false.  Raises InputError, Unsupported
    or Refused with a sentence.
    """
    _known(name)
    if name == "memory":
        from chaosnet.targets import memory

        return memory.open_network(lab or os.environ.get("CHAOSNET_LAB", ""))
    from chaosnet.targets import lab as labs

    return labs.open_lab(lab or os.environ.get("CHAOSNET_LAB", ""), owned=owned)


def attach(name: str, ref: str) -> Target:
    """Open again what a ticket's ``ref`` names; TargetGone where it has ended."""
    _known(name)
    if name == "memory":
        from chaosnet.targets import memory

        return memory.reopen(ref)
    from chaosnet.targets import lab as labs

    return labs.attach(ref)


def labs() -> tuple[str, ...]:
    """The names of this user's running labs."""
    from chaosnet.targets.lab import running

    return tuple(found.name for found in running.running())


def alive(name: str, ref: str) -> bool:
    """Whether what ``ref`` names is still there."""
    try:
        attach(name, ref).close()
    except (InputError, TargetGone):
        return False
    return True


def _known(name: str) -> None:
    if name not in _NAMES:
        raise InputError("the target", f"{name!r} is not known", f"use one of {', '.join(_NAMES)}")
