"""Reverse proxies of the lab: which pods run one, and HAProxy's file for each.

A pod with the annotation ``chaosnet.io/proxy: namespace/name:port`` runs a real HAProxy on its TCP ports, in front of that
Service's address.  A backend that cannot be reached is HTTP 503, HAProxy's own answer, as any ingress gives it.  Every request
makes a new connection to the Service, so that what a policy does to new flows is seen at once.  Plain HTTP only; no TLS.
"""

import ipaddress

from chaosnet.lab import kinds
from chaosnet.lab.objects import Store

# Shorter than the second that an attempt over an edge is given, so that the 503 is seen and not the silence behind it.
_CONNECT = "250ms"


def configurations(store: Store) -> dict[str, str]:
    """HAProxy's file for every pod that runs one, by the pod's network namespace.

    InputError where the annotation names no Service, or one without an address.
    """
    found = {}
    for cluster in store.clusters:
        for pod in store.list(cluster, "Pod"):
            metadata, address = pod["metadata"], (pod.get("status") or {}).get("podIP")
            wanted = (metadata.get("annotations") or {}).get(kinds.PROXY)
            if not wanted or not address:
                continue
            name = f"{cluster}/{metadata['namespace']}/{metadata['name']}"
            service_namespace, service, port = kinds.proxy_backend(wanted, f"Pod {name}: {kinds.PROXY}")
            spec = store.want(cluster, "Service", service_namespace, service)["spec"]
            backend = kinds.address(spec.get("clusterIP"), f"Pod {name}: {kinds.PROXY}: clusterIP of {service}")
            found[name] = render(address, _ports(pod["spec"].get("containers") or ()), backend, port)
    return found


def _ports(containers: object) -> tuple[int, ...]:
    entries = [port for container in containers for port in container.get("ports") or ()]  # type: ignore[attr-defined]
    return tuple(sorted({int(port["containerPort"]) for port in entries if (port.get("protocol") or "TCP") == "TCP"}))


def render(address: str, ports: tuple[int, ...], backend: str, port: int) -> str:
    """HAProxy's file: listen on ``ports`` of ``address``, pass on to ``port`` of ``backend``."""
    own = ipaddress.IPv4Address(address)
    return "\n".join(
        (
            "global",
            "    nbthread 1",
            "    maxconn 500",
            "defaults",
            "    mode http",
            f"    timeout connect {_CONNECT}",
            "    timeout client 10s",
            "    timeout server 10s",
            "    retries 0",
            "    http-reuse never",
            "    option http-server-close",
            "frontend users",
            *(f"    bind {own}:{int(each)}" for each in ports),
            "    default_backend service",
            "backend service",
            f"    server service {ipaddress.IPv4Address(backend)}:{int(port)}",
            "",
        )
    )
