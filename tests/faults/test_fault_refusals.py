"""What the doors and plans refuse: always one sentence that names the argument and the value, and says what to do."""

import importlib
import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chaosnet.errors import ChaosnetError, InputError, NoSession, Refused, Unsupported
from chaosnet.faults.loss import loss
from chaosnet.model.change import CHANGES
from chaosnet.model.fault import Capabilities, Plan
from chaosnet.model.inventory import Inventory

Planner = Callable[..., Plan]
REFUSALS: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "refusals.yaml").read_text(encoding="utf-8"))
PLANS: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "plans.yaml").read_text(encoding="utf-8"))
ERRORS: dict[str, type[ChaosnetError]] = {"InputError": InputError, "Refused": Refused}


@pytest.mark.parametrize(
    "case", REFUSALS, ids=lambda c: f"{c['call'].rpartition('.')[2]}-{'-'.join(map(str, c['arguments'].values()))}"[:80]
)
def test_refusal(case: dict[str, Any], plan_of: Planner) -> None:
    _, _, module, function = case["call"].split(".")
    with pytest.raises(ERRORS[case["error"]]) as caught:
        plan_of(module, function, **case["arguments"])
    _is_one_sentence(caught.value)
    for part in case["says"]:
        assert part in str(caught.value)


def _is_one_sentence(error: ChaosnetError) -> None:
    text = str(error)
    assert "\n" not in text
    assert ". " not in text
    assert not text.endswith(".") or text.endswith(", ...")
    assert len(text) < 400


NETEM = ("delay", "jitter", "duplicate", "corrupt", "reorder")
SETTINGS = {
    "delay": {"delay": "10ms"},
    "jitter": {"jitter": "10ms"},
    "duplicate": {"share": "5%"},
    "corrupt": {"share": "5%"},
    "reorder": {"share": "5%"},
}


@pytest.mark.parametrize("name", NETEM)
def test_without_netem_the_sentence_is_the_targets(name: str, plan_of: Planner) -> None:
    bare = Capabilities("sample", frozenset(CHANGES), {"netem": "this kernel has no sch_netem; run it where there is"})
    with pytest.raises(Unsupported, match=f"^{name}: this kernel has no sch_netem; run it where there is$"):
        plan_of(name, name, at="test/shop/client", capabilities=bare, **SETTINGS[name])


def test_loss_and_bandwidth_need_no_netem(plan_of: Planner) -> None:
    bare = Capabilities("sample", frozenset(CHANGES), {"netem": "none here"})
    assert plan_of("loss", "loss", at="test/shop/client", share="5%", capabilities=bare).changes
    assert plan_of("bandwidth", "bandwidth", at="test/shop/client", rate="1mbit", capabilities=bare).changes


def test_without_bgp_or_daemons(plan_of: Planner) -> None:
    bare = Capabilities("sample", frozenset(CHANGES), {"bgp": "nobody speaks BGP here", "daemons": "nothing can be stopped here"})
    with pytest.raises(Unsupported, match=r"^block_bgp: nobody speaks BGP here$"):
        plan_of("bgp", "block_bgp", at="node:test/test-1", capabilities=bare)
    with pytest.raises(Unsupported, match=r"^stop_node: nothing can be stopped here$"):
        plan_of("node", "stop_node", at="node:test/test-1", capabilities=bare)


@pytest.mark.parametrize(
    ("module", "function", "arguments"),
    [
        ("partition", "partition", {"source": "test/shop/client", "destination": "ip:10.1.3.10"}),
        ("loss", "loss", {"at": "test/shop/client", "share": "5%", "peer": "ip:10.1.3.10"}),
        ("snat", "tamper_snat", {"at": "node:test/test-1", "peer": "ip:10.1.3.10"}),
        ("snat", "tamper_snat", {"at": "node:test/test-1", "source": "192.0.2.1"}),
        ("port", "block_port", {"at": "node:test/test-1", "port": "8080", "peer": "ip:10.1.3.10"}),
    ],
)
def test_half_of_a_dual_stack_is_refused(
    module: str, function: str, arguments: dict[str, Any], plan_of: Planner, dual: Inventory
) -> None:
    assert plan_of(module, function, **arguments).changes, "with one family it is fine"
    with pytest.raises(Refused) as caught:
        plan_of(module, function, inventory=dual, **arguments)
    _is_one_sentence(caught.value)
    assert "famil" in str(caught.value)


def test_ipv6_cannot_live_below_1280(plan_of: Planner, dual: Inventory) -> None:
    assert plan_of("mtu", "shrink_mtu", at="hop:upload/source-node", mtu="1279").changes
    assert plan_of("mtu", "shrink_mtu", at="hop:upload/source-node", mtu="1280", inventory=dual).changes
    with pytest.raises(Refused, match="1280 or more"):
        plan_of("mtu", "shrink_mtu", at="hop:upload/source-node", mtu="1279", inventory=dual)


def test_nothing_announced_is_refused(shelf: Any, plan_of: Planner) -> None:
    shelf.watching = tuple(replace(item, expected="hold") for item in shelf.watching)
    for module, function, arguments in (
        ("policy", "change_policy", {"at": "prod/prod-ns/x", "action": "remove"}),
        ("labels", "drift_labels", {"at": "prod/prod-ns/db", "labels": "app-"}),
    ):
        with pytest.raises(Refused, match="no edge is said to change"):
            plan_of(module, function, **arguments)
        assert plan_of(module, function, edges=["inside"], **arguments).effects


def test_a_service_without_endpoints_has_nothing_to_break(plan_of: Planner, inventory: Inventory) -> None:
    idle = replace(inventory, services=tuple(replace(s, backends=()) for s in inventory.services))
    for mode in ("stale", "missing", "late", "rules-missing"):
        with pytest.raises(InputError, match="has no endpoints"):
            plan_of("service", "break_service", at="svc:prod/prod-ns/db", mode=mode, inventory=idle)


def test_a_node_that_enforces_nothing_cannot_stop(plan_of: Planner, inventory: Inventory) -> None:
    kubenet = replace(inventory, nodes=tuple(replace(n, enforces=n.name != "test-3") for n in inventory.nodes))
    with pytest.raises(InputError, match="node:test/test-3 enforces no policies anyway"):
        plan_of("enforcement", "stop_enforcement", at="node:test/test-3", inventory=kubenet)


def test_without_a_session() -> None:
    with pytest.raises(NoSession, match="list the control"):
        loss("test/shop/client", "5%")


_WORDS = st.sampled_from([
    "test/shop/client", "prod/prod-ns/*", "svc:prod/prod-ns/prod-svc", "node:test/*", "hop:upload/source-node", "ip:10.1.1.10",
    "link:transit-test--transit-prod", "transit:transit-test", "prod/prod-ns/x", "30%", "100%", "10mbit", "1450", "50ms",
    "60s", "8080", "both", "to", "from", "drop", "reject", "tcp", "udp", "icmp", "link", "node", "pod", "stale", "missing", "down", "apply",
    "app=x,tier-", ";drop", "${x}",
])  # fmt: skip
_VALUES = st.one_of(
    _WORDS, st.text(max_size=20), st.booleans(), st.integers(), st.none(), st.floats(), st.lists(_WORDS, max_size=2)
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_an_experiment_says_it_is_planned_or_refused_in_a_sentence(data: st.DataObject, plan_of: Planner) -> None:
    case = data.draw(st.sampled_from(PLANS), label="case")
    _, _, module, function = case["call"].split(".")
    names = list(inspect.signature(getattr(importlib.import_module(f"chaosnet.faults.{module}"), function)).parameters)
    spoiled = data.draw(st.dictionaries(st.sampled_from(names), _VALUES, max_size=2), label="spoiled")
    try:
        plan = plan_of(module, function, **{**case["arguments"], **spoiled})
    except (InputError, Refused, Unsupported) as error:
        sentence = str(error)
    else:
        sentence = "planned"
        assert plan.changes
        assert plan.effects
    assert sentence
    assert "\n" not in sentence
