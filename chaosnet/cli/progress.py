"""A run's events as lines for people, on standard error, as they happen.

Words and times only; what they mean for the verdict is not said before the verdict.
"""

import sys
from collections.abc import Mapping
from typing import Any

_WORDS = {
    "opened": "target {target} {ref}",
    "ready": "the network is ready; watching {edges} edges, {declared} of them declared",
    "baseline": "baseline: the declared edges are as they must be",
    "recorded": "{kind}: undo written down ({fault})",
    "armed": "fuse armed: {fuse}",
    "inject": "injecting {kind}",
    "in force": "in force, read back",
    "effect": "{mark} {name}: {sentence}",
    "proven": "effect proven",
    "effect lost": "effect lost: {sentence}",
    "warning": "warning: {sentence}",
    "not injected": "not injected: {sentence}",
    "undo": "undoing {kind} ({by})",
    "undone": "undone, read back",
    "recovered": "every edge is back",
    "clean": "clean: nothing differs from before",
    "residue": "residue: {left}",
    "not recovered": "not recovered: {edges}",
}


def line(event: Mapping[str, Any]) -> str:
    """One event as a line with its time, or empty where people need not see it."""
    kind = str(event.get("event"))
    if kind == "hypothesis":
        text = f"hypothesis {event.get('when')} the fault: {'holds' if event.get('met') else 'does not hold'}"
    elif kind in _WORDS:
        fields = {key: ", ".join(map(str, value)) if isinstance(value, list) else value for key, value in event.items()}
        fields["mark"] = "seen" if event.get("ok") else "NOT seen"
        text = _WORDS[kind].format_map(fields)
    else:
        return ""
    printable = "".join(c if c.isprintable() else "?" for c in text)
    return f"{float(event.get('t', 0)):8.3f} s  {printable}"


def show(event: Mapping[str, Any]) -> None:
    """Print one event, where it has something for people."""
    text = line(event)
    if text:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
