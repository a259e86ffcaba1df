"""``chaosnet halt``: stop runs from another terminal; their faults are undone before anything else."""

import os
import signal
import sys
from pathlib import Path

import click


@click.command(short_help="Stop runs now: undo first, then end them.")
@click.argument("run", required=False, metavar="[RUN]")
def command(run: str | None) -> None:
    """Undo every fault of the running experiments (or of RUN) at once, then end them; their verdict is inconclusive.

    Works from any terminal of the same user.  Exits 0 when everything was undone.
    """
    from chaosnet.cli.takeback import take_back
    from chaosnet.engine import runs
    from chaosnet.engine.ledger import Ledger, owner
    from chaosnet.errors import InputError
    from chaosnet.model.verdict import worst_exit

    going = [one for one in runs.running() if not run or one.run == run]
    if run and not going:
        known = ", ".join(one.run for one in runs.running()) or "none"
        raise InputError("halt", f"there is no run {run!r}", f"running are: {known}")
    codes = [0]
    ledger = Ledger()
    for one in going:
        runs.halt(Path(one.out), owner())  # first: no further fault of this run will be injected
        for ticket, words, error in take_back(list(ledger.open(one.run)), by="chaosnet halt"):
            codes.append(error.exit if error else 0)
            click.echo(f"{ticket.id} {ticket.kind}: {'NOT undone: ' if error else 'undone: '}{words}")
        try:
            os.kill(one.pid, signal.SIGTERM)
        except ProcessLookupError:
            runs.unregister(one.run)
        click.echo(f"halted {one.run}: {one.title}")
    if not going:
        click.echo("nothing is running")
    sys.exit(worst_exit(codes))
