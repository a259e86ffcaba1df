"""A small lab in a process of the test's own, and packets to send through it.

``small_lab`` runs an async function inside a fresh lab of two clusters (west: w-1, w-2; east: e-1) whose routes are static,
so that nothing has to converge; with ``bgp=True`` BIRD makes them.  What the function raises fails the test.  These fixtures
judge nothing.
"""

import asyncio
import ctypes
import os
import signal
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from executor_traffic import Net

from chaosnet.lab import furnish
from chaosnet.lab import topology as topologies
from chaosnet.targets.lab import netlink
from chaosnet.targets.lab.executor import Executor
from chaosnet.targets.lab.lab import Lab
from chaosnet.targets.lab.namespaces import CLONE_NEWPID, unshare
from chaosnet.targets.lab.scratch import enter

_TOPOLOGY = """
name: small
mtu: {pods: 1500, underlay: 1550}
bgp: {hold: 3s, keepalive: 1s, retry: 1s}
clusters:
  west:
    cni: calico
    asn: 64512
    network: 192.168.10.0/24
    services: 10.97.0.0/16
    dns: 10.97.0.10
    domain: cluster.local
    router: r-west
    nodes: {w-1: {pods: 10.0.1.0/24}, w-2: {pods: 10.0.2.0/24}}
    overlay: OVERLAY
    manifests: [west.yaml]
  east:
    cni: calico
    asn: 64513
    network: 192.168.20.0/24
    services: 10.96.0.0/16
    dns: 10.96.0.10
    domain: cluster.local
    router: r-east
    nodes: {e-1: {pods: 10.1.1.0/24}}
    manifests: [east.yaml]
links:
  - {between: [r-west, r-east], network: 192.168.100.0/30, mtu: 1550}
"""


def _deployment(namespace: str, name: str, node: str, address: str, port: str) -> str:
    return f"""---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata:
      labels: {{app: {name}}}
      annotations: {{chaosnet.io/address: {address}}}
    spec:
      nodeSelector: {{kubernetes.io/hostname: {node}}}
      containers: [{{name: c, image: example/{name}, ports: [{port}]}}]
"""


def _service(namespace: str, name: str, address: str, port: str) -> str:
    return f"""---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{clusterIP: {address}, selector: {{app: {name}}}, ports: [{port}]}}
"""


_WEST = (
    _deployment("shop", "a", "w-1", "10.0.1.5", "{containerPort: 8080}")
    + _deployment("shop", "b", "w-2", "10.0.2.5", "{containerPort: 8080}")
    + _deployment("shop", "c", "w-1", "10.0.1.6", "{containerPort: 8080}")
    + _service("shop", "b", "10.97.1.5", "{port: 80, targetPort: 8080}")
    + _deployment("kube-system", "kube-dns", "w-2", "10.0.2.53", "{containerPort: 53, protocol: UDP}")
    + _service("kube-system", "kube-dns", "10.97.0.10", "{port: 53, targetPort: 53, protocol: UDP}")
)
_EAST = _deployment("shop", "d", "e-1", "10.1.1.5", "{containerPort: 8080}")

Body = Callable[[Net], Awaitable[None]]
SmallLab = Callable[..., None]


@pytest.fixture
def small_lab(tmp_path: Path) -> SmallLab:
    """``small_lab(body)`` runs ``body(net)`` in a lab of its own."""

    def run(body: Body, *, bgp: bool = False, overlay: str = "none") -> None:
        (tmp_path / "west.yaml").write_text(_WEST)
        (tmp_path / "east.yaml").write_text(_EAST)
        (tmp_path / "small.yaml").write_text(_TOPOLOGY.replace("OVERLAY", overlay))
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            _enter_and_run(body, tmp_path / "small.yaml", bgp, writing)
        os.close(writing)
        try:
            with os.fdopen(reading) as said:
                text = said.read()
        finally:
            # The grandchild is init of its own PID namespace: with it everything in the lab goes.
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        assert text == "ok", f"\n{text}"

    return run


def _enter_and_run(body: Body, topology: Path, bgp: bool, writing: int) -> None:
    """In the child: become root of new namespaces, run the body in one more child, and write what came of it."""
    text = "the lab could not be entered"
    try:
        enter()
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"none", b"/run", b"tmpfs", 0, None) != 0:
            raise OSError(ctypes.get_errno(), "mount /run")
        unshare(CLONE_NEWPID)
        grandchild = os.fork()
        if grandchild:
            os.waitpid(grandchild, 0)
            os._exit(0)
        libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        asyncio.run(_body(body, topology, bgp))
        text = "ok"
    except BaseException:  # noqa: BLE001 - it is carried to the test
        text = traceback.format_exc()
    finally:
        os.write(writing, text.encode())
        os._exit(0)


async def _body(body: Body, topology: Path, bgp: bool) -> None:
    plan = topologies.load(topology)
    lab = Lab(plan, furnish.furnish(plan))
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGCHLD, lab.processes.reap)
    lab.bring_up()
    if bgp:
        poll = loop.create_task(lab.routing.keep_fresh())
        deadline = time.monotonic() + 20
        while lab.unsettled() and time.monotonic() < deadline:
            await asyncio.sleep(0.1)
        assert not lab.unsettled(), lab.unsettled()
        assert not poll.done()
    else:
        for speaker in lab.routing.speakers:
            lab.routing.stop(speaker, crash=True)
        for cluster in plan.clusters:
            wire = lab.namespaces.netlink(cluster.router)
            for node in cluster.nodes:
                wire.send(netlink.route(node.pods, index=2, via=node.address))
                for other in cluster.nodes:
                    if other is not node and cluster.overlay == "none":
                        there = netlink.route(other.pods, index=2, via=other.address)
                        lab.namespaces.netlink(node.namespace).send(there)
            for other_cluster in plan.clusters:
                if other_cluster is not cluster:
                    link = wire.link(other_cluster.router).index
                    via = "192.168.100.2" if cluster.router == "r-west" else "192.168.100.1"
                    ranges = [node.pods for node in other_cluster.nodes]
                    for there in (*ranges, other_cluster.network, other_cluster.services):
                        wire.send(netlink.route(there, index=link, via=via))
    await body(Net(lab, Executor(lab)))
