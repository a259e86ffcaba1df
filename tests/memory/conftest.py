"""Edges of the default network, and short words for asking what they meet."""

from collections.abc import Callable

import pytest

from chaosnet.model.change import (
    Change,
)
from chaosnet.model.edge import State, parse_edge
from chaosnet.model.inventory import Site
from chaosnet.model.place import parse_place, resolve
from chaosnet.model.question import (
    Reach,
    Reached,
)
from chaosnet.targets.memory import MemoryTarget

CLIENT, WEB, PROD_SVC = "test/shop/client", "prod/prod-ns/web", "svc:prod/prod-ns/prod-svc"
CART, DNS = "svc:test/shop/cart", "svc:test/kube-system/kube-dns"
EDGES = {
    name: parse_edge(name, {"from": CLIENT, "to": PROD_SVC, "port": "8080/http"} | fields, "edges")
    for name, fields in {
        "small": {"send": 100},
        "upload": {"send": 3000},
        "answer": {"receive": 3000},
        "ping": {"to": WEB, "port": "icmp"},
        "big-ping": {"to": WEB, "port": "icmp", "send": 1472},
        "near": {"to": CART, "port": "8080/tcp"},
        "named": {"by": "name"},
        "dns": {"to": DNS, "port": "53/dns", "query": "cart.shop.svc.cluster.local"},
        "peering": {"from": "node:test/test-1", "to": "node:prod/prod-1", "port": "179/bgp"},
    }.items()
}


@pytest.fixture
def do(memory: MemoryTarget) -> Callable[..., str]:
    """Put changes in force under a ticket of their own; returns the ticket."""

    def make(*changes: Change, ticket: str = "abcdefghij", seconds: float = 600) -> str:
        record = [memory.prepare(ticket, change) for change in changes]
        memory.arm(ticket, record, seconds)
        for change, undo in zip(changes, record, strict=True):
            memory.do(ticket, change, undo)
        return ticket

    return make


def at(memory: MemoryTarget, text: str) -> Site:
    """The first site that a place means."""
    return resolve(parse_place(text, "at"), EDGES, memory.inventory(), "at")[0]


def states(memory: MemoryTarget, *names: str, timeout: float = 1.0) -> dict[str, State]:
    """What each edge meets now."""
    answer = memory.ask(Reach(tuple(EDGES[name] for name in names or EDGES), timeout))
    assert isinstance(answer, Reached)
    return {seen.edge: seen.state for seen in answer.observations}


def broken(memory: MemoryTarget) -> set[str]:
    """The edges that do not pass."""
    return {name for name, state in states(memory).items() if not state.passes}
