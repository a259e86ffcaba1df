"""``chaosnet probes``: the probes, with their arguments and examples; read from the code, so always whole."""

import click

from chaosnet.cli.catalogue import show


@click.command(short_help="The probes, with their arguments and examples.")
@click.argument("name", required=False, metavar="[NAME]")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.option("--markdown", is_flag=True, help="The table of the README.")
def command(name: str | None, as_json: bool, markdown: bool) -> None:
    """List the probes, or show NAME with its arguments and an example to paste."""
    show("probe", name, as_json, markdown)
