"""Residue: what differs between the snapshot before a run and the one after, and what still bears our name.

Pure.  What the network itself learned (PMTU caches, conntrack entries) is not in a target's snapshot, and so is never
residue.
"""

from collections.abc import Mapping, Sequence

_MOST = 200


def compare(before: Mapping[str, str], after: Mapping[str, str], owned: Sequence[str]) -> tuple[str, ...]:
    """One sentence for every key that differs, and for everything still owned; empty is clean."""
    lines = [f"still there: {thing}" for thing in owned]
    for key in sorted(before.keys() | after.keys()):
        was, now = before.get(key), after.get(key)
        if was != now:
            lines.append(f"{key}: was {_short(was)}, is {_short(now)}")
    return tuple(lines[:_MOST])


def _short(text: str | None) -> str:
    if text is None:
        return "absent"
    line = " ".join(text.split())
    return repr(line if len(line) <= 160 else line[:157] + "...")
