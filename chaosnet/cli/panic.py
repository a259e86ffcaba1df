"""``chaosnet panic``: remove everything of ours, everywhere on this machine, without trusting the ledger."""

import sys

import click


@click.command(short_help="Remove everything of ours, everywhere, without the ledger.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(yes: bool) -> None:
    """Remove every trace of chaosnet's faults from every running lab, by owned name, and close all tickets.

    For when undo cannot work: a lost or unreadable ledger.  Labs stay up; nothing that is not ours is touched.
    """
    from chaosnet.engine.ledger import Ledger
    from chaosnet.errors import ChaosnetError
    from chaosnet.model.verdict import worst_exit
    from chaosnet.targets import attach, labs

    if not yes and sys.stdin.isatty():
        click.confirm("Remove everything of chaosnet's from every running lab?", abort=True, err=True)
    ledger, codes = Ledger(), [0]
    for lab in labs():
        try:
            target = attach("lab", lab)
            try:
                removed = target.panic()
                left = target.owned()
            finally:
                target.close()
        except ChaosnetError as error:
            click.echo(f"{lab}: {error}", err=True)
            codes.append(error.exit)
            continue
        for thing in removed:
            click.echo(f"{lab}: removed {thing}")
        for thing in left:
            click.echo(f"{lab}: STILL THERE {thing}", err=True)
        codes.append(4 if left else 0)
    if max(codes) == 0:
        for ticket in ledger.open():
            ledger.audit("closed", ticket, by="chaosnet panic")
            ledger.remove(ticket)
        for path in ledger.unreadable():
            path.rename(path.with_suffix(".unreadable"))
        click.echo("clean: nothing of chaosnet's is left in any running lab")
    sys.exit(worst_exit(codes))
