"""``chaosnet status``: runs going on, faults not yet taken back, labs that are up.

Reads the ledger and the run register; asks no target.
"""

import json
import sys
import time
from typing import Any

import click


@click.command(short_help="Runs, open faults and labs on this machine.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def command(as_json: bool) -> None:
    """Show what is going on: runs, faults not yet taken back (with their fuses), and running labs.

    Exits 0 when nothing of ours is left open by a dead run, else 4.
    """
    document = survey()
    if as_json:
        click.echo(json.dumps(document, ensure_ascii=False))
    else:
        _tell(document)
    sys.exit(4 if document["orphans"] or document["unreadable"] else 0)


def survey() -> dict[str, Any]:
    """Everything that is open, as plain JSON; ``orphans`` are tickets whose run is dead and whose target still lives."""
    from chaosnet.engine.ledger import Ledger
    from chaosnet.engine.runs import running
    from chaosnet.targets import alive, labs

    ledger, runs = Ledger(), list(running())
    live = {run.run for run in runs}
    tickets = []
    for ticket in ledger.open():
        tickets.append(
            {
                "id": ticket.id,
                "kind": ticket.kind,
                "at": list(ticket.at),
                "owner": ticket.owner,
                "run": ticket.run,
                "target": ticket.target,
                "ref": ticket.target_ref,
                "stage": ticket.stage,
                "fuse_left": round(max(0.0, ticket.expires - time.time()), 1),
                "orphan": ticket.run not in live and alive(ticket.target, ticket.target_ref),
            }
        )
    return {
        "runs": [{"run": r.run, "pid": r.pid, "title": r.title, "out": r.out, "target": r.target, "ref": r.ref} for r in runs],
        "tickets": tickets,
        "orphans": [ticket["id"] for ticket in tickets if ticket["orphan"]],
        "unreadable": [str(path) for path in ledger.unreadable()],
        "labs": list(labs()),
    }


def _tell(document: dict[str, Any]) -> None:
    for run in document["runs"]:
        click.echo(f"run {run['run']}: {run['title']} on {run['target']} {run['ref']} (pid {run['pid']}); {run['out']}")
    for ticket in document["tickets"]:
        left = f"fuse in {ticket['fuse_left']:g} s" if ticket["fuse_left"] else "fuse over"
        mine = f"; its run is dead: chaosnet undo {ticket['id']}" if ticket["orphan"] else ""
        where = f"{ticket['target']} {ticket['ref']}"
        click.echo(f"fault {ticket['id']}: {ticket['kind']} at {', '.join(ticket['at'])} on {where}, {left}{mine}")
    for path in document["unreadable"]:
        click.echo(f"ticket {path} cannot be read; see it, then run chaosnet panic")
    for lab in document["labs"]:
        click.echo(f"lab {lab}")
    if not any(document[key] for key in ("runs", "tickets", "unreadable", "labs")):
        click.echo("nothing: no run, no open fault, no lab")
