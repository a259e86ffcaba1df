"""How large a packet gets through, and does anything say so when one does not?

Two measures: DF pings (what the path carries one way) and TCP payloads in both directions (what applications feel).  A
ping that passes proves little and one that fails proves less: see RFC 1191, RFC 4821 and RFC 8899.
"""

from typing import Any, Dict

from chaosnet.engine.session import current
from chaosnet.errors import InputError, TargetError
from chaosnet.model import units
from chaosnet.model.question import PathMtu, PathMtuFound

__all__ = ["path_carries", "path_mtu"]


def path_mtu(source: str, destination: str, port: int, ceiling: str = "1500") -> Dict[str, Any]:
    """Largest packet by DF ping, what ICMP told, and the largest TCP payload each way, from ``source`` to ``destination``.

    Example::

        module: chaosnet.probes.path_mtu
        func: path_mtu
        arguments: {source: test/shop/client, destination: "svc:prod/prod-ns/prod-svc", port: 8080}
    """
    found = _ask(source, destination, port, ceiling)
    return {
        "icmp": found.icmp,
        "told": found.told,
        "tcp_there": found.tcp_there,
        "tcp_back": found.tcp_back,
        "swept": list(found.swept),
    }


def path_carries(source: str, destination: str, port: int, size: str = "1500") -> bool:
    """True when packets of ``size`` bytes pass by DF ping, and TCP carries every payload swept, both ways.

    Example::

        module: chaosnet.probes.path_mtu
        func: path_carries
        arguments: {source: test/shop/client, destination: "svc:prod/prod-ns/prod-svc", port: 8080, size: "1500"}
    """
    return carries(_ask(source, destination, port, size), units.mtu(size, "path_carries.size"))


def carries(found: PathMtuFound, size: int) -> bool:
    """Whether an answer shows ``size`` byte packets and every swept payload passing both ways."""
    most = max(found.swept, default=0)
    return found.icmp >= size and found.tcp_there >= most and found.tcp_back >= most


def _ask(source: str, destination: str, port: int, ceiling: str) -> PathMtuFound:
    here, there = current().site(source, "source"), current().site(destination, "destination")
    if here.kind != "pod":
        raise InputError("source", f"{source!r} is not a pod", "a path is measured from a pod")
    answer = current().ask(PathMtu(here, there, units.port(port, "port"), units.mtu(ceiling, "size")))
    if not isinstance(answer, PathMtuFound):
        raise TargetError("the target gave no path MTU when asked for one")
    return answer
