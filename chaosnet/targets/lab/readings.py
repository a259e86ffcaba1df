"""Answers to the questions about state: rule counters, BGP sessions, routes, roles, Services, connection tracking.

Everything is read from the kernel, BIRD or the store at the moment of asking, nothing from what the executor believes; of the
executor it only asks which changes a ticket has.  Questions that send packets are the prober's.
"""

from typing import TYPE_CHECKING

from chaosnet.errors import TargetError, Unsupported
from chaosnet.lab import census
from chaosnet.model.change import ConntrackPressure
from chaosnet.model.inventory import Site
from chaosnet.model.question import (
    Answer,
    Bgp,
    BgpState,
    Conntrack,
    ConntrackUse,
    Counted,
    Counters,
    Daemons,
    DaemonsSeen,
    Question,
    RouteEntry,
    Routes,
    RouteTable,
    ServiceSeen,
    ServiceView,
)  # fmt: skip
from chaosnet.targets.lab import conntrack
from chaosnet.targets.lab.lowering import tables
from chaosnet.targets.lab.namespaces import site_namespace

if TYPE_CHECKING:
    from chaosnet.targets.lab.executor import Executor
    from chaosnet.targets.lab.lab import Lab

# rtnetlink(7) and /etc/iproute2/rt_protos; 199 is ours.
_PROTOCOLS = {2: "kernel", 3: "boot", 4: "static", 12: "bird", 199: "chaosnet"}


class Readings:
    """Answers one lab's questions about state."""

    QUESTIONS = (Counters, Bgp, Routes, Daemons, ServiceView, Conntrack)

    def __init__(self, lab: "Lab", executor: "Executor") -> None:
        self._lab = lab
        self._executor = executor

    def ask(self, question: Question) -> Answer:
        """Answer one of :attr:`QUESTIONS`; Unsupported for any other, TargetError where its site does not exist."""
        match question:
            case Counters():
                return self._counters(question.ticket)
            case Bgp():
                return self._bgp(question.sites)
            case Routes():
                return self._routes(question)
            case Daemons():
                return DaemonsSeen(tuple(sorted(self._lab.daemons.state(question.site).items())))
            case ServiceView():
                return self._service(question)
            case Conntrack():
                return self._conntrack(question.site)
        raise Unsupported(f"the lab does not answer {type(question).__name__} by reading")

    def _counters(self, ticket: str) -> Counted:
        packets = octets = 0
        by_change = []
        listed: dict[tuple[str, str], dict[int, tuple[int, int, int]]] = {}
        for _, undo in self._executor.changes_of(ticket):
            spots = [(spot[0], "netdev") for spot in undo.arguments.get("spots", ())]
            if undo.op in ("nft", "dns"):
                spots = [(undo.arguments["namespace"], "inet")]
            seen = 0
            for namespace, family in dict.fromkeys(spots):
                if (namespace, family) not in listed:
                    listed[(namespace, family)] = tables.counts(self._lab, ticket, namespace, family)
                _, matched, size = listed[(namespace, family)].get(undo.arguments["index"], (0, 0, 0))
                seen, packets, octets = seen + matched, packets + matched, octets + size
            by_change.append(seen if spots else -1)
        return Counted(packets, octets, tuple(by_change))

    def _bgp(self, sites: tuple[Site, ...]) -> BgpState:
        speakers = [site_namespace(site) for site in sites] or list(self._lab.routing.speakers)
        return BgpState(tuple(s for speaker in speakers for s in self._lab.routing.sessions.get(speaker, ())))

    def _routes(self, question: Routes) -> RouteTable:
        netlink = self._lab.namespaces.netlink(site_namespace(question.site))
        names = {link.index: link.name for link in netlink.links()}
        found = [
            RouteEntry(route.destination, via, names.get(index, str(index)), _protocol(route.protocol), route.mtu)
            for route in netlink.routes()
            for via, index in route.hops
            if question.protocol in ("", _protocol(route.protocol))
        ]
        return RouteTable(tuple(sorted(found, key=lambda entry: (entry.destination, entry.via, entry.protocol))))

    def _service(self, question: ServiceView) -> ServiceSeen:
        lab, cluster = self._lab, question.cluster
        programmed = lab.service_programmed(cluster, question.namespace, question.name)
        service = lab.store.want(cluster, "Service", question.namespace, question.name)
        selector = (service["spec"].get("selector") or {}).items()
        ready = [
            address
            for pod in census.pods(lab.store, cluster)
            if selector and pod.namespace == question.namespace and pod.ready and selector <= dict(pod.labels).items()
            for address in pod.addresses
        ]
        groups = census.backends(lab.store, cluster, service).values()
        endpoints = {backend.address for group in groups for backend in group if backend.ready}
        return ServiceSeen(
            tuple(sorted(ready)),
            tuple(sorted(endpoints)),
            tuple((node, tuple(sorted(addresses))) for node, addresses in sorted(programmed.items())),
        )

    def _conntrack(self, site: Site) -> ConntrackUse:
        namespace = site_namespace(site)
        if namespace not in self._lab.namespaces:
            raise TargetError(f"there is no {site} in this lab")
        used = int(self._lab.namespaces.sysctl(namespace, "net.netfilter.nf_conntrack_count"))
        for change, undo in reversed(self._executor.active()):
            if isinstance(change, ConntrackPressure) and undo.arguments["namespace"] == namespace:
                counted = tables.counts(self._lab, undo.arguments["ticket"], namespace)
                _, packets, _ = counted.get(undo.arguments["index"], (0, 0, 0))
                return ConntrackUse(used, change.limit, packets, stand_in="ct count in nftables")
        limit = int(self._lab.namespaces.sysctl(namespace, "net.netfilter.nf_conntrack_max"))
        return ConntrackUse(used, limit, conntrack.refused(self._lab, namespace))


def _protocol(number: int) -> str:
    return _PROTOCOLS.get(number, str(number))
