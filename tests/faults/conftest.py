"""The shelf of faults, called by its doors as an experiment does, and planned against a sample network.

``door("mtu", "shrink_mtu", at=...)`` gives the typed fault; ``plan_of(...)`` its plan on a target that can make every change.
"""

import importlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from chaosnet.engine import inject as injection
from chaosnet.engine.experiment import Ceiling
from chaosnet.engine.faultrun import FaultRun
from chaosnet.engine.ledger import Ledger
from chaosnet.engine.rehearse import Rehearsal, rehearse
from chaosnet.engine.session import make_current
from chaosnet.model.change import CHANGES
from chaosnet.model.fault import Capabilities, Fault, Plan
from chaosnet.model.inventory import Inventory, Node, Pod, Service, ServicePort, Sites
from chaosnet.model.target import Target
from chaosnet.targets import open_target
from chaosnet.targets.memory import MemoryTarget

EVERYTHING = Capabilities("sample", frozenset(CHANGES))
EXPERIMENT = {
    "title": "sample",
    "extensions": [
        {
            "name": "chaosnet",
            "edges": {
                "upload": {"from": "test/shop/client", "to": "svc:prod/prod-ns/prod-svc", "port": "8080/http", "send": 3000},
                "inside": {"from": "test/shop/client", "to": "svc:test/shop/cart", "port": "8080/http"},
                "data": {"from": "prod/prod-ns/orders", "to": "svc:prod/prod-ns/db", "port": "5432/tcp"},
                "spy": {"from": "test/shop/client", "to": "svc:prod/prod-ns/db", "port": "5432/tcp"},
                "peering": {"from": "node:test/test-1", "to": "node:test/test-2", "port": "179/bgp"},
            },
            "break": ["upload"],
        }
    ],
}


@dataclass(slots=True)
class Shelf(Rehearsal):
    """A rehearsal that keeps the faults which doors hand over, and plans nothing by itself."""

    taken: list[Fault] = field(default_factory=list)

    def inject(self, fault: Fault) -> dict[str, Any]:
        """Keep the fault."""
        self.taken.append(fault)
        return {"kind": fault.kind}


Door = Callable[..., Fault]


@pytest.fixture
def shelf(memory: MemoryTarget) -> Iterator[Shelf]:
    """The current session: a rehearsal on the in-memory network with a few declared edges, one of them to break."""
    plain = rehearse(memory, EXPERIMENT, "sample.yaml")
    session = Shelf(memory, plain.spec, plain.about, Path(), "shelf", 0.0, 0.0)
    session.watching = plain.watching
    make_current(session)
    yield session
    make_current(None)


@pytest.fixture
def door(shelf: Shelf) -> Door:
    """Call a door by module and function; the fault it made."""

    def call(module: str, function: str, **arguments: Any) -> Fault:
        answer = getattr(importlib.import_module(f"chaosnet.faults.{module}"), function)(**arguments)
        assert answer == {"kind": function}
        return shelf.taken[-1]

    return call


@pytest.fixture
def sites_of(shelf: Shelf, memory: MemoryTarget, inventory: Inventory) -> Callable[..., Sites]:
    """The sites of a fault's places, in the sample network or another."""

    def select(fault: Fault, there: Inventory | None = None) -> Sites:
        return injection.select(memory, there or inventory, fault, shelf.edges, shelf.announced)

    return select


@pytest.fixture
def plan_of(door: Door, sites_of: Callable[..., Sites]) -> Callable[..., Plan]:
    """Call a door and plan its fault on a target that can make every change."""

    def plan(
        module: str,
        function: str,
        *,
        inventory: Inventory | None = None,
        capabilities: Capabilities = EVERYTHING,
        **arguments: Any,
    ) -> Plan:
        fault = door(module, function, **arguments)
        return fault.plan(sites_of(fault, inventory), capabilities)

    return plan


def _nodes(cluster: str, cni: str, network: str, pods: str) -> tuple[Node, ...]:
    return tuple(
        Node(cluster, f"{cluster}-{i}", (f"{network}.{10 + i}",), cni=cni, pod_ranges=(f"{pods}.{i}.0/24",)) for i in (1, 2, 3)
    )


_PODS = {
    "test/shop/client": (("test-1", "10.0.1.5"),),
    "test/shop/cart": (("test-2", "10.0.2.10"), ("test-3", "10.0.3.10")),
    "test/kube-system/kube-dns": (("test-2", "10.0.2.53"),),
    "prod/prod-ns/web": (("prod-1", "10.1.1.10"), ("prod-2", "10.1.2.10")),
    "prod/prod-ns/orders": (("prod-2", "10.1.2.11"),),
    "prod/prod-ns/db": (("prod-3", "10.1.3.10"),),
    "prod/kube-system/kube-dns": (("prod-1", "10.1.1.53"),),
}
_HTTP = (ServicePort(8080, 8080, "tcp", "http"),)
_DNS = (ServicePort(53, 53, "udp", "dns"), ServicePort(53, 53, "tcp", "dns-tcp"))
_SERVICES = {
    "test/shop/cart": ("10.97.1.50", _HTTP, "test/shop/cart"),
    "test/kube-system/kube-dns": ("10.97.0.10", _DNS, "test/kube-system/kube-dns"),
    "prod/prod-ns/prod-svc": ("10.96.1.123", _HTTP, "prod/prod-ns/web"),
    "prod/prod-ns/orders": ("10.96.1.124", _HTTP, "prod/prod-ns/orders"),
    "prod/prod-ns/db": ("10.96.1.125", (ServicePort(5432, 5432, "tcp", "postgres"),), "prod/prod-ns/db"),
    "prod/kube-system/kube-dns": ("10.96.0.10", _DNS, "prod/kube-system/kube-dns"),
}


@pytest.fixture(scope="session")
def inventory() -> Inventory:
    """The network that plans are written down for: the default lab's, of this test's own, so that the table stands still."""
    pods, services = [], []
    for path, places in _PODS.items():
        cluster, namespace, name = path.split("/")
        labels = (("app", name),)
        pods += [Pod(cluster, namespace, f"{name}-{i}", node, (ip,), labels, name) for i, (node, ip) in enumerate(places)]
    for path, (address, ports, backend) in _SERVICES.items():
        cluster, namespace, name = path.split("/")
        services.append(Service(cluster, namespace, name, (address,), ports, tuple(ip for _, ip in _PODS[backend])))
    test, prod = _nodes("test", "cilium", "192.168.10", "10.0"), _nodes("prod", "calico", "192.168.20", "10.1")
    return Inventory(
        clusters=("test", "prod"),
        nodes=(
            *test,
            Node("test", "transit-test", ("192.168.10.1", "192.168.100.1"), role="router", enforces=False),
            *prod,
            Node("prod", "transit-prod", ("192.168.20.1", "192.168.100.2"), role="router", enforces=False),
        ),
        pods=tuple(pods),
        services=tuple(services),
        links=(
            *((node.name, "transit-test") for node in test),
            *((node.name, "transit-prod") for node in prod),
            ("transit-test", "transit-prod"),
        ),
    )


@pytest.fixture(scope="session")
def dual(inventory: Inventory) -> Inventory:
    """The default network with an IPv6 address beside every IPv4 one of pods, nodes and Services."""

    def both(addresses: tuple[str, ...]) -> tuple[str, ...]:
        return (*addresses, *(f"fd00::{address.replace('.', ':')}" for address in addresses))

    return replace(
        inventory,
        nodes=tuple(replace(node, addresses=both(node.addresses)) for node in inventory.nodes),
        pods=tuple(replace(pod, addresses=both(pod.addresses)) for pod in inventory.pods),
        services=tuple(
            replace(service, addresses=both(service.addresses), backends=both(service.backends)) for service in inventory.services
        ),
    )


@pytest.fixture(scope="module")
def lab() -> Iterator[Target]:
    """One lab for a file of tests."""
    target = open_target("lab")
    target.settle(60)
    yield target
    target.close()


@pytest.fixture
def bench(lab: Target, shelf: Shelf) -> Iterator[injection.Setting]:
    """The engine's injection on the lab; afterwards the lab must be as it was before."""
    lab.settle(60)
    before = dict(lab.snapshot())
    faults: list[FaultRun] = []
    setting = injection.Setting(
        lab, Ledger(), "run", shelf.edges, Ceiling(50, 50), faults, False, lambda *_, **__: time.monotonic()
    )
    yield setting
    for run in faults:
        injection.take_back(setting, run, "test")
    assert lab.owned() == ()
    deadline = time.monotonic() + 40
    while (left := _differences(before, lab)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left, "routes and objects come back as they were"


def _differences(before: dict[str, str], lab: Target) -> list[str]:
    now = lab.snapshot()
    return [key for key in {*before, *now} if before.get(key) != now.get(key)]


@pytest.fixture
def prove(bench: injection.Setting) -> Callable[[Fault], FaultRun]:
    """Inject a fault on the lab; it must be proven, and held when it is looked at again."""

    def inject(fault: Fault) -> FaultRun:
        run = injection.inject(bench, fault)
        injection.check_held(bench, run)
        assert run.held, run.lost
        return run

    return inject
