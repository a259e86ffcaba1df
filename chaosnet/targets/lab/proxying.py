"""The reverse proxies: HAProxy in the namespace of every pod that is annotated for one.

Which pods, and what HAProxy is told, is :mod:`chaosnet.lab.proxies`.  A proxy whose file changes, or whose pod gets another
address, is started again; its live connections end.
"""

import signal
from collections.abc import Callable
from pathlib import Path

from chaosnet.lab import proxies
from chaosnet.lab.objects import Store
from chaosnet.targets.lab.processes import Processes, program

_HOME = Path("/run/chaosnet/proxy")


class ReverseProxies:
    """The HAProxy of every such pod, by the pod's namespace."""

    def __init__(self, store: Store, processes: Processes) -> None:
        self._store = store
        self._processes = processes
        self._running: dict[str, tuple[int, str]] = {}

    def reconcile(self, has_network: Callable[[str], bool]) -> None:
        """Run a proxy, with today's file, in every annotated pod that has a network; TargetError without HAProxy."""
        wanted = {pod: text for pod, text in proxies.configurations(self._store).items() if has_network(pod)}
        for pod, (child, text) in tuple(self._running.items()):
            if wanted.get(pod) != text:
                del self._running[pod]
                self._processes.kill(child, signal.SIGKILL)
        for pod, text in wanted.items():
            if pod not in self._running:
                self._start(pod, text)

    def _start(self, pod: str, text: str) -> None:
        _HOME.mkdir(parents=True, exist_ok=True)
        path = _HOME / f"{pod.replace('/', '.')}.cfg"
        path.write_text(text)
        # haproxy(1): -db stays in the foreground.
        argv = [program("haproxy"), "-db", "-f", str(path)]
        child = self._processes.start(pod, argv, lambda status: self._over(pod, child), str(path.with_suffix(".log")))
        self._running[pod] = (child, text)

    def _over(self, pod: str, child: int) -> None:
        if self._running.get(pod, (0, ""))[0] == child:
            del self._running[pod]

    def missing(self) -> str:
        """The first annotated pod whose proxy does not run, or empty."""
        wanted = proxies.configurations(self._store)
        return next((pod for pod in wanted if pod not in self._running), "")
