"""What ``chaosnet faults`` and ``chaosnet probes`` share: a shelf as a table, or one entry with its example."""

import json
from dataclasses import asdict
from difflib import get_close_matches

import click

from chaosnet import catalogue
from chaosnet.catalogue import Entry
from chaosnet.errors import InputError


def show(kind: str, name: str | None, as_json: bool, markdown: bool) -> None:
    """Print a shelf, or the one entry of it called ``name``; InputError with the nearest name where there is none."""
    entries = catalogue.entries(kind)
    if name is not None:
        chosen = [entry for entry in entries if name in (entry.name, f"{entry.module}.{entry.name}")]
        if not chosen:
            near = get_close_matches(name, [entry.name for entry in entries], 1)
            remedy = f"did you mean {near[0]!r}?" if near else f"see chaosnet {kind}s"
            raise InputError(f"{kind}s", f"there is no {kind} {name!r}", remedy)
        entries = tuple(chosen)
    if as_json:
        click.echo(json.dumps([asdict(entry) | {"activity": catalogue.activity(entry)} for entry in entries], ensure_ascii=False))
    elif markdown:
        click.echo(catalogue.markdown(kind), nl=False)
    elif name is not None:
        _one(entries[0])
    else:
        _all(kind, entries)


def _all(kind: str, entries: tuple[Entry, ...]) -> None:
    module = ""
    for entry in entries:
        if entry.module != module:
            module = entry.module
            click.secho(f"{module}", bold=True)
        click.echo(f"  {entry.name:<22}{entry.sentence}")
    click.echo(f"\nArguments and an example:  chaosnet {kind}s {entries[0].name if entries else 'NAME'}")


def _one(entry: Entry) -> None:
    click.secho(entry.name, bold=True)
    click.echo(entry.sentence)
    if entry.details:
        click.echo(f"\n{entry.details}")
    click.echo("\nArguments:")
    width = max((len(argument.name) for argument in entry.arguments), default=0)
    for argument in entry.arguments:
        default = "required" if argument.default is None else f"default {argument.default}"
        click.echo(f"  {argument.name:<{width}}  {argument.type:<5} {default}")
    if not entry.arguments:
        click.echo("  none")
    click.echo("\nIn an experiment:\n")
    click.echo("\n".join(f"  {line}" for line in catalogue.activity(entry).splitlines()))
    click.echo(f"\n{entry.about}")
