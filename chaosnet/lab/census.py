"""Objects of the store as the model's typed pods and Services, for inventories, Service rules and DNS.

Read-only.  What is ready and who backs a Service is taken from the objects as controllers left them: a slice that is stale
in the store is stale here.
"""

from dataclasses import dataclass

from chaosnet.lab.controllers import SERVICE_NAME, is_ready, workload
from chaosnet.lab.kinds import Manifest
from chaosnet.lab.objects import Store
from chaosnet.model.inventory import Pod, Service, ServicePort


@dataclass(frozen=True, slots=True)
class Backend:
    """One endpoint of one Service port: where traffic goes, and the node it is on (empty: unknown)."""

    address: str
    port: int
    node: str
    ready: bool = True


def pods(store: Store, cluster: str = "") -> tuple[Pod, ...]:
    """The pods that have an address and did not end."""
    found = []
    for name in (cluster,) if cluster else store.clusters:
        for item in store.list(name, "Pod"):
            metadata, spec, status = item["metadata"], item["spec"], item.get("status") or {}
            if not status.get("podIP") or status.get("phase") in ("Succeeded", "Failed"):
                continue
            found.append(
                Pod(
                    cluster=name,
                    namespace=metadata["namespace"],
                    name=metadata["name"],
                    node=spec.get("nodeName", ""),
                    addresses=(status["podIP"],),
                    labels=tuple(sorted((metadata.get("labels") or {}).items())),
                    workload=workload(store, name, item)[1] or metadata["name"],
                    ready=is_ready(store, name, item),
                    host_network=bool(spec.get("hostNetwork")),
                )
            )
    return tuple(found)


def backends(store: Store, cluster: str, service: Manifest) -> dict[str, tuple[Backend, ...]]:
    """The endpoints of each of a Service's ports, by the port's name, in the slices' order.  Not ready ones are among them."""
    metadata = service["metadata"]
    found: dict[str, dict[Backend, None]] = {}
    for item in store.list(cluster, "EndpointSlice", metadata["namespace"]):
        if (item["metadata"].get("labels") or {}).get(SERVICE_NAME) != metadata["name"] or item["addressType"] != "IPv4":
            continue
        for port in item.get("ports") or ():
            for endpoint in item.get("endpoints") or ():
                # A missing condition means ready (discovery.k8s.io/v1 API reference).
                ready = (endpoint.get("conditions") or {}).get("ready") is not False
                for address in endpoint.get("addresses") or ():
                    backend = Backend(address, port["port"], endpoint.get("nodeName") or "", ready)
                    found.setdefault(port.get("name") or "", {})[backend] = None
    return {name: tuple(each) for name, each in found.items()}


def services(store: Store, cluster: str = "") -> tuple[Service, ...]:
    """The Services with a selector or endpoints; a headless one has no addresses of its own."""
    found = []
    for name in (cluster,) if cluster else store.clusters:
        for item in store.list(name, "Service"):
            spec, behind = item["spec"], backends(store, name, item)
            if spec.get("type") == "ExternalName":
                continue
            address = spec.get("clusterIP") or "None"
            ports = tuple(
                ServicePort(port["port"], _target(port, behind), (port.get("protocol") or "TCP").lower(), port.get("name") or "")
                for port in spec.get("ports") or ()
            )
            ready = dict.fromkeys(each.address for group in behind.values() for each in group if each.ready)
            addresses = () if address == "None" else (address,)
            metadata = item["metadata"]
            found.append(Service(name, metadata["namespace"], metadata["name"], addresses, ports, tuple(ready)))
    return tuple(found)


def _target(port: Manifest, behind: dict[str, tuple[Backend, ...]]) -> int:
    known = [each.port for each in behind.get(port.get("name") or "", ())]
    target = port.get("targetPort") or port["port"]
    return known[0] if known else target if isinstance(target, int) else port["port"]
