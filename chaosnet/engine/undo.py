"""Taking a ticket back: the one way, whoever does it: the run itself, its supervisor, or ``chaosnet undo`` next week.

Needs only the ticket and a target.  It does not measure recovery; the session does.
"""

from contextlib import suppress
from dataclasses import dataclass

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from chaosnet.engine.ledger import Ledger
from chaosnet.errors import InputError, ResidueLeft, TargetError, TargetGone
from chaosnet.model.change import say
from chaosnet.model.target import Target
from chaosnet.model.ticket import Stage, Ticket


@dataclass(frozen=True, slots=True)
class Undone:
    """What taking back did: whether the fuse had been there first, what is still in force (empty: nothing), and the steps."""

    fuse_was_first: bool
    still_there: tuple[str, ...]
    steps: tuple[str, ...]


def undo_ticket(target: Target, ledger: Ledger, ticket: Ticket, by: str) -> Undone:
    """Take ``ticket`` back by its own record, read back that nothing of it is in force, and forget it.

    Idempotent.  ``by`` goes to the audit.  A passing TargetError is tried again; the ticket stays in the ledger until
    nothing of it is in force.  A target that has ended took everything along, so its ticket is closed.  Raises TargetError
    where the target keeps refusing.
    """
    try:
        return _undo(target, ledger, ticket, by)
    except TargetGone as gone:
        ledger.audit("closed", ticket, by=by, reason=str(gone))
        ledger.remove(ticket)
        return Undone(False, (), (str(gone),))


def _undo(target: Target, ledger: Ledger, ticket: Ticket, by: str) -> Undone:
    blown = target.fuse_blown(ticket.id)
    retrying = Retrying(
        stop=stop_after_attempt(3),
        wait=wait_exponential(0.05),
        retry=retry_if_exception(_passing),
        reraise=True,
    )
    retrying(target.undo, ticket.id, ticket.undo)
    readings = [(change, target.in_force(ticket.id, change)) for change in ticket.changes]
    left = tuple(f"{say(change)}: {reading.sentence}" for change, reading in readings if reading.ok)
    with suppress(InputError):  # a full disk keeps nothing from being undone: the next fault's turn must come
        ledger.audit("undone" if not left else "undo incomplete", ticket, by=by, fuse_was_first=blown, left=list(left))
    if not left:
        with suppress(InputError):
            ledger.advance(ticket, Stage.UNDONE)
        ledger.remove(ticket)
    return Undone(blown, left, tuple(undo.say for undo in reversed(ticket.undo)))


def _passing(error: BaseException) -> bool:
    """Whether trying again may help: a target that has ended does not come back."""
    return isinstance(error, TargetError) and not isinstance(error, TargetGone)


def require_clean(undone: Undone, ticket: Ticket) -> None:
    """ResidueLeft where something of the ticket is still in force."""
    if undone.still_there:
        raise ResidueLeft(
            f"{ticket.kind} (ticket {ticket.id}) is still in force on {ticket.target} {ticket.target_ref}: "
            f"{'; '.join(undone.still_there)}; run chaosnet undo {ticket.id}, then chaosnet panic"
        )
