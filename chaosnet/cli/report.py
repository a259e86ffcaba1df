"""``chaosnet report``: render a run's folder again, in any format on the shelf.

Reads ``run.json`` and writes files or standard output; judges nothing anew.  The formats are in :mod:`chaosnet.report`.
"""

from pathlib import Path

import click

from chaosnet.errors import InputError


def _known(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    from chaosnet.report import shelf

    for value in values:
        shelf.load(value)
    return values


@click.command(short_help="Write or read the report of a run.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--format", "wanted", multiple=True, callback=_known, metavar="NAME",
    help="html, json, junit, markdown, svg or text; may be repeated [default: all but text].",
)  # fmt: skip
@click.option(
    "--output", default="", metavar="PATH",
    help="A file for one format, a folder for several, - for standard output [default: into DIR].",
)  # fmt: skip
def command(folder: Path, wanted: tuple[str, ...], output: str) -> None:
    """Render the run in DIR (or its run.json) again; without options, also show its end here.

    \b
    Examples:
      chaosnet report chaosnet-runs/20260314-092653-mtu-black-hole-5f0c
      chaosnet report chaosnet-runs/... --format markdown --output -
      chaosnet report chaosnet-runs/... --format svg --output docs/timeline.svg
    """
    from chaosnet.report import shelf

    record = shelf.read(folder)
    if output == "-" or (output and len(wanted) == 1 and not Path(output).is_dir()):
        if len(wanted) != 1:
            raise InputError("--output", f"{output!r} takes one document", "give --format once")
        text = shelf.load(wanted[0]).render(record)
        if output == "-":
            click.echo(text, nl=False)
        else:
            click.echo(shelf.save(Path(output), text))
        return
    if not (wanted or output):
        from chaosnet.report import terminal

        terminal.show(folder)
    into = Path(output) if output else folder if folder.is_dir() else folder.parent
    for path in shelf.render(record, wanted or shelf.USUAL, into):
        click.echo(path)
