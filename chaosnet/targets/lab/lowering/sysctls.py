"""Sysctl: one network setting of one namespace, its old value kept and put back where ours still stands.

Only settings below ``net`` are known here: the rest belong to the whole machine.
"""

import os
import re
from typing import TYPE_CHECKING

from chaosnet.errors import InputError, Refused, Unsupported
from chaosnet.model.change import Sysctl
from chaosnet.model.fault import Reading
from chaosnet.model.ticket import Undo
from chaosnet.targets.lab.lowering import Deed
from chaosnet.targets.lab.namespaces import site_namespace

if TYPE_CHECKING:
    from chaosnet.targets.lab.lab import Lab

OPS = ("sysctl",)
_KEY = re.compile(r"net(?:\.[a-z0-9_/-]+)+", re.ASCII)
_VALUE = re.compile(r"[0-9a-z_ \t-]{1,200}", re.ASCII)


def prepare(lab: "Lab", deed: Deed, change: Sysctl) -> Undo:
    """The value now; Unsupported where the kernel lets nobody in a namespace write it."""
    if not _KEY.fullmatch(change.key):
        raise InputError("", f"{change.key!r} is not a network setting", "name one below net, like net.ipv4.ip_forward")
    if not _VALUE.fullmatch(change.value):
        raise InputError("", f"{change.value!r} is not a value of a kernel setting", "give numbers or a word")
    namespace = site_namespace(change.site)
    now = lab.namespaces.sysctl(namespace, change.key)
    path = "/proc/sys/" + change.key.translate({ord("."): "/", ord("/"): "."})
    with lab.namespaces.inside(namespace):
        writable = os.access(path, os.W_OK)
    if not writable:
        raise Unsupported(f"{change.key} is shared by all namespaces of this kernel and read-only in the lab")
    if now.split() == change.value.split():
        raise Refused(f"{change.key} at {namespace} is {now} already, so this would change nothing")
    return Undo(
        "sysctl",
        {
            "namespace": namespace,
            "key": change.key,
            "old": now,
            "new": change.value,
            "knobs": [f"the setting {change.key} at {namespace}"],
        },
        f"set {change.key} at {namespace} back to {now}",
    )


def do(lab: "Lab", deed: Deed, change: Sysctl, undo: Undo) -> None:
    """Write it."""
    lab.namespaces.set_sysctl(undo.arguments["namespace"], change.key, change.value)


def take_back(lab: "Lab", undo: Undo) -> None:
    """Write the old value, where ours still stands."""
    namespace, key = undo.arguments["namespace"], undo.arguments["key"]
    if namespace in lab.namespaces and lab.namespaces.sysctl(namespace, key).split() == undo.arguments["new"].split():
        lab.namespaces.set_sysctl(namespace, key, undo.arguments["old"])


def read_back(lab: "Lab", deed: Deed, change: Sysctl, undo: Undo) -> Reading:
    """What the kernel says the value is."""
    namespace = undo.arguments["namespace"]
    if namespace not in lab.namespaces:
        return Reading(False, f"{namespace} is gone")
    now = lab.namespaces.sysctl(namespace, change.key)
    return Reading(now.split() == change.value.split(), f"{change.key} at {namespace} is {now}", {"value": now})
