"""The shelf of faults, called by its doors as an experiment does, and planned against the default network.

``door("mtu", "shrink_mtu", at=...)`` gives the typed fault; ``plan_of(...)`` its plan on a target that can make every change.
"""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from chaosnet.engine import inject as injection
from chaosnet.engine.rehearse import Rehearsal, rehearse
from chaosnet.engine.session import make_current
from chaosnet.model.change import CHANGES
from chaosnet.model.fault import Capabilities, Fault, Plan
from chaosnet.model.inventory import Inventory, Sites
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
    """The current session: a rehearsal on the in-memory network with three declared edges, one of them to break."""
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
def sites_of(shelf: Shelf, memory: MemoryTarget) -> Callable[..., Sites]:
    """The sites of a fault's places, in the default network or another."""

    def select(fault: Fault, inventory: Inventory | None = None) -> Sites:
        return injection.select(memory, inventory or memory.inventory(), fault, shelf.edges, shelf.announced)

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
