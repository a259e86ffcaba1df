"""How full is a node's connection tracking table?

A full table drops new connections at random while everything established goes on.  It does not list the entries.
"""

from typing import Any, Dict

from chaosnet.engine.session import current
from chaosnet.errors import TargetError
from chaosnet.model import units
from chaosnet.model.question import Conntrack, ConntrackUse

__all__ = ["conntrack", "conntrack_below"]


def conntrack(at: str) -> Dict[str, Any]:
    """Entries, limit and refusals of connection tracking at ``at``; ``stand_in`` names what enforces the limit instead.

    Example::

        module: chaosnet.probes.conntrack
        func: conntrack
        arguments: {at: "node:prod/prod-1"}
    """
    use = _ask(at)
    return {"used": use.used, "limit": use.limit, "dropped": use.dropped, "stand_in": use.stand_in}


def conntrack_below(at: str, share: str = "80%") -> bool:
    """True when less than ``share`` of the table is in use and nothing was refused for lack of room.

    Example::

        module: chaosnet.probes.conntrack
        func: conntrack_below
        arguments: {at: "node:prod/prod-1", share: "80%"}
    """
    return below(_ask(at), units.percent(share, "conntrack_below.share"))


def below(use: ConntrackUse, share: float) -> bool:
    """Whether the table has room: under ``share`` of its limit, nothing dropped."""
    return use.dropped == 0 and use.limit > 0 and use.used < share * use.limit


def _ask(at: str) -> ConntrackUse:
    answer = current().ask(Conntrack(current().site(at, "at")))
    if not isinstance(answer, ConntrackUse):
        raise TargetError("the target gave no connection tracking figures when asked for them")
    return answer
