"""``stop_daemon``: one of the processes that keep a network going stops, and nobody starts it.

Daemons, and what is felt when each stops:

bird
    The node's BGP sessions close and its routes are withdrawn at once (RFC 4271 section 6.7, Cease).
dns
    The DNS server's port is closed: names no longer resolve.
kube-proxy
    The node's Service rules stay as they are: Services that change afterwards are not followed.
cni
    New pods on the node get no network; those that run go on.
endpoints
    The cluster's endpoints controller stands still: Services do not follow their pods.

What it does not do: touch packets by itself.  kube-proxy, cni and endpoints show only when something changes afterwards: announce
the edges that must break then.

How it is proven: the daemon ran before and does not now; for bird also by its neighbours' sessions, for dns by asking.

Undo starts the daemon, which catches up with what it missed.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Dict

from chaosnet.engine.session import current
from chaosnet.errors import InputError
from chaosnet.model import units
from chaosnet.model.change import DaemonState
from chaosnet.model.effect import Judge, daemon_stops, first_ready, of, some
from chaosnet.model.fault import Capabilities, Effect, Plan, Reading
from chaosnet.model.flow import carriers, pod_site
from chaosnet.model.inventory import Site, Sites
from chaosnet.model.place import Place, parse_place
from chaosnet.model.question import Answer, Bgp, BgpState, Dns, DnsReply

__all__ = ["stop_daemon"]

# Pods that are tried before the fault until one gets an answer.
_CANDIDATES = 4
_FELT = {
    "bird": ("live flows that crossed by its routes stop", "new flows by its routes find no way"),
    "dns": ("live connections go on", "new connections by name fail"),
    "kube-proxy": ("live flows go on", "new flows go on, to the backends known now"),
    "cni": ("live flows go on", "new pods get no network; flows of others go on"),
    "endpoints": ("live flows go on", "new flows go on, to the endpoints known now"),
}


@dataclass(frozen=True, slots=True)
class StopDaemon:
    """The settings.  ``daemon`` is one of bird, dns, kube-proxy, cni, endpoints."""

    kind: ClassVar[str] = "stop_daemon"
    at: Place
    daemon: str
    duration: float = 60.0

    def places(self) -> Mapping[str, Place]:
        """The nodes, or for dns its Service or pods."""
        return {"at": self.at}

    def plan(self, sites: Sites, capabilities: Capabilities) -> Plan:
        """The role stops at each place."""
        places = carriers(sites["at"], sites.inventory, "stop_daemon.at")
        wanted = ("pod",) if self.daemon == "dns" else ("node", "router") if self.daemon == "bird" else ("node",)
        for site in places:
            if site.kind not in wanted:
                raise InputError("stop_daemon.at", f"no {self.daemon} runs at {site}", f"name a {' or '.join(wanted)}")
        if self.daemon == "endpoints":
            # One controller a cluster: any of its nodes stands for it.
            places = tuple({site.cluster: site for site in reversed(places)}.values())
        established, fresh = _FELT[self.daemon]
        return Plan(
            capabilities.require(self.kind, tuple(DaemonState(site, self.daemon) for site in places)),
            (*(daemon_stops(site, self.daemon, within=5.0) for site in places), *self._felt(sites)),
            established,
            fresh,
        )

    def _felt(self, sites: Sites) -> tuple[Effect, ...]:
        places = carriers(sites["at"], sites.inventory, "stop_daemon.at")
        if self.daemon == "bird":
            hold = max(sites.hold_time(site) for site in places)
            return (Effect("neighbours' sessions", Bgp(), deserted(places), within=hold + 5),)
        if self.daemon == "dns":
            cluster = places[0].cluster
            served = {str(site) for site in places}
            pods = [p for p in sites.inventory.pods if p.cluster == cluster and p.ready and str(pod_site(p)) not in served]
            services = [s for s in sites.inventory.services if s.cluster == cluster and s.addresses]
            if pods and services:
                name = f"{services[0].name}.{services[0].namespace}.svc.cluster.local"
                asking = [pod_site(pod) for pod in pods[:_CANDIDATES]]
                return (first_ready([Effect(f"{c} asks for {name}", Dns(c, name), unanswered, 8.0, _resolves) for c in asking]),)
        return ()


def deserted(speakers: Collection[Site]) -> Judge:
    """Bgp: sessions that others had Established with these speakers are so no more; there was one."""
    addresses = {address for site in speakers for address in site.addresses}

    def theirs(name: str) -> bool:
        return any(site.speaks_as(name) for site in speakers)

    def judge(before: Answer, now: Answer) -> Reading:
        def live(state: BgpState) -> set[str]:
            return {
                f"{s.speaker} → {s.neighbor}"
                for s in state.sessions
                if s.established and not theirs(s.speaker) and (theirs(s.neighbor) or s.address in addresses)
            }

        was, seen = live(of(BgpState, before)), live(of(BgpState, now))
        figures = {"established_before": len(was), "established": len(was & seen)}
        if not was:
            return Reading(False, "no neighbour had an Established session before, so none could be seen to lose it", figures)
        if was & seen:
            return Reading(
                False,
                f"{len(was & seen)} of {len(was)} neighbours' sessions are still Established: {some(sorted(was & seen))}",
                figures,
            )
        return Reading(True, f"{len(was)} of {len(was)} neighbours lost their session: {some(sorted(was))}", figures)

    return judge


def _resolves(before: Answer) -> bool:
    return of(DnsReply, before).rcode == "NOERROR"


def unanswered(before: Answer, now: Answer) -> Reading:
    """Dns: a name that was answered gets no answer."""
    was, seen = of(DnsReply, before), of(DnsReply, now)
    ok = was.rcode == "NOERROR" and bool(was.addresses) and seen.rcode in ("TIMEOUT", "REFUSED")
    return Reading(ok, f"{was.rcode} before, {seen.rcode} now", {"before": was.rcode, "now": seen.rcode})


def stop_daemon(at: str, daemon: str, duration: str = "60s") -> Dict[str, Any]:
    """Stop a daemon: bird, dns, kube-proxy, cni, or the endpoints controller.

    at: nodes (routers too for bird), for dns its Service or pods; daemon: which.

    Example:
        module: chaosnet.faults.daemon
        func: stop_daemon
        arguments: {at: "node:test/test-1", daemon: bird, duration: "60s"}
    """
    return current().inject(
        StopDaemon(
            at=parse_place(at, "stop_daemon.at"),
            daemon=units.choice(daemon, "stop_daemon.daemon", tuple(_FELT)),
            duration=units.duration(duration, "stop_daemon.duration"),
        )
    )
