"""``chaosnet undo``: take faults back from their tickets, whoever injected them and however that ended."""

import sys

import click

from chaosnet.errors import InputError


@click.command(short_help="Take faults back, from the ledger.")
@click.argument("ticket", required=False, metavar="[ID]")
@click.option("--all", "everything", is_flag=True, help="Every open ticket.")
def command(ticket: str | None, everything: bool) -> None:
    """Take back the fault with ticket ID, or with --all every open one.  Safe to repeat.

    \b
    Examples:
      chaosnet status
      chaosnet undo k3v9x0q2ab
      chaosnet undo --all
    """
    from chaosnet.cli.takeback import take_back
    from chaosnet.engine.ledger import Ledger
    from chaosnet.model.verdict import worst_exit

    if bool(ticket) == everything:
        raise InputError("undo", "name one ticket, or all of them", "chaosnet undo ID, or chaosnet undo --all")
    ledger = Ledger()
    chosen = list(ledger.open()) if ticket is None else [ledger.read(ticket)]
    codes = [0]
    for one, words, error in take_back(chosen, by="chaosnet undo"):
        codes.append(error.exit if error else 0)
        click.echo(f"{one.id} {one.kind}: {'NOT undone: ' if error else 'undone: '}{words}")
    if not chosen:
        click.echo("nothing to undo")
    sys.exit(worst_exit(codes))
