"""Loss, latency, duplication and order over a window, by numbered datagrams that are echoed.

Only udp and icmp edges can be streamed over.  One window says nothing of rarer loss than about three in its packets.
"""

from typing import Any, Dict

from chaosnet.engine.session import current
from chaosnet.errors import InputError, TargetError
from chaosnet.model import units
from chaosnet.model.question import Stream, Streamed

__all__ = ["latency_below", "loss_below", "stream"]


def stream(edge: str, rate: int = 100, seconds: str = "2s", size: int = 100) -> Dict[str, Any]:
    """What became of ``rate`` datagrams a second over a declared udp or icmp edge: counts, and round trips in milliseconds.

    Example::

        module: chaosnet.probes.stream
        func: stream
        arguments: {edge: metrics, rate: 100, seconds: "2s"}
    """
    seen = _ask(edge, rate, seconds, size)
    return {
        "sent": seen.sent,
        "forward": seen.forward,
        "received": seen.received,
        "loss": lost(seen),
        "duplicates": seen.duplicates,
        "out_of_order": seen.out_of_order,
        "corrupted": seen.corrupted,
        "p50_ms": round(seen.p50 * 1000, 3),
        "p95_ms": round(seen.p95 * 1000, 3),
        "p99_ms": round(seen.p99 * 1000, 3),
        "jitter_ms": round(seen.jitter * 1000, 3),
    }


def loss_below(edge: str, share: str = "1%", rate: int = 100, seconds: str = "2s") -> bool:
    """True when less than ``share`` of the datagrams stay without an echo.

    Example::

        module: chaosnet.probes.stream
        func: loss_below
        arguments: {edge: metrics, share: "1%"}
    """
    return lost(_ask(edge, rate, seconds, 100)) < units.percent(share, "loss_below.share")


def latency_below(edge: str, p95: str = "50ms", rate: int = 100, seconds: str = "2s") -> bool:
    """True when 95 of 100 round trips take less than ``p95``, and at least half of the datagrams come back at all.

    Example::

        module: chaosnet.probes.stream
        func: latency_below
        arguments: {edge: metrics, p95: "50ms"}
    """
    seen = _ask(edge, rate, seconds, 100)
    return lost(seen) < 0.5 and seen.p95 < units.duration(p95, "latency_below.p95")


def lost(seen: Streamed) -> float:
    """Share of datagrams that brought no echo back; 1.0 where none was sent."""
    return 1 - seen.received / seen.sent if seen.sent else 1.0


def _ask(edge: str, rate: int, seconds: str, size: int) -> Streamed:
    (chosen,) = current().group([edge], "edge")[:1]
    if chosen.protocol not in ("udp", "icmp"):
        raise InputError("edge", f"{edge!r} is a {chosen.protocol} edge", "stream over a udp or icmp edge")
    question = Stream(
        chosen, units.count(rate, "rate", 1, 5000), units.duration(seconds, "seconds"), units.count(size, "size", 32, 60000)
    )
    answer = current().ask(question)
    if not isinstance(answer, Streamed):
        raise TargetError("the target gave no stream figures when asked for them")
    return answer
