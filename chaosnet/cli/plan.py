"""``chaosnet plan``: what an experiment would change, where, and what should break; touches nothing.

Calls the method's own doors in a rehearsal session, so the plan cannot differ from the deed.
"""

import importlib
import json
import sys
from collections.abc import Iterator
from typing import Any

import click

from chaosnet.errors import InputError


@click.command(short_help="What an experiment would change; touches nothing.")
@click.argument("file", metavar="FILE")
@click.option("--target", type=click.Choice(["lab", "memory", "kubernetes"]), default="lab", show_default=True)
@click.option("--lab", default="", metavar="FILE|NAME", help="A topology file, or the name of a running lab.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def command(file: str, target: str, lab: str, as_json: bool) -> None:
    """Show what FILE would do: each change and its undo, the effects to be proven, the edges that should break.

    \b
    Example:
      chaosnet plan experiments/incidents/mtu-black-hole.yaml
    """
    from chaosnet.engine import session as sessions
    from chaosnet.engine.experiment import parse_spec
    from chaosnet.engine.rehearse import expectations, rehearse
    from chaosnet.targets import open_target
    from chaosnet.validate import first_problem, load

    first_problem(file, target, lab)
    experiment = load(file)
    place = open_target(target, lab=lab or parse_spec(experiment, file).lab)
    try:
        rehearsal = rehearse(place, experiment, file)
        sessions.make_current(rehearsal)
        for name, function, arguments in _faults(experiment):
            try:
                function(**arguments)
            except TypeError as error:
                raise InputError(f"{file}: {name}", str(error), "see chaosnet faults") from None
        document = {
            "experiment": {"title": rehearsal.about.title, "file": file},
            "target": {"name": place.name, "ref": place.ref},
            "faults": rehearsal.plans,
            "edges": expectations(rehearsal.watching),
        }
    finally:
        sessions.make_current(None)
        place.close()
    if as_json:
        click.echo(json.dumps(document, ensure_ascii=False))
    else:
        for text in lines(document):
            click.echo(text)
    sys.exit(0)


def _faults(experiment: dict[str, Any]) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """The chaosnet actions of the method: name, door, arguments with the configuration put in."""
    from chaoslib import substitute
    from chaoslib.configuration import load_configuration

    configuration = load_configuration(experiment.get("configuration") or {})
    for activity in experiment.get("method") or ():
        provider = activity.get("provider") or {}
        if activity.get("type") == "action" and str(provider.get("module", "")).startswith("chaosnet.faults."):
            door = getattr(importlib.import_module(provider["module"]), provider["func"])
            yield activity.get("name", ""), door, substitute(dict(provider.get("arguments") or {}), configuration, {})


def lines(document: dict[str, Any]) -> Iterator[str]:
    """The plan for people."""
    where = document["target"]
    yield f"{document['experiment']['title']}"
    yield f"on {where['name']} {where['ref']}; nothing is touched by this plan"
    for fault in document["faults"]:
        yield ""
        yield f"{fault['kind']} at {', '.join(fault['at'])}, fuse {fault['fuse']:g} s"
        for change, undo in zip(fault["changes"], fault["undo"], strict=True):
            yield f"  change   {change}"
            yield f"  undo     {undo}"
        for effect in fault["effects"]:
            yield f"  prove    {effect}"
        yield f"  flows    established: {fault['established']}; new: {fault['fresh']}"
        touched = [f"{len(fault[what])} {what if len(fault[what]) != 1 else what[:-1]}" for what in ("pods", "nodes")]
        yield f"  touches  {', '.join(touched)}"
        for warning in fault["warnings"]:
            yield f"  warning  {warning}"
    yield ""
    edges = document["edges"]
    for word, meaning in (("break", "must break"), ("open", "must open"), ("shut", "must stay shut"), ("may", "may change")):
        if edges[word]:
            yield f"{meaning}: {', '.join(edges[word])}"
    yield f"must hold: {len(edges['hold'])} watched edges; any that changes is collateral"
