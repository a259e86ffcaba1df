"""What exists while changes are in force: objects as patched, pods as their controllers then want them, policies, names.

The controllers, the policy engine and DNS are the lab's own rooms; here they are only asked for one moment.  Nothing here
knows of packets or time.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from chaosnet.lab import census, controllers, dns
from chaosnet.lab.kinds import PROXY, proxy_backend
from chaosnet.lab.objects import Store
from chaosnet.model.change import DaemonState, Object
from chaosnet.model.inventory import Inventory, Service
from chaosnet.policy import world as policy
from chaosnet.targets.memory.state import Active
from chaosnet.targets.memory.world import World

_NOT_READY = {"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}


@dataclass(frozen=True, slots=True)
class Present:
    """One moment.  ``listeners`` are (protocol, port) by address, ``names`` the records of each cluster's DNS server.

    ``objects`` is every API object's canonical text by its name; ``programmed`` the Services as nodes whose kube-proxy is
    stopped still have them; ``ready`` the ready pods that a Service selects; ``proxies`` the address, protocol and port that
    pods with a reverse proxy pass requests on to.
    """

    inventory: Inventory
    policies: policy.World
    listeners: Mapping[str, frozenset[tuple[str, int]]]
    names: Mapping[str, Mapping[str, tuple[str, ...]]]
    objects: Mapping[str, str]
    programmed: tuple[Service, ...]
    ready: Mapping[tuple[str, str, str], tuple[str, ...]]
    proxies: Mapping[str, tuple[str, str, int]]

    def selected(self, service: tuple[str, str, str]) -> tuple[str, ...]:
        """The addresses of the ready pods that a Service (cluster, namespace, name) selects, by the pods' own state."""
        return self.ready.get(service, ())


def stored(world: World, active: Sequence[Active] = ()) -> Store:
    """The objects with the active changes made and the controllers' answer to them.

    InputError where an Object change cannot be made on what is there.
    """
    store = Store()
    for cluster, text in world.objects:
        store.apply(cluster, json.loads(text))
    late: set[str] = set()
    for one in active:
        change = one.change
        if isinstance(change, Object):
            store.make(change)
        elif isinstance(change, DaemonState) and change.daemon == "node":
            store.patch(change.site.cluster, "Node", "", change.site.name, _NOT_READY)
        elif isinstance(change, DaemonState) and change.daemon == "endpoints":
            late.add(change.site.cluster)
    if active:
        for cluster in store.clusters:
            controllers.run(store, cluster, endpoints=cluster not in late)
    return store


def present(world: World, active: Sequence[Active] = ()) -> Present:
    """What exists while ``active`` is in force."""
    store = stored(world, active)
    changes = [one.change for one in active]
    stops = {(c.daemon, c.site.cluster, c.site.name) for c in changes if isinstance(c, DaemonState) and c.site.kind == "node"}
    nodes = tuple(
        replace(
            node,
            ready=("node", node.cluster, node.name) not in stops,
            enforces=node.enforces and ("policy", node.cluster, node.name) not in stops,
        )
        for node in world.nodes
    )
    services = census.services(store)
    inventory = Inventory(tuple(world.domains), nodes, census.pods(store), services, world.links)
    listeners: dict[str, set[tuple[str, int]]] = {}
    for item in store.list("", "Pod"):
        for container in item["spec"].get("containers") or ():
            for port in container.get("ports") or ():
                pair = ((port.get("protocol") or "TCP").lower(), port["containerPort"])
                listeners.setdefault((item.get("status") or {}).get("podIP", ""), set()).add(pair)
    for node in nodes:
        for address in node.addresses:
            listeners.setdefault(address, set()).add(("tcp", 179))
    names: dict[str, dict[str, tuple[str, ...]]] = {}
    for cluster, domain in world.domains.items():
        known = names.setdefault(cluster, {})
        for name, address in dns.records(store, cluster, domain):
            known[name] = (*known.get(name, ()), address)
    return Present(
        inventory=inventory,
        policies=policy.build(store.items()),
        listeners={address: frozenset(pairs) for address, pairs in listeners.items()},
        names=names,
        objects=store.snapshot(),
        programmed=census.services(stored(world)) if any(daemon == "kube-proxy" for daemon, _, _ in stops) else services,
        ready=_ready(store, inventory),
        proxies=_proxies(store),
    )


def _proxies(store: Store) -> dict[str, tuple[str, str, int]]:
    """What the pods that are reverse proxies stand in front of."""
    found = {}
    for cluster in store.clusters:
        for pod in store.list(cluster, "Pod"):
            metadata = pod["metadata"]
            if wanted := (metadata.get("annotations") or {}).get(PROXY):
                namespace, name, port = proxy_backend(wanted, PROXY)
                service = store.get(cluster, "Service", namespace, name)
                if service is not None and service["spec"].get("clusterIP"):
                    address = str(service["spec"]["clusterIP"])
                    found[f"pod:{cluster}/{metadata['namespace']}/{metadata['name']}"] = (address, "tcp", port)
    return found


def _ready(store: Store, inventory: Inventory) -> dict[tuple[str, str, str], tuple[str, ...]]:
    found: dict[tuple[str, str, str], tuple[str, ...]] = {}
    for cluster in store.clusters:
        for item in store.list(cluster, "Service"):
            selector, metadata = (item["spec"].get("selector") or {}).items(), item["metadata"]
            found[cluster, metadata["namespace"], metadata["name"]] = tuple(
                address
                for pod in inventory.pods
                if (pod.cluster, pod.namespace) == (cluster, metadata["namespace"])
                and pod.ready
                and selector
                and selector <= dict(pod.labels).items()
                for address in pod.addresses
            )
    return found
