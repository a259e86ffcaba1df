"""Everything that chaostoolkit would let pass: mistakes in experiments, topologies and manifests, found before a run.

:func:`problems` finds them all, a sentence each; :func:`first_problem` is what a run asks before it touches anything.  Files
are read and doors are called in a session that can neither touch nor ask; no target is opened and nothing is changed.

What it does not do: judge whether an experiment is a good one, or look at a live network (``chaosnet plan`` does).
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chaosnet.errors import InputError
from chaosnet.validate.source import Problem, Source, read

__all__ = ["Problem", "first_problem", "load", "problems"]


def problems(file: str, lab: str | None = "") -> tuple[Problem, ...]:
    """Everything wrong with a file, by line.

    ``lab`` is a topology file to hold an experiment against in place of its own; None holds it against no network at all.
    """
    source = read(file)
    if source.document is not None:
        _check(source, lab)
    return tuple(sorted(source.problems, key=lambda each: each.line))


def first_problem(file: str, target: str = "lab", lab: str = "") -> str:
    """The title of an experiment that is valid for ``target`` and ``lab``, as ``chaosnet run`` takes them.

    InputError with the first problem of one that is not, and how many more there are.
    """
    # Where the network is known only while it runs (a cluster, a lab that is up), endpoints are resolved when it is opened.
    named = os.environ.get("CHAOSNET_LAB") or lab
    unknown = target == "kubernetes" or (named and not Path(named).is_file() and not named.endswith((".yaml", ".yml")))
    found = problems(file, None if unknown else named)
    if found:
        first = found[0]
        place = f"{first.file} line {first.line}" if first.line else first.file
        more = f" (and {len(found) - 1} more: chaosnet validate {file})" if len(found) > 1 else ""
        raise InputError(f"{place}: {first.path}" if first.path else place, first.problem, f"{first.remedy}{more}")
    document = load(file)
    if "method" not in document:
        raise InputError(file, "this is a lab's file, not an experiment", "give a file with a title and a method")
    return str(document["title"])


def load(file: str) -> dict[str, Any]:
    """The experiment in a file as plain values; InputError where it cannot be read."""
    source = read(file)
    if not isinstance(source.document, dict):
        raise InputError(file, source.problems[0].problem if source.problems else "is not an experiment", "check the file")
    return source.document


def _check(source: Source, lab: str | None) -> None:
    from chaosnet.validate import labs

    document = source.document
    if isinstance(document, Mapping) and "clusters" in document and "method" not in document:
        labs.topology(source)
    elif isinstance(document, Mapping) and ("apiVersion" in document or "kind" in document):
        labs.manifests(source)
    else:
        from chaosnet.validate import experiment

        experiment.check(source, lab)
