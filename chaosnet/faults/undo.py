"""``undo``: take back what this run did.  Not a fault; it stands on the shelf so that experiments find it beside them.

It undoes one ticket, or all of the run, newest first, and may be called twice.  It does not touch what other runs did: that is
``chaosnet undo`` and ``chaosnet panic``.
"""

from typing import Any, Dict

from chaosnet.engine.session import current

__all__ = ["undo"]


def undo(ticket: str = "") -> Dict[str, Any]:
    """Take back the faults of this run, newest first; with a ticket's id, only that one.  Safe to call twice.

    Example:
        module: chaosnet.faults.undo
        func: undo
    """
    return current().undo(ticket)
