"""Every fault through the engine on the in-memory network: proven where it is made, held until undo, and nothing left.

And its placebo: the same fault with nothing done must not be proven.  The network's clock runs twenty times as fast as
ours, so that BGP's timers pass in half a second.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaosnet.engine import inject as injection
from chaosnet.engine.experiment import Ceiling
from chaosnet.engine.faultrun import FaultRun
from chaosnet.engine.ledger import Ledger
from chaosnet.errors import NotProven, Refused
from chaosnet.model.fault import Fault
from chaosnet.model.question import Counters
from chaosnet.targets.memory import Clock, MemoryTarget, fresh

PLANS: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "plans.yaml").read_text(encoding="utf-8"))
SPEED = 20


def _name(case: dict[str, Any]) -> str:
    return f"{case['call'].rpartition('.')[2]}-{'-'.join(map(str, case['arguments'].values()))}"


# Faults made of API objects show only in edges, so these name some that the default manifests' policies open or close.
OBJECTS: list[dict[str, Any]] = [
    {"call": f"chaosnet.faults.{call}", "arguments": arguments}
    for call, arguments in (
        ("policy.change_policy", {
            "at": "prod/prod-ns/deny", "action": "apply", "edges": ["upload"],
            "manifest": {"spec": {"podSelector": {}, "policyTypes": ["Ingress"]}},
        }),
        ("policy.change_policy", {"at": "prod/prod-ns/db-only-from-orders", "action": "remove", "edges": ["spy"]}),
        ("policy.change_policy", {
            "at": "prod/prod-ns/db-only-from-orders", "action": "patch", "edges": ["spy"],
            "manifest": "spec: {podSelector: {matchLabels: {tier: elsewhere}}}",
        }),
        ("labels.drift_labels", {"at": "prod/prod-ns/db", "labels": "tier=storage", "edges": ["spy"]}),
        ("labels.drift_labels", {"at": "prod/prod-ns/orders", "labels": "access-", "edges": ["data"]}),
        ("enforcement.stop_enforcement", {"at": "node:prod/prod-3", "edges": ["spy"]}),
    )
]  # fmt: skip


def _shows(case: dict[str, Any]) -> bool:
    """What must not be proven even where it is made: lessons, and a port that nobody here talks to."""
    arguments = case["arguments"]
    heals = case["call"].endswith("block_bgp") and (arguments.get("ports") == "destination" or "placement" in arguments)
    return not heals and arguments.get("port") != "4789"


CASES = [case for case in PLANS if not case["call"].endswith(("change_policy", "drift_labels"))] + OBJECTS
PROVABLE = [case for case in CASES if _shows(case)]


@pytest.fixture
def network(tmp_path: Path) -> Iterator[MemoryTarget]:
    began = time.monotonic()
    target = fresh(path=tmp_path / "fast.json", clock=lambda: began + SPEED * (time.monotonic() - began))
    yield target
    target.close()


class Bench:
    """The engine's injection with nothing round it: no sampler, no verdict."""

    def __init__(self, target: MemoryTarget, shelf: Any, placebo: bool) -> None:
        self.faults: list[FaultRun] = []
        self.setting = injection.Setting(
            target, Ledger(), "run", shelf.edges, Ceiling(50, 50), self.faults, placebo, lambda *_, **__: time.monotonic()
        )

    def inject(self, fault: Fault) -> FaultRun:
        return injection.inject(self.setting, fault)


def _fault(case: dict[str, Any], door: Callable[..., Fault], duration: str) -> Fault:
    _, _, module, function = case["call"].split(".")
    return door(module, function, **{**case["arguments"], "duration": duration})


@pytest.mark.parametrize("case", PROVABLE, ids=_name)
def test_proven_held_and_undone(case: dict[str, Any], door: Callable[..., Fault], shelf: Any, network: MemoryTarget) -> None:
    before = network.snapshot()
    bench = Bench(network, shelf, placebo=False)
    run = bench.inject(_fault(case, door, "10m"))
    assert run.proven
    assert all(proof.reading and proof.reading.ok for proof in run.proofs)
    injection.check_held(bench.setting, run)
    assert run.held, run.lost
    injection.take_back(bench.setting, run, "test")
    assert run.undone
    assert network.owned() == ()
    if not case["call"].endswith(("block_bgp", "stop_daemon", "stop_node")):
        assert network.snapshot() == before, "routes and sessions come back later; everything else at once"


@pytest.mark.parametrize("case", CASES, ids=_name)
def test_placebo_is_never_proven(case: dict[str, Any], door: Callable[..., Fault], shelf: Any, network: MemoryTarget) -> None:
    bench = Bench(network, shelf, placebo=True)
    with pytest.raises(NotProven) as caught:
        bench.inject(_fault(case, door, "50ms"))
    assert "was not seen within" in str(caught.value)
    assert network.owned() == ()


@pytest.mark.parametrize("case", [case for case in CASES if not _shows(case)], ids=_name)
def test_lessons_do_not_last(
    case: dict[str, Any], door: Callable[..., Fault], memory: MemoryTarget, clock: Clock, sites_of: Callable[..., Any]
) -> None:
    """Thirty seconds on, long after the hold time, the effect does not show: it healed, or there never was one."""
    fault = _fault(case, door, "10m")
    plan = fault.plan(sites_of(fault, memory.inventory()), memory.capabilities())
    before = [memory.ask(effect.ask) for effect in plan.effects]
    undo = [memory.prepare("lesson0000", change) for change in plan.changes]
    memory.arm("lesson0000", undo, 600)
    for change, step in zip(plan.changes, undo, strict=True):
        memory.do("lesson0000", change, step)
    clock.advance(30)
    asked = [Counters("lesson0000") if isinstance(effect.ask, Counters) else effect.ask for effect in plan.effects]
    readings = [effect.judge(was, memory.ask(ask)) for effect, was, ask in zip(plan.effects, before, asked, strict=True)]
    assert not all(reading.ok for reading in readings)


@pytest.mark.parametrize(
    ("module", "function", "arguments", "elsewhere"),
    [
        ("loss", "loss", {"at": "test/shop/client", "share": "50%"}, {"at": "test/shop/cart", "share": "50%"}),
        ("mtu", "shrink_mtu", {"at": "node:test/test-1", "mtu": "1400"}, {"at": "node:test/test-2", "mtu": "1400"}),
        ("bgp", "block_bgp", {"at": "node:test/test-1"}, {"at": "node:prod/prod-2"}),
        ("dns", "break_dns", {"at": "svc:test/kube-system/kube-dns", "mode": "drop"}, {"at": "svc:prod/kube-system/kube-dns", "mode": "drop"}),
        ("node", "stop_node", {"at": "node:test/test-1"}, {"at": "node:prod/prod-3"}),
        ("snat", "tamper_snat", {"at": "node:test/test-1", "source": "192.0.2.1"}, {"at": "node:test/test-2", "source": "192.0.2.1"}),
        (
            "partition", "partition", {"source": "test/shop/client", "destination": "prod/prod-ns/orders"},
            {"source": "test/shop/cart", "destination": "prod/prod-ns/orders"},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_on_the_wrong_spot_it_is_not_proven(
    module: str, function: str, arguments: dict[str, Any], elsewhere: dict[str, Any],
    door: Callable[..., Fault], shelf: Any, network: MemoryTarget, sites_of: Callable[..., Any],
) -> None:  # fmt: skip
    """The effects of a fault, measured while the same fault sits somewhere else."""
    wanted = door(module, function, **arguments)
    effects = wanted.plan(sites_of(wanted, network.inventory()), network.capabilities()).effects
    before = [network.ask(effect.ask) for effect in effects]
    bench = Bench(network, shelf, placebo=False)
    bench.inject(door(module, function, **elsewhere, duration="10m"))
    readings = [effect.judge(was, network.ask(effect.ask)) for effect, was in zip(effects, before, strict=True)]
    assert not all(reading.ok for reading in readings)


def test_an_empty_selection_touches_nothing(door: Callable[..., Fault], shelf: Any, network: MemoryTarget) -> None:
    bench = Bench(network, shelf, placebo=False)
    fault = door("partition", "partition", source="test/shop/client", destination="test/shop/client")
    with pytest.raises(Refused):
        bench.inject(fault)
    assert not bench.faults
    assert network.owned() == ()
