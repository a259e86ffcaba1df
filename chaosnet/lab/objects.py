"""The lab's API server: objects of every cluster, and what may be done to them.

A pure store: no clock, kernel or files; it runs no controllers (those are :mod:`chaosnet.lab.controllers`) and programs no
node.  Objects are plain JSON values.  What the store hands out is its own: treat it as read-only.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from chaosnet.errors import InputError
from chaosnet.lab import kinds
from chaosnet.lab.kinds import Manifest
from chaosnet.model.change import Object

# What moves by itself, and so is no residue.
_MOVING = ("resourceVersion", "generation", "managedFields")
# An object may hold this many values; YAML's aliases could make a small file a huge one.
_MOST_VALUES = 200_000


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """What names one object."""

    cluster: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {'/'.join(part for part in (self.cluster, self.namespace, self.name) if part)}"


class Store:
    """The objects of one lab.  ``revision`` counts changes; an object's ``metadata.resourceVersion`` is its last one's."""

    def __init__(self) -> None:
        self.revision = 0
        self._objects: dict[Key, dict[str, Any]] = {}
        self._texts: dict[Key, str] = {}
        self._gone: dict[Key, dict[str, Any]] = {}
        self._ordered: tuple[Key, ...] | None = None
        self._listed: dict[tuple[str, str], tuple[Key, ...]] = {}

    def load(self, cluster: str, objects: Iterable[tuple[Manifest, str]]) -> None:
        """Store every object of pairs (object, where it was read).  InputError where one is malformed or there twice."""
        seen: dict[Key, str] = {}
        for manifest, place in objects:
            key = self.apply(cluster, manifest, place)
            if key in seen:
                raise InputError(place, f"{key} is also in {seen[key]}", "keep one of them")
            seen[key] = place

    def apply(self, cluster: str, manifest: Manifest, place: str = "") -> Key:
        """Create the object, or put it in the place of the one with its name.  Returns its key.

        Without any difference nothing happens and the revision stays.  InputError where the object is malformed.
        """
        kind, namespace, name = kinds.identify(manifest, place or "the object")
        key = Key(cluster, kind, namespace, name)
        where = f"{place}: {kind} {'/'.join(part for part in (namespace, name) if part)}" if place else str(key)
        item: dict[str, Any] = _plain(manifest, where, [0])
        if namespace:
            item["metadata"]["namespace"] = namespace
        kinds.check(item, where)
        text = canonical(item)
        if self._texts.get(key) != text:
            self.revision += 1
            item["metadata"]["resourceVersion"] = str(self.revision)
            if key not in self._objects:
                self._forget_order()
            self._objects[key], self._texts[key] = item, text
        self._gone.pop(key, None)
        return key

    def patch(self, cluster: str, kind: str, namespace: str, name: str, patch: Manifest) -> Key:
        """Change an object by a JSON merge patch (RFC 7386).  InputError where it is not there or becomes malformed."""
        key = Key(cluster, kind, namespace, name)
        item = merge(self.want(cluster, kind, namespace, name), _plain(patch, f"the patch of {key}", [0]))
        if not isinstance(item, dict) or kinds.identify(item, str(key)) != (kind, namespace, name):
            raise InputError(str(key), "the patch gives the object another name or kind", "apply a new object instead")
        return self.apply(cluster, item)

    def delete(self, cluster: str, kind: str, namespace: str, name: str) -> None:
        """Remove an object.  InputError where it is not there, or is a Namespace: that would take all in it along."""
        key = Key(cluster, kind, namespace, name)
        if kind == "Namespace":
            raise InputError(str(key), "deleting a namespace deletes everything in it", "delete its objects instead")
        self._gone[key] = dict(self.want(cluster, kind, namespace, name))
        self.discard(key)

    def discard(self, key: Key) -> None:
        """Remove an object as its controller does: it is not remembered as gone, so its name may come again."""
        if self._objects.pop(key, None) is not None:
            self.revision += 1
            del self._texts[key]
            self._forget_order()

    def _forget_order(self) -> None:
        self._ordered, self._listed = None, {}

    def get(self, cluster: str, kind: str, namespace: str, name: str) -> Manifest | None:
        """The object, or None."""
        return self._objects.get(Key(cluster, kind, namespace, name))

    def want(self, cluster: str, kind: str, namespace: str, name: str) -> Manifest:
        """The object; InputError naming the nearest others where it is not there."""
        found = self.get(cluster, kind, namespace, name)
        if found is None:
            near = [key for key in self if (key.cluster, key.kind) == (cluster, kind)]
            known = ", ".join(str(key).partition(" ")[2] for key in near[:6]) or "none"
            raise InputError(str(Key(cluster, kind, namespace, name)), "there is no such object", f"there are {known}")
        return found

    def list(self, cluster: str, kind: str, namespace: str = "") -> tuple[Manifest, ...]:
        """The objects of one kind, by namespace and name; ``cluster`` or ``namespace`` empty: all of them."""
        keys = self._listed.get((cluster, kind))
        if keys is None:
            keys = tuple(key for key in self if key.kind == kind and cluster in ("", key.cluster))
            self._listed[(cluster, kind)] = keys
        return tuple(self._objects[key] for key in keys if namespace in ("", key.namespace))

    def __iter__(self) -> Iterator[Key]:
        """All keys, in order."""
        if self._ordered is None:
            self._ordered = tuple(sorted(self._objects))
        return iter(self._ordered)

    def items(self) -> Iterator[tuple[str, Manifest]]:
        """Pairs of cluster and object, in order: what :func:`chaosnet.policy.world.build` takes."""
        return ((key.cluster, self._objects[key]) for key in self)

    @property
    def clusters(self) -> tuple[str, ...]:
        """The clusters that have objects."""
        return tuple(sorted({key.cluster for key in self._objects}))

    @property
    def unread(self) -> tuple[str, ...]:
        """The kinds that are kept here and that nothing acts on, each once."""
        return tuple(sorted({key.kind for key in self} - set(kinds.KINDS)))

    def gone(self, cluster: str, kind: str, namespace: str = "") -> tuple[Manifest, ...]:
        """Objects that were deleted (not by a controller) and have not come back."""
        return tuple(
            item
            for key, item in sorted(self._gone.items())
            if (key.cluster, key.kind) == (cluster, kind) and namespace in ("", key.namespace)
        )

    def text(self, cluster: str, kind: str, namespace: str, name: str) -> str:
        """The object's canonical text, without what moves by itself, or empty where it is not there."""
        return self._texts.get(Key(cluster, kind, namespace, name), "")

    def holds(self, cluster: str, manifest: Manifest) -> bool:
        """Whether an object of a known kind is there just so; cheaper than applying it again."""
        metadata = manifest["metadata"]
        return self.text(cluster, manifest["kind"], metadata.get("namespace", ""), metadata["name"]) == canonical(manifest)

    def snapshot(self) -> dict[str, str]:
        """Canonical text of every object by its key's text: two snapshots differ exactly where objects do."""
        return {str(key): self._texts[key] for key in self}

    def make(self, change: Object) -> None:
        """Do what an Object change says.  InputError where it cannot be done; then nothing was changed."""
        if change.action == "delete":
            self.delete(change.cluster, change.kind, change.namespace, change.name)
            return
        try:
            manifest = json.loads(change.manifest)
        except (ValueError, RecursionError) as error:
            raise InputError(str(change), f"its manifest is not JSON ({error})", "give JSON text") from None
        if change.action == "patch":
            self.patch(change.cluster, change.kind, change.namespace, change.name, manifest)
            return
        named = kinds.identify(manifest, str(change))
        if named != (change.kind, change.namespace, change.name):
            raise InputError(str(change), f"its manifest is of {Key(change.cluster, *named)}", "name the same object twice")
        self.apply(change.cluster, manifest)

    def inverse(self, change: Object) -> Object:
        """The Object change that takes ``change`` back: apply what is there now, or delete what is not there yet."""
        before = self.get(change.cluster, change.kind, change.namespace, change.name)
        action, text = ("delete", "") if before is None else ("apply", canonical(before))
        return Object(change.cluster, action, change.kind, change.namespace, change.name, text)


def canonical(manifest: Manifest) -> str:
    """The object as JSON text with sorted keys, without what moves by itself: equal texts are equal objects."""
    metadata = {key: item for key, item in manifest.get("metadata", {}).items() if key not in _MOVING}
    return json.dumps({**manifest, "metadata": metadata}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def merge(target: object, patch: object) -> object:
    """JSON merge patch, RFC 7386 section 2: null removes a member, objects merge, everything else replaces."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def _plain(value: Any, place: str, count: list[int], depth: int = 0) -> Any:
    """A copy of JSON values, refused where it holds anything else, too many or too deep."""
    count[0] += 1
    if count[0] > _MOST_VALUES or depth > 100:
        raise InputError(place, "it is too large or too deeply nested", "an object of the API has at most about 1 MB")
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise InputError(place, f"the key {key!r} is not text", "quote it")
        return {key: _plain(item, place, count, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, place, count, depth + 1) for item in value]
    if isinstance(value, str):
        # JSON and YAML can write half of a surrogate pair; nothing can store it as UTF-8.
        if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
            raise InputError(place, f"{value!r} holds half a character", "write it whole")
        return value
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and value - value == 0):
        return value
    raise InputError(place, f"{value!r} is not a JSON value", "use text, numbers, booleans, lists and mappings")
