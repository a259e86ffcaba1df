"""Answers every call that comes to a lab's keeper, by handing it to the part that knows: lab, executor, readings, prober.

One method for each name in :mod:`chaosnet.targets.lab.calls`.  It decides nothing about networks or faults.
"""

import asyncio
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chaosnet.errors import ChaosnetError, InputError, TargetError, Unsupported
from chaosnet.lab.kinds import PROXY
from chaosnet.lab.topology import Cluster
from chaosnet.model.change import CHANGES, Change
from chaosnet.model.edge import Edge, Observation
from chaosnet.model.fault import Capabilities, Reading
from chaosnet.model.inventory import Inventory, Site
from chaosnet.model.question import Answer, Dns, DnsReply, Question
from chaosnet.model.ticket import Undo
from chaosnet.targets.lab import adjacency, calls, capture, naming
from chaosnet.targets.lab.executor import Executor
from chaosnet.targets.lab.lab import Lab
from chaosnet.targets.lab.paths import Surroundings
from chaosnet.targets.lab.prober import Prober
from chaosnet.targets.lab.readings import Readings
from chaosnet.targets.lab.servers import Servers, Serving
from chaosnet.targets.lab.sniffer import Instruction, Point, Sniffer
from chaosnet.targets.lab.sockets import Poller
from chaosnet.targets.lab.switchboard import Connection
from chaosnet.targets.lab.visit import Visit

_DNS_PORT = 53
_LOOK_AGAIN = 0.05


class Desk:
    """The parts of one running lab, and the calls on them.  ``end`` ends the keeper."""

    def __init__(self, lab: Lab, name: str, end: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        self.lab = lab
        self._name = name
        self._end = end
        self._poller = Poller(loop)
        self.servers = Servers(lab.namespaces, self._poller)
        around = Surroundings(lab.inventory, self._resolver, self._service_name, self._adjacency)
        self.prober = Prober(lab.namespaces, self._poller, self.servers, around, loop)
        self.executor = Executor(lab)
        self.readings = Readings(lab, self.executor)
        self._visits: dict[Connection, Visit] = {}
        self._recordings: dict[Connection, asyncio.Event] = {}
        self._served: set[str] = set()
        lab.changed.append(self._follow)

    async def answer(self, connection: Connection, call: str, arguments: tuple[Any, ...]) -> Any:
        """The result of one call."""
        if call in ("run", "record", "signal"):
            return await getattr(self, f"_{call}")(connection, *arguments)
        result = getattr(self, call)(*arguments)
        return await result if asyncio.iscoroutine(result) else result

    # --- servers and probes follow the pods ----------------------------------------------------------------------------

    def _follow(self, reason: str) -> None:
        wanted = self._wanted()
        for namespace in self._served - set(wanted):
            self.servers.serve(namespace, ())
        for namespace, serving in wanted.items():
            self.servers.serve(namespace, serving)
        self._served = set(wanted)
        self.prober.refresh()

    def _wanted(self) -> dict[str, list[Serving]]:
        """What every ready pod must answer on, by its containers' ports; a DNS pod's own server has port 53."""
        found: dict[str, list[Serving]] = {}
        for pod in self.lab.pods:
            namespace = f"{pod.cluster}/{pod.namespace}/{pod.name}"
            if not pod.ready or not self.lab.connected(namespace):
                continue
            manifest = self.lab.store.get(pod.cluster, "Pod", pod.namespace, pod.name) or {}
            if PROXY in (manifest.get("metadata", {}).get("annotations") or {}):
                continue  # its HAProxy answers
            is_dns = namespace in self.lab.names.pods
            serving = {}
            for container in (manifest.get("spec") or {}).get("containers") or ():
                for port in container.get("ports") or ():
                    kind = _kind(port)
                    if kind and not (is_dns and port["containerPort"] == _DNS_PORT):
                        serving[(port["containerPort"], kind == "udp")] = Serving(port["containerPort"], kind)
            found[namespace] = list(serving.values())
        return found

    def _resolver(self, site: Site) -> str:
        return self._cluster(site).dns

    def _service_name(self, source: Site, service: Site) -> str:
        zone = self._cluster(source).domain if source.cluster == service.cluster else f"{service.cluster}.clusterset.local"
        return f"{service.name}.{service.namespace}.svc.{zone}"

    def _cluster(self, site: Site) -> Cluster:
        try:
            return self.lab.topology.cluster(site.cluster)
        except KeyError:
            raise TargetError(f"{site} belongs to no cluster") from None

    def _adjacency(self, edge: Edge) -> Observation:
        return adjacency.observe(edge, self.lab.inventory(), self.lab.topology, self.lab.routing.sessions)

    # --- the Target protocol -------------------------------------------------------------------------------------------

    def capabilities(self) -> Capabilities:
        return Capabilities("lab", frozenset(CHANGES), self.executor.missing())

    def inventory(self) -> Inventory:
        return self.lab.inventory()

    async def settle(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while True:
            await self.lab.routing.refresh()
            missing = self.lab.unsettled() or await self._silent()
            if not missing:
                return
            if time.monotonic() > deadline:
                raise TargetError(f"the lab {self._name} is not ready after {timeout:g} s: {missing}")
            await asyncio.sleep(_LOOK_AGAIN)

    async def _silent(self) -> str:
        """Which DNS server does not answer yet, in words, or empty."""
        for pod in self.lab.names.pods:
            cluster, namespace, name = pod.split("/")
            domain = self.lab.topology.cluster(cluster).domain
            site = Site("pod", cluster, namespace, name)
            reply = await self.prober.ask(Dns(site, f"kubernetes.default.svc.{domain}", 0.5))
            if isinstance(reply, DnsReply) and reply.rcode not in ("NOERROR", "NXDOMAIN"):
                return f"the DNS server of {pod} does not answer ({reply.rcode})"
        return ""

    def describe(self) -> Mapping[str, str]:
        from chaosnet.targets.lab.versions import versions

        return {**self.lab.environment(), "kernel": platform.release(), "machine": platform.machine(), **versions()}

    def prepare(self, ticket: str, change: Change) -> Undo:
        return self.executor.prepare(ticket, change)

    def arm(self, ticket: str, undo: Sequence[Undo], seconds: float) -> str:
        return self.executor.arm(ticket, undo, seconds)

    def do(self, ticket: str, change: Change, undo: Undo) -> None:
        self.executor.do(ticket, change, undo)

    def in_force(self, ticket: str, change: Change) -> Reading:
        return self.executor.in_force(ticket, change)

    def undo(self, ticket: str, undo: Sequence[Undo]) -> None:
        self.executor.undo(ticket, undo)

    def fuse_blown(self, ticket: str) -> bool:
        return self.executor.fuse_blown(ticket)

    def owned(self) -> tuple[str, ...]:
        return self.executor.owned()

    def panic(self) -> tuple[str, ...]:
        return self.executor.panic()

    def snapshot(self) -> Mapping[str, str]:
        return self.executor.snapshot()

    def forget(self, sites: Sequence[Site]) -> tuple[str, ...]:
        return self.executor.forget(sites)

    async def ask(self, question: Question) -> Answer:
        if isinstance(question, self.prober.QUESTIONS):
            return await self.prober.ask(question)
        if isinstance(question, self.readings.QUESTIONS):
            return self.readings.ask(question)
        raise Unsupported(f"the lab does not answer {type(question).__name__}")

    def watch(self, edges: Sequence[Edge], interval: float, timeout: float) -> None:
        self.prober.watch(edges, interval, timeout)

    def samples(self, after: int) -> tuple[int, tuple[Observation, ...]]:
        return self.prober.samples(after)

    def hold(self, edges: Sequence[Edge], interval: float, timeout: float) -> None:
        self.prober.hold(edges, interval, timeout)

    def held(self) -> tuple[Observation, ...]:
        return self.prober.held()

    # --- what the command line needs -----------------------------------------------------------------------------------

    def survey(self) -> Mapping[str, Any]:
        """Everything that ``lab ls`` shows, as plain values."""
        seen = self.lab.inventory()
        return {
            "name": self._name,
            "nodes": [[n.cluster, n.name, n.role, n.cni, list(n.addresses), n.ready, list(n.pod_ranges)] for n in seen.nodes],
            "pods": [[p.cluster, p.namespace, p.name, p.node, list(p.addresses), p.ready] for p in seen.pods],
            "services": [
                [s.cluster, s.namespace, s.name, list(s.addresses), [[q.port, q.protocol] for q in s.ports], list(s.backends)]
                for s in seen.services
            ],
            "sessions": [
                [s.speaker, s.neighbor, s.state, s.imported] for all_of in self.lab.routing.sessions.values() for s in all_of
            ],
            "faults": list(self.executor.owned()),
        }

    def capture_points(self, edge: Edge) -> tuple[tuple[str, str, str], ...]:
        return capture.points(self.lab, edge)

    async def _run(self, connection: Connection, place: str, argv: tuple[str, ...], folder: str) -> int:
        stdio = connection.take()
        try:
            if len(stdio) != 3:
                raise ChaosnetError("a command needs three descriptors: standard input, output and error")
            visit = Visit(self.lab.processes, self._place(place), argv, folder, stdio, self._resolv_conf(place))
        finally:
            for descriptor in stdio:
                os.close(descriptor)
        self._visits[connection] = visit
        connection.gone.append(visit.hang_up)
        try:
            return await visit.wait()
        finally:
            del self._visits[connection]
            connection.gone.remove(visit.hang_up)

    async def _record(
        self, connection: Connection, points: tuple[Point, ...], program: tuple[Instruction, ...]
    ) -> tuple[tuple[int, int], ...]:
        """Capture until a signal comes, or the client goes; packets and those missed, by point."""
        files = connection.take()
        over = self._recordings[connection] = asyncio.Event()
        connection.gone.append(over.set)
        try:
            if len(files) != 1:
                raise ChaosnetError("a capture needs one descriptor: the file it is written to")
            sniffer = Sniffer(self.lab.namespaces, self._poller, points, program)
            try:
                # The first answer says that every point is being captured.
                await connection.send(calls.answer(0, None))
                await over.wait()
            finally:
                missed = sniffer.close()
            with os.fdopen(files.pop(), "wb") as file:
                file.write(sniffer.pcapng())
            return tuple(zip(sniffer.counts(), missed, strict=True))
        finally:
            for descriptor in files:
                os.close(descriptor)
            del self._recordings[connection]
            connection.gone.remove(over.set)

    async def _signal(self, connection: Connection, number: int) -> None:
        if connection in self._recordings:
            self._recordings[connection].set()
        visit = self._visits.get(connection)
        if visit is not None:
            visit.signal(number)

    def _place(self, name: str) -> str:
        """The namespace that ``name`` means: its own name, a workload's first pod, or a node's plain name."""
        if name in self.lab.namespaces:
            return name
        for pod in self.lab.pods:
            if name in (
                f"{pod.cluster}/{pod.namespace}/{pod.workload}",
                f"{pod.namespace}/{pod.workload}",
                f"{pod.namespace}/{pod.name}",
            ):
                return f"{pod.cluster}/{pod.namespace}/{pod.name}"
        for node in self.lab.topology.nodes:
            if name in (node.name, f"node:{node.namespace}"):
                return node.namespace
        import difflib

        known = [*self.lab.namespaces.names, *(f"{p.cluster}/{p.namespace}/{p.workload}" for p in self.lab.pods)]
        near = difflib.get_close_matches(name, known, 1)
        remedy = f"did you mean {near[0]}?" if near else "chaosnet lab ls shows them"
        raise InputError("lab exec", f"there is no pod, node or router {name!r} in the lab {self._name}", remedy)

    def _resolv_conf(self, place: str) -> str:
        parts = self._place(place).split("/")
        if len(parts) != 3:
            return ""
        cluster = self.lab.topology.cluster(parts[0])
        return naming.resolv_conf(cluster.dns, parts[1], cluster.domain)

    def end(self) -> None:
        """End the keeper, a moment from now: the answer goes out first."""
        asyncio.get_running_loop().call_later(0.02, self._end)


def _kind(port: Mapping[str, Any]) -> str:
    """What answers on a container's port: http where its name says so, else an echo; nothing for SCTP."""
    protocol = port.get("protocol") or "TCP"
    if protocol == "UDP":
        return "udp"
    return ("http" if str(port.get("name") or "").startswith("http") else "tcp") if protocol == "TCP" else ""
