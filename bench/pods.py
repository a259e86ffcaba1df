"""A flat stage for the prober's benchmarks: one node, N pods routed through it by a veth each, servers in every pod.

Runs in user and network namespaces of its own (:func:`alone`), so that benchmarks need no root and leave nothing.
"""

import asyncio
import os
import sys

from chaosnet.lab.blueprint import Address, Blueprint, Cable, Device, Route, mac
from chaosnet.model.edge import Edge, Observation, State
from chaosnet.model.endpoint import Endpoint
from chaosnet.model.inventory import Inventory, Pod
from chaosnet.targets.lab import namespaces as kernel
from chaosnet.targets.lab.bringup import build
from chaosnet.targets.lab.paths import Surroundings
from chaosnet.targets.lab.prober import Prober
from chaosnet.targets.lab.servers import Servers, Serving
from chaosnet.targets.lab.sockets import Poller

PORT = 8080
_NODE = "bench/node"


def alone() -> None:
    """Move this process into user, network and mount namespaces of its own, as root there."""
    uid, gid = os.geteuid(), os.getegid()
    kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWNET | kernel.CLONE_NEWNS)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


class Stage:
    """``count`` pods with servers on TCP and UDP port 8080, and a prober."""

    def __init__(self, count: int, loop: asyncio.AbstractEventLoop) -> None:
        self.pods = [Pod("bench", "ns", f"pod-{n}", "node", (f"10.9.{n // 200}.{n % 200 + 2}",)) for n in range(count)]
        self.spaces = kernel.Namespaces()
        build(self.spaces, self._blueprint())
        self.poller = Poller(loop)
        self.servers = Servers(self.spaces, self.poller)
        for pod in self.pods:
            self.servers.serve(f"bench/ns/{pod.name}", (Serving(PORT, "tcp"), Serving(PORT, "udp")))
        inventory = Inventory(("bench",), (), tuple(self.pods))
        told = Surroundings(lambda: inventory, lambda _: "", lambda _, to: to.name, lambda edge: Observation("", State.OPEN, 0.0))
        self.prober = Prober(self.spaces, self.poller, self.servers, told, loop)

    def _blueprint(self) -> Blueprint:
        cables, addresses, routes, names = [], [], [], [_NODE]
        for number, pod in enumerate(self.pods):
            own, address = f"bench/ns/{pod.name}", pod.addresses[0]
            names.append(own)
            inside, outside = Device(own, "eth0", 2, mac(0, address)), Device(_NODE, f"pod{number}", 10 + number, mac(1, address))
            cables.append(Cable(inside, outside, 1500))
            addresses += [Address(own, 2, address, 32), Address(_NODE, outside.index, "10.9.255.1", 32)]
            routes += [
                Route(own, "10.9.255.1/32", 2), Route(own, "0.0.0.0/0", 2, "10.9.255.1"),
                Route(_NODE, f"{address}/32", outside.index),
            ]  # fmt: skip
        return Blueprint(
            namespaces=tuple(names), sysctls=((_NODE, "net.ipv4.ip_forward", "1"),), cables=tuple(cables),
            addresses=tuple(addresses), routes=tuple(routes),
        )  # fmt: skip

    def edge(self, source: Pod, destination: Pod, protocol: str = "tcp") -> Edge:
        """From one pod to another."""
        ends = (Endpoint("pod", pod.cluster, pod.namespace, pod.name) for pod in (source, destination))
        return Edge(f"{source.name}→{destination.name}", *ends, protocol, PORT)

    def matrix(self) -> list[Edge]:
        """Every pair, both ways."""
        return [self.edge(a, b) for a in self.pods for b in self.pods if a is not b]


def die(message: str) -> None:
    """End with a sentence."""
    print(message, file=sys.stderr)
    raise SystemExit(5)
