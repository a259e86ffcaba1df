"""Do a Service's ready pods, its EndpointSlices and every node's rules agree?

After a rollout they may differ for a moment; a difference that stays is an outage for somebody.  It sends no traffic.
"""

from typing import Any, Dict

from chaosnet.engine.session import current
from chaosnet.errors import InputError, TargetError
from chaosnet.model.question import ServiceSeen, ServiceView

__all__ = ["endpoints", "endpoints_agree"]


def endpoints(service: str) -> Dict[str, Any]:
    """What three places believe the backends of ``service`` to be: ready pods, EndpointSlices, and each node's rules.

    Example::

        module: chaosnet.probes.services
        func: endpoints
        arguments: {service: "svc:prod/prod-ns/prod-svc"}
    """
    seen = _ask(service)
    return {
        "ready": list(seen.ready),
        "endpoints": list(seen.endpoints),
        "programmed": {node: list(addresses) for node, addresses in seen.programmed},
    }


def endpoints_agree(service: str) -> bool:
    """True when ready pods, EndpointSlices and the rules of every node name the same backends, and at least one.

    Example::

        module: chaosnet.probes.services
        func: endpoints_agree
        arguments: {service: "svc:prod/prod-ns/prod-svc"}
    """
    return agree(_ask(service))


def agree(seen: ServiceSeen) -> bool:
    """Whether all three views are the same, and not empty."""
    ready = set(seen.ready)
    return bool(ready) and ready == set(seen.endpoints) and all(set(found) == ready for _, found in seen.programmed)


def _ask(service: str) -> ServiceSeen:
    site = current().site(service, "service")
    if site.kind != "service":
        raise InputError("service", f"{service!r} is not a Service", "write svc:cluster/namespace/name")
    answer = current().ask(ServiceView(site.cluster, site.namespace, site.name))
    if not isinstance(answer, ServiceSeen):
        raise TargetError("the target gave no view of the Service when asked for one")
    return answer
