"""Taking tickets back from another process: shared by ``halt``, ``undo`` and ``panic``.

Opens each ticket's target by its own reference.  A lab that has ended took everything along, so its tickets are closed.
"""

from collections.abc import Iterable, Iterator

from chaosnet.engine.ledger import Ledger
from chaosnet.engine.undo import require_clean, undo_ticket
from chaosnet.errors import ChaosnetError, TargetGone
from chaosnet.model.ticket import Ticket
from chaosnet.targets import attach


def take_back(tickets: Iterable[Ticket], by: str) -> Iterator[tuple[Ticket, str, ChaosnetError | None]]:
    """Undo each ticket, newest first as given; what happened in words, and the error where it is not gone."""
    ledger = Ledger()
    for ticket in tickets:
        try:
            target = attach(ticket.target, ticket.target_ref)
        except TargetGone as gone:
            ledger.audit("closed", ticket, by=by, reason=str(gone))
            ledger.remove(ticket)
            yield ticket, f"{ticket.target} {ticket.target_ref} has ended, and everything in it", None
            continue
        except ChaosnetError as error:
            yield ticket, str(error), error
            continue
        try:
            undone = undo_ticket(target, ledger, ticket, by)
            require_clean(undone, ticket)
            yield ticket, "; ".join(undone.steps) or "nothing was in place", None
        except ChaosnetError as error:
            yield ticket, str(error), error
        finally:
            target.close()
