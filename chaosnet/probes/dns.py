"""Does a name resolve, to what, and how fast, asked by a pod of its own resolver?

It does not connect to what the name resolves to: an edge with ``by: name`` does.
"""

from typing import Any, Dict

from chaosnet.engine.session import current
from chaosnet.errors import TargetError
from chaosnet.model import units
from chaosnet.model.question import Dns, DnsReply

__all__ = ["lookup", "resolves"]


def lookup(source: str, name: str, timeout: str = "2s") -> Dict[str, Any]:
    """The answer for ``name`` as the pod ``source`` gets it: rcode, addresses, seconds.

    Example::

        module: chaosnet.probes.dns
        func: lookup
        arguments: {source: test/shop/client, name: prod-svc.prod-ns.svc.prod.clusterset.local}
    """
    reply = _ask(source, name, timeout)
    return {"rcode": reply.rcode, "addresses": list(reply.addresses), "seconds": round(reply.seconds, 6)}


def resolves(source: str, name: str, to: str = "", within: str = "2s") -> bool:
    """True when ``name`` has an address (and ``to`` is among them, where given) in no more than ``within``.

    Example::

        module: chaosnet.probes.dns
        func: resolves
        arguments: {source: test/shop/client, name: cart.shop.svc.cluster.local, within: "200ms"}
    """
    limit = units.duration(within, "resolves.within")
    return resolved(_ask(source, name, within), to, limit)


def resolved(reply: DnsReply, to: str, within: float) -> bool:
    """Whether a reply is a good one: NOERROR, an address (``to``, where given), and soon enough."""
    return reply.rcode == "NOERROR" and bool(reply.addresses) and (not to or to in reply.addresses) and reply.seconds <= within


def _ask(source: str, name: str, timeout: str) -> DnsReply:
    answer = current().ask(Dns(current().site(source, "source"), name, units.duration(timeout, "timeout")))
    if not isinstance(answer, DnsReply):
        raise TargetError("the target gave no DNS answer when asked for one")
    return answer
