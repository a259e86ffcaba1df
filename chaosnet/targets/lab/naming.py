"""The DNS servers: dnsmasq in the namespace of every pod behind a cluster's DNS address, and what those pods ask.

Which names there are is :mod:`chaosnet.lab.dns`.  Answers that go wrong on purpose are somebody else's matter.
"""

import signal
from collections.abc import Callable
from pathlib import Path

from chaosnet.lab import dns
from chaosnet.lab.objects import Store
from chaosnet.lab.topology import Topology
from chaosnet.targets.lab.processes import Processes, program

_HOME = Path("/run/chaosnet/dns")


def servers(store: Store, topology: Topology) -> dict[str, str]:
    """The pods behind each cluster's DNS address: namespace of the pod → cluster."""
    found = {}
    for cluster in topology.clusters:
        for service in store.list(cluster.name, "Service"):
            wanted = (service["spec"].get("selector") or {}).items()
            if service["spec"].get("clusterIP") != cluster.dns or not wanted:
                continue
            for pod in store.list(cluster.name, "Pod", service["metadata"]["namespace"]):
                if wanted <= (pod["metadata"].get("labels") or {}).items() and (pod.get("status") or {}).get("podIP"):
                    metadata = pod["metadata"]
                    found[f"{cluster.name}/{metadata['namespace']}/{metadata['name']}"] = cluster.name
    return found


class NameServers:
    """The dnsmasq of every DNS pod, by the pod's namespace."""

    def __init__(self, topology: Topology, store: Store, processes: Processes) -> None:
        self._topology = topology
        self._store = store
        self._processes = processes
        self._running: dict[str, int] = {}
        self._stopped: set[str] = set()
        self._records: dict[str, str] = {}
        self.pods: dict[str, str] = {}

    def running(self, pod: str) -> bool:
        """Whether the DNS server of that pod runs."""
        return pod in self._running

    def reconcile(self, has_network: Callable[[str], bool]) -> None:
        """Run a server in every DNS pod that has a network (unless it was stopped on purpose), with today's names."""
        self.pods = servers(self._store, self._topology)
        for cluster in set(self.pods.values()):
            self._publish(cluster)
        for pod in tuple(self._running):
            if pod not in self.pods or not has_network(pod):
                self._kill(pod)
        self._stopped &= set(self.pods)
        for pod in self.pods:
            if pod not in self._stopped and has_network(pod):
                self._start(pod)

    def stop(self, pod: str) -> None:
        """Stop the server in a pod, until :meth:`start`."""
        self._stopped.add(pod)
        self._kill(pod)

    def start(self, pod: str) -> None:
        """Start the server in a pod again."""
        self._stopped.discard(pod)
        if pod in self.pods:
            self._start(pod)

    def evict(self, pod: str) -> None:
        """The pod loses its namespace: whatever runs in there goes."""
        self._kill(pod)

    def _start(self, pod: str) -> None:
        if pod in self._running:
            return
        cluster = self.pods[pod]
        domains = {one.name: one.domain for one in self._topology.clusters}
        path = _HOME / f"{pod.replace('/', '.')}.conf"
        own = f"bind-interfaces\nexcept-interface=lo\nlog-facility=-\naddn-hosts={self._hosts(cluster)}\n"
        path.write_text(dns.settings(domains) + own)
        # dnsmasq(8): in debug mode it keeps its user and groups, which a namespace with one user must not change.
        argv = [program("dnsmasq"), "--no-daemon", f"--conf-file={path}"]
        child = self._processes.start(pod, argv, lambda status: self._over(pod, child), str(path.with_suffix(".log")))
        self._running[pod] = child

    def _kill(self, pod: str) -> None:
        child = self._running.pop(pod, None)
        if child is not None:
            self._processes.kill(child, signal.SIGKILL)

    def _over(self, pod: str, child: int) -> None:
        if self._running.get(pod) == child:
            del self._running[pod]

    def _hosts(self, cluster: str) -> Path:
        return _HOME / f"{cluster}.hosts"

    def _publish(self, cluster: str) -> None:
        """Write the names of a cluster's servers, and have those re-read them, where anything changed."""
        text = dns.hosts(dns.records(self._store, cluster, self._topology.cluster(cluster).domain))
        if self._records.get(cluster) == text:
            return
        self._records[cluster] = text
        _HOME.mkdir(parents=True, exist_ok=True)
        self._hosts(cluster).write_text(text)
        for pod, child in self._running.items():
            if self.pods.get(pod) == cluster:
                self._processes.kill(child, signal.SIGHUP)  # dnsmasq(8): re-reads hosts files


def resolv_conf(server: str, namespace: str, domain: str) -> str:
    """resolv.conf(5) of a pod, as kubelet writes it."""
    return f"nameserver {server}\nsearch {namespace}.svc.{domain} svc.{domain} {domain}\noptions ndots:5\n"
