"""The roles that run on nodes, routers and pods, and what it means that one is stopped.

``bird`` and ``dns`` are processes.  ``kube-proxy``, ``policy``, ``cni`` and ``endpoints`` are what the keeper does in their
place: stopped, it does it no longer.  ``node`` is all of a node: its cable is unplugged, nothing passes, its speaker dies
without a goodbye, and the API server calls it not ready.  Starting a role again leaves everything as it was before.
"""

from typing import TYPE_CHECKING

from chaosnet.errors import Unsupported
from chaosnet.lab.blueprint import port_name
from chaosnet.model.inventory import Site
from chaosnet.targets.lab import netlink
from chaosnet.targets.lab.namespaces import site_namespace

if TYPE_CHECKING:
    from chaosnet.targets.lab.lab import Lab

_STOPPED = "lab_stopped"
# Before connection tracking and everything else (nft(8): raw is -300).
_NOTHING_PASSES = (
    f"table inet {_STOPPED} {{\n"
    "chain arriving { type filter hook prerouting priority -400; policy drop; }\n"
    "chain leaving { type filter hook output priority -400; policy drop; }\n}"
)
_NOT_READY = [{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}]


class Daemons:
    """Starts, stops and tells the state of roles in one lab."""

    def __init__(self, lab: "Lab") -> None:
        self._lab = lab
        #: (where, role) that are stopped; where is a namespace, or a cluster for endpoints.
        self._stopped: set[tuple[str, str]] = set()

    def roles(self, site: Site) -> tuple[str, ...]:
        """The roles that a site has, whether they run or not."""
        if site.kind == "router":
            return ("bird", "node")
        if site.kind == "pod":
            return ("dns",) if site_namespace(site) in self._lab.names.pods else ()
        if site.kind != "node":
            return ()
        found = ["bird", "kube-proxy", "cni", "endpoints", "node"]
        if self._lab.topology.node(site.cluster, site.name).enforces:
            found.append("policy")
        if self._dns_pods(site):
            found.append("dns")
        return tuple(found)

    def state(self, site: Site) -> dict[str, bool]:
        """Role → whether it runs at ``site``."""
        return {role: self.running(site, role) for role in self.roles(site)}

    def running(self, site: Site, role: str) -> bool:
        """Whether a role runs at ``site``."""
        name = site_namespace(site)
        if role == "bird":
            return self._lab.routing.running(name)
        if role == "dns":
            return all(self._lab.names.running(pod) for pod in self._dns_pods(site))
        return self.on(site.cluster if role == "endpoints" else name, role)

    def on(self, where: str, role: str) -> bool:
        """Whether a role that the keeper plays goes on at a namespace (a cluster, for endpoints)."""
        return (where, role) not in self._stopped

    def stop(self, site: Site, role: str) -> None:
        """Stop a role; nothing happens where it is stopped.  Unsupported where the site has no such role."""
        name = self._check(site, role)
        if role == "bird":
            self._lab.routing.stop(name)
            self._stopped.add((name, "bird"))
        elif role == "dns":
            for pod in self._dns_pods(site):
                self._lab.names.stop(pod)
        elif (key := (site.cluster if role == "endpoints" else name, role)) not in self._stopped:
            self._stopped.add(key)
            if role == "policy":
                self._lab.reconcile("policies are enforced no more")
            elif role == "node":
                self._halt(site, name)

    def start(self, site: Site, role: str) -> None:
        """Start a role again; nothing happens where it runs."""
        name = self._check(site, role)
        if role == "bird":
            self._stopped.discard((name, "bird"))
            if self.on(name, "node"):
                self._lab.routing.start(name)
        elif role == "dns":
            for pod in self._dns_pods(site):
                self._lab.names.start(pod)
        elif (key := (site.cluster if role == "endpoints" else name, role)) in self._stopped:
            self._stopped.discard(key)
            if role == "node":
                self._revive(site, name)
            self._lab.reconcile(f"{role} runs again")

    def _check(self, site: Site, role: str) -> str:
        roles = self.roles(site)
        if role not in roles:
            raise Unsupported(f"{site} has no role {role!r}; it has {', '.join(roles) or 'none'}")
        return site_namespace(site)

    def _dns_pods(self, site: Site) -> list[str]:
        if site.kind == "pod":
            return [name for name in self._lab.names.pods if name == site_namespace(site)]
        here = {
            f"{pod.cluster}/{pod.namespace}/{pod.name}"
            for pod in self._lab.pods
            if (pod.cluster, pod.node) == (site.cluster, site.name)
        }
        return [name for name in self._lab.names.pods if name in here]

    def _halt(self, site: Site, name: str) -> None:
        self._lab.namespaces.nft(name).run(_NOTHING_PASSES)
        self._plug(site, up=False)
        self._lab.routing.stop(name, crash=True)
        if site.kind == "node":
            self._conditions(site, _NOT_READY)

    def _revive(self, site: Site, name: str) -> None:
        self._lab.namespaces.nft(name).run(f"table inet {_STOPPED}\ndelete table inet {_STOPPED}")
        self._plug(site, up=True)
        if self.on(name, "bird"):
            self._lab.routing.start(name)
        if site.kind == "node":
            self._conditions(site, [{"type": "Ready", "status": "True"}])

    def _plug(self, site: Site, *, up: bool) -> None:
        """The far end of the node's cable.  Its own end would lose its routes."""
        if site.kind == "node":
            router = self._lab.topology.cluster(site.cluster).router
            wire = self._lab.namespaces.netlink(router)
            wire.send(netlink.change_link(wire.link(port_name(site.name)).index, up=up))

    def _conditions(self, site: Site, conditions: list[dict[str, str]]) -> None:
        self._lab.store.patch(site.cluster, "Node", "", site.name, {"status": {"conditions": conditions}})
        self._lab.reconcile(f"{site} changed its condition")
