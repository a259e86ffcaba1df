"""The business figure: of steady requests, how many succeed, and how long do they take?

Requests start on a fixed clock, whether or not earlier ones have ended, and latency counts from the intended start: a
stalled service cannot slow the questions down and look good (coordinated omission).
"""

from typing import Any, Dict

from chaosnet.engine.session import current
from chaosnet.errors import InputError, TargetError
from chaosnet.model import units
from chaosnet.model.question import Load, Loaded

__all__ = ["load", "service_level"]


def load(edge: str, rate: int = 50, seconds: str = "5s", timeout: str = "1s") -> Dict[str, Any]:
    """Success rate, outcomes and latency percentiles (milliseconds) of ``rate`` requests a second over a declared edge.

    Example::

        module: chaosnet.probes.load
        func: load
        arguments: {edge: orders, rate: 50, seconds: "5s"}
    """
    seen = _ask(edge, rate, seconds, timeout)
    return {
        "requests": seen.requests,
        "succeeded": seen.succeeded,
        "success": round(seen.succeeded / seen.requests, 4) if seen.requests else 0.0,
        "outcomes": dict(seen.outcomes),
        "p50_ms": round(seen.p50 * 1000, 3),
        "p95_ms": round(seen.p95 * 1000, 3),
        "p99_ms": round(seen.p99 * 1000, 3),
    }


def service_level(
    edge: str, success: str = "99%", p95: str = "500ms", rate: int = 50, seconds: str = "5s", timeout: str = "1s"
) -> bool:
    """True when at least ``success`` of the requests succeed and 95 of 100 successes take less than ``p95``.

    Example::

        module: chaosnet.probes.load
        func: service_level
        arguments: {edge: orders, success: "99%", p95: "500ms"}
    """
    seen = _ask(edge, rate, seconds, timeout)
    return meets(seen, units.percent(success, "service_level.success"), units.duration(p95, "service_level.p95"))


def meets(seen: Loaded, success: float, p95: float) -> bool:
    """Whether the figures meet the level; no request at all meets none."""
    return seen.requests > 0 and seen.succeeded >= success * seen.requests and seen.p95 < p95


def _ask(edge: str, rate: int, seconds: str, timeout: str) -> Loaded:
    (chosen,) = current().group([edge], "edge")[:1]
    if chosen.protocol in ("bgp", "icmp"):
        raise InputError("edge", f"{edge!r} is a {chosen.protocol} edge", "load an http, tcp, udp or dns edge")
    answer = current().ask(
        Load(
            chosen,
            units.count(rate, "rate", 1, 2000),
            units.duration(seconds, "seconds"),
            units.duration(timeout, "timeout"),
        )
    )
    if not isinstance(answer, Loaded):
        raise TargetError("the target gave no load figures when asked for them")
    return answer
