"""Object: an API object applied, patched or deleted, then everything that follows from objects brought up to date.

The undo keeps the exact original.  It goes back only where nobody has touched what we made since; controllers may have
added to it (a node, an address, a status).  What objects mean on the wire is the lab's ``reconcile``.
"""

import json
from typing import TYPE_CHECKING

from chaosnet.errors import Refused, ResidueLeft, Unsupported
from chaosnet.lab.kinds import KINDS
from chaosnet.lab.objects import Key, Store
from chaosnet.model.change import Object
from chaosnet.model.fault import Reading
from chaosnet.model.ticket import Undo
from chaosnet.targets.lab.lowering import Deed

if TYPE_CHECKING:
    from chaosnet.targets.lab.lab import Lab

OPS = ("object",)
_BY_CONTROLLERS = ("nodeName", "clusterIP")


def prepare(lab: "Lab", deed: Deed, change: Object) -> Undo:
    """The original, and what will stand in its place, from a rehearsal on a store of its own."""
    if change.cluster not in {cluster.name for cluster in lab.topology.clusters}:
        raise Refused(f"{change}: there is no cluster {change.cluster!r} in this lab")
    if change.kind not in KINDS:
        raise Unsupported(f"{change}: the lab keeps such objects and acts on none; it acts on {', '.join(sorted(KINDS))}")
    before = lab.store.text(change.cluster, change.kind, change.namespace, change.name)
    rehearsal = Store()
    if before:
        rehearsal.apply(change.cluster, json.loads(before))
    rehearsal.make(change)
    after = rehearsal.text(change.cluster, change.kind, change.namespace, change.name)
    if before == after:
        raise Refused(f"{change} would change nothing: the object is like that already")
    found = lab.store.get(change.cluster, change.kind, change.namespace, change.name) or {}
    key = Key(change.cluster, change.kind, change.namespace, change.name)
    return Undo(
        "object",
        {
            "cluster": change.cluster,
            "kind": change.kind,
            "namespace": change.namespace,
            "name": change.name,
            "before": before,
            "after": after,
            "resourceVersion": found.get("metadata", {}).get("resourceVersion", ""),
            "knobs": [f"the object {key}"],
        },
        f"put {key} back as it was" if before else f"delete {key}",
    )


def do(lab: "Lab", deed: Deed, change: Object, undo: Undo) -> None:
    """Refused where the object has changed since it was prepared, for then the original is another."""
    found = lab.store.get(change.cluster, change.kind, change.namespace, change.name) or {}
    if found.get("metadata", {}).get("resourceVersion", "") != undo.arguments["resourceVersion"]:
        raise Refused(f"{_key(undo)} has changed since this fault was prepared; try again")
    lab.store.make(change)
    lab.reconcile(f"{change}")


def take_back(lab: "Lab", undo: Undo) -> None:
    """Put the original back, or delete what we created; ResidueLeft where somebody else changed it since."""
    key, before, after = _key(undo), undo.arguments["before"], undo.arguments["after"]
    now = lab.store.text(key.cluster, key.kind, key.namespace, key.name)
    if now == before:
        return
    if not _stands(after, now) and not _stands(before, now):
        raise ResidueLeft(
            f"{key} was changed by somebody else after our change to it, so it was left as it is; "
            f"the original is in the ticket: {before or 'there was no such object'}"
        )
    if before:
        lab.store.apply(key.cluster, json.loads(before))
    else:
        lab.store.discard(key)
    lab.reconcile(f"undo of {key}")


def read_back(lab: "Lab", deed: Deed, change: Object, undo: Undo) -> Reading:
    """Whether the store holds what the change made."""
    key = _key(undo)
    now = lab.store.text(key.cluster, key.kind, key.namespace, key.name)
    if _stands(undo.arguments["after"], now):
        return Reading(True, f"{key} is as the fault made it" if now else f"{key} is gone, as the fault wanted")
    return Reading(False, f"{key} is not as the fault made it" if now else f"there is no {key}")


def _key(undo: Undo) -> Key:
    return Key(*(undo.arguments[name] for name in ("cluster", "kind", "namespace", "name")))


def _stands(wanted: str, now: str) -> bool:
    """Whether ``now`` is what ``wanted`` says, apart from what controllers add: the status, a node, a ClusterIP."""
    if not wanted or not now:
        return wanted == now
    first, second = json.loads(wanted), json.loads(now)
    first.pop("status", None)
    second.pop("status", None)
    for added in _BY_CONTROLLERS:
        if added not in (first.get("spec") or {}) and isinstance(second.get("spec"), dict):
            second["spec"].pop(added, None)
    return bool(first == second)
