"""A small routed network in namespaces of its own, for the prober's tests: two pods' nodes with a router between::

    test/shop/client -- test/test-1 -- transit -- prod/prod-1 -- prod/prod-ns/web
      10.0.1.5                                              \\--- prod/prod-ns/db    10.1.1.5, 10.1.1.6

Every test runs its scenario in a forked child, which is root in a user and network namespace of its own; what the scenario
returns is pickled back, so that assertions stay in the test.
"""

import asyncio
import os
import pickle
import signal
import subprocess
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from chaosnet.lab.blueprint import Address, Blueprint, Cable, Device, Neighbour, Route, mac
from chaosnet.model.edge import Edge, Observation, State
from chaosnet.model.endpoint import parse_endpoint
from chaosnet.model.inventory import Inventory, Node, Pod, Service, ServicePort, Site
from chaosnet.model.question import Reach
from chaosnet.targets.lab import namespaces as kernel
from chaosnet.targets.lab.bringup import build
from chaosnet.targets.lab.paths import Surroundings
from chaosnet.targets.lab.prober import Prober
from chaosnet.targets.lab.servers import Servers, Serving
from chaosnet.targets.lab.sockets import Poller

CLIENT, WEB, DB = "test/shop/client", "prod/prod-ns/web", "prod/prod-ns/db"
NEAR, TRANSIT, FAR = "test/test-1", "transit", "prod/prod-1"
SERVICE = "10.96.1.123"
_PODS = {CLIENT: "10.0.1.5", WEB: "10.1.1.5", DB: "10.1.1.6"}


def _blueprint() -> Blueprint:
    links = [
        (CLIENT, "eth0", "10.0.1.5", NEAR, "pod", "10.0.1.1", 1500),
        (NEAR, "up", "192.168.10.11", TRANSIT, "test", "192.168.10.1", 1550),
        (TRANSIT, "prod", "192.168.20.1", FAR, "up", "192.168.20.11", 1550),
        (FAR, "pod1", "10.1.1.1", WEB, "eth0", "10.1.1.5", 1500),
        (FAR, "pod2", "10.1.1.2", DB, "eth0", "10.1.1.6", 1500),
    ]
    cables, addresses, routes, neighbours = [], [], [], []
    for number, (a, a_name, a_address, b, b_name, b_address, mtu) in enumerate(links):
        ends = Device(a, a_name, 10 + number, mac(1, a_address)), Device(b, b_name, 20 + number, mac(2, b_address))
        cables.append(Cable(*ends, mtu))
        for end, own, other, far in ((ends[0], a_address, b_address, ends[1]), (ends[1], b_address, a_address, ends[0])):
            neighbours.append(Neighbour(end.namespace, end.index, other, far.mac))  # else a first ARP lost costs a second
            addresses.append(Address(end.namespace, end.index, own, 32))
            routes.append(Route(end.namespace, f"{other}/32", end.index))
    routes += [
        Route(CLIENT, "0.0.0.0/0", 10, "10.0.1.1"), Route(NEAR, "0.0.0.0/0", 11, "192.168.10.1"),
        Route(TRANSIT, "10.0.1.0/24", 21, "192.168.10.11"), Route(TRANSIT, "0.0.0.0/0", 12, "192.168.20.11"),
        Route(FAR, "0.0.0.0/0", 22, "192.168.20.1"), Route(WEB, "0.0.0.0/0", 23, "10.1.1.1"),
        Route(DB, "0.0.0.0/0", 24, "10.1.1.2"),
    ]  # fmt: skip
    names = (CLIENT, NEAR, TRANSIT, FAR, WEB, DB)
    return Blueprint(
        namespaces=names,
        sysctls=(
            *((name, "net.ipv4.ip_forward", "1") for name in (NEAR, TRANSIT, FAR)),
            *((name, "net.ipv4.icmp_ratelimit", "0") for name in names),
        ),
        cables=tuple(cables),
        addresses=tuple(addresses),
        neighbours=tuple(neighbours),
        routes=tuple(routes),
    )


class World:
    """The network, its servers and the prober under test."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.spaces = kernel.Namespaces()
        build(self.spaces, _blueprint())
        self.poller = Poller(loop)
        self.servers = Servers(self.spaces, self.poller)
        self.servers.serve(WEB, (Serving(8080, "http"), Serving(9000, "tcp"), Serving(9000, "udp")))
        self.servers.serve(DB, (Serving(5432, "tcp"),))
        self.bgp = Observation("", State.OPEN, 0.0)
        self.resolver = _PODS[DB]
        self.service = SERVICE
        self.prober = Prober(
            self.spaces, self.poller, self.servers,
            Surroundings(self.inventory, lambda _: self.resolver, lambda _, to: f"{to.name}.{to.namespace}.svc.cluster.local",
                         lambda edge: self.bgp),
            loop,
        )  # fmt: skip

    def inventory(self) -> Inventory:
        """Three pods, a Service, and a pod that is not there."""
        pods = [Pod(*name.split("/"), "", (address,)) for name, address in _PODS.items()]
        return Inventory(
            ("test", "prod"),
            (Node("test", "test-1", ("192.168.10.11",)), Node("prod", "prod-1", ("192.168.20.11",))),
            (*pods, Pod("prod", "prod-ns", "nowhere", "", ("10.1.1.99",)), Pod("prod", "prod-ns", "bare", "", ())),
            (Service("prod", "prod-ns", "prod-svc", (self.service,), (ServicePort(8080, 8080),), ("10.1.1.5",)),),
        )

    def edge(self, protocol: str, port: int = 0, to: str = WEB, source: str = CLIENT, **fields: Any) -> Edge:
        """An edge named after its protocol, unless ``name`` is given."""
        name = fields.pop("name", protocol)
        return Edge(name, parse_endpoint(source, ""), parse_endpoint(to, ""), protocol, port, **fields)

    def move_service(self, address: str) -> None:
        """From now on the Service has another address."""
        self.service = address

    async def reach(self, *edges: Edge, timeout: float = 0.3) -> tuple[Observation, ...]:
        """One observation an edge."""
        answer = await self.prober.ask(Reach(edges, timeout))
        return answer.observations  # type: ignore[union-attr]

    async def settle(self) -> None:
        """The kernel brings links up a moment after it was told to (linkwatch); until then they drop everything."""
        until = asyncio.get_running_loop().time() + 20
        while {one.state for one in await self.reach(self.edge("icmp"), self.edge("icmp", to=DB), timeout=0.1)} != {State.OPEN}:
            assert asyncio.get_running_loop().time() < until, "the test network does not come up"

    def site(self, name: str) -> Site:
        """The site of one of the pods."""
        cluster, namespace, pod = name.split("/")
        return Site("pod", cluster, namespace, pod, "", (_PODS[name],))

    def nft(self, name: str, text: str) -> None:
        """Run nft inside a namespace."""
        self.spaces.nft(name).run(text)

    def drop(self, name: str, rule: str, hook: str = "forward") -> None:
        """One rule in a table ``t`` of its own at ``name``; ``lift`` removes it."""
        self.nft(name, f"table inet t {{\n chain c {{\n type filter hook {hook} priority -10;\n {rule}\n }}\n}}")

    def track(self, name: str) -> None:
        """Connection tracking, which begins with the first rule that needs it."""
        self.nft(name, "table inet tracking {\n chain c {\n type filter hook forward priority -20;\n ct state established counter\n }\n}")

    def lift(self, name: str) -> None:
        """Remove what ``drop`` added."""
        self.nft(name, "delete table inet t")

    def run(self, name: str, *argv: str) -> str:
        """A program inside a namespace; it must succeed.  Not for programs that need the event loop to turn."""
        with self.spaces.inside(name):
            return subprocess.run(argv, check=True, capture_output=True, text=True).stdout

    async def start(self, name: str, *argv: str) -> tuple[int, str]:
        """A program inside a namespace, while the loop turns: its exit status and output."""
        with self.spaces.inside(name):
            child = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        while child.poll() is None:
            await asyncio.sleep(0.01)
        out, _ = child.communicate()
        return child.returncode, out

    def close(self) -> None:
        """Stop everything."""
        self.prober.close()
        self.servers.close()
        self.poller.close()


Scenario = Callable[[World], Awaitable[Any]]


async def _live(scenario: Scenario) -> Any:
    world = World(asyncio.get_running_loop())
    try:
        await world.settle()
        return await scenario(world)
    finally:
        world.close()


def _become_root() -> None:
    uid, gid = os.geteuid(), os.getegid()
    kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWNET | kernel.CLONE_NEWNS)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


@pytest.fixture
def live() -> Callable[[Scenario], Any]:
    """Run a scenario in the network above; its result, or the test fails with its traceback."""

    def run(scenario: Scenario) -> Any:
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                signal.alarm(90)
                try:
                    _become_root()
                    result: tuple[bool, Any] = (True, asyncio.run(_live(scenario)))
                except BaseException:  # noqa: BLE001  (whatever it was, the parent must hear of it)
                    result = (False, traceback.format_exc())
                with os.fdopen(write, "wb") as out:
                    pickle.dump(result, out)
            finally:
                os._exit(0)
        os.close(write)
        with os.fdopen(read, "rb") as back:
            data = back.read()
        os.waitpid(child, 0)
        assert data, "the scenario's process died"
        ok, value = pickle.loads(data)
        if not ok:
            pytest.fail(value, pytrace=False)
        return value

    return run
