"""Are the BGP sessions up, are the routes there, and how long did it take?

Asks the speakers themselves and the kernels' route tables.  A session that is Established proves no traffic: use the edges.
"""

import ipaddress
import time
from typing import Any, Dict, List

from chaosnet.engine.session import current
from chaosnet.errors import InputError, TargetError
from chaosnet.model import units
from chaosnet.model.question import Bgp, BgpSession, BgpState, Routes, RouteTable

__all__ = ["convergence_time", "routes_present", "sessions", "sessions_established"]

_POLL = 0.1


def sessions(at: str = "") -> List[Dict[str, Any]]:
    """Every BGP session of the speakers at ``at`` (a node, with ``*``; empty: all of them).

    Example::

        module: chaosnet.probes.bgp
        func: sessions
        arguments: {at: "node:test/*"}
    """
    return [
        {
            "speaker": session.speaker,
            "neighbor": session.neighbor,
            "state": session.state,
            "since": session.since,
            "imported": session.imported,
            "hold_time": session.hold_time,
        }
        for session in _sessions(at)
    ]


def sessions_established(at: str = "") -> bool:
    """True when every BGP session there is Established (RFC 4271), and there is at least one.

    Example::

        module: chaosnet.probes.bgp
        func: sessions_established
        arguments: {at: "node:test/*"}
    """
    seen = _sessions(at)
    return bool(seen) and all(session.established for session in seen)


def routes_present(at: str, prefixes: List[str]) -> bool:
    """True when each of ``prefixes`` has a route learned by BGP at every node that ``at`` means.

    Example::

        module: chaosnet.probes.bgp
        func: routes_present
        arguments: {at: "node:test/test-1", prefixes: [10.1.1.0/24, 10.96.1.123/32]}
    """
    if not prefixes or not isinstance(prefixes, list):
        raise InputError("routes_present.prefixes", f"{prefixes!r} names no prefix", "list at least one")
    wanted = {_prefix(text) for text in prefixes}
    for site in current().sites(at, "routes_present.at"):
        answer = current().ask(Routes(site, "bird"))
        if not isinstance(answer, RouteTable):
            raise TargetError("the target gave no routes when asked for them")
        if not wanted <= {_prefix(route.destination) for route in answer.routes}:
            return False
    return True


def convergence_time(at: str = "", within: str = "30s") -> float:
    """Seconds from now until every session there is Established; raises TargetError when it takes longer than ``within``.

    Example::

        module: chaosnet.probes.bgp
        func: convergence_time
        arguments: {within: "30s"}
        # tolerance: [0, 30]
    """
    start = time.monotonic()
    limit = units.duration(within, "convergence_time.within")
    while True:
        if sessions_established(at):
            return round(time.monotonic() - start, 3)
        if time.monotonic() - start > limit:
            down = ", ".join(f"{s.speaker}-{s.neighbor} is {s.state}" for s in _sessions(at) if not s.established)
            raise TargetError(f"BGP has not converged within {within}: {down or 'there is no session'}")
        time.sleep(_POLL)


def _prefix(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except (ValueError, TypeError):
        raise InputError("routes_present.prefixes", f"{text!r} is not a prefix", "write it like 10.1.1.0/24") from None


def _sessions(at: str) -> "tuple[BgpSession, ...]":
    sites = current().sites(at, "at") if at else ()
    answer = current().ask(Bgp(sites))
    if not isinstance(answer, BgpState):
        raise TargetError("the target gave no BGP sessions when asked for them")
    return answer.sessions
