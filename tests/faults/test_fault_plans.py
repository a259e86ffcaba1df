"""What the doors plan: changes, effects, warnings, for sample settings on the sample network; and what holds for all plans."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaosnet.model.change import DaemonState, Filter, LinkMtu, Match, Object, RouteMtu, Shape, say
from chaosnet.model.codec import from_plain, to_plain
from chaosnet.model.fault import Fault, Plan
from chaosnet.model.flow import pod_site, witnesses
from chaosnet.model.inventory import Inventory
from chaosnet.model.question import Load, PathMtu, Stream

CASES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "plans.yaml").read_text(encoding="utf-8"))
Planner = Callable[..., Plan]


def _name(case: dict[str, Any]) -> str:
    return f"{case['call'].rpartition('.')[2]}-{'-'.join(map(str, case['arguments'].values()))}"


def _call(case: dict[str, Any], use: Callable[..., Any]) -> Any:
    _, _, module, function = case["call"].split(".")
    return use(module, function, **case["arguments"])


@pytest.mark.parametrize("case", CASES, ids=_name)
def test_plan(case: dict[str, Any], plan_of: Planner) -> None:
    plan = _call(case, plan_of)
    assert [say(change) for change in plan.changes] == case["changes"]
    assert [effect.name for effect in plan.effects] == case["effects"]
    assert list(plan.warnings) == case.get("warnings", [])
    assert plan.established
    assert plan.fresh


@pytest.mark.parametrize("case", CASES, ids=_name)
def test_plan_is_pure(case: dict[str, Any], plan_of: Planner) -> None:
    first, again = _call(case, plan_of), _call(case, plan_of)
    assert first.changes == again.changes
    assert [effect.ask for effect in first.effects] == [effect.ask for effect in again.effects]


@pytest.mark.parametrize("case", CASES, ids=_name)
def test_what_is_planned_survives_the_ledger(case: dict[str, Any], plan_of: Planner, door: Callable[..., Fault]) -> None:
    for change in _call(case, plan_of).changes:
        assert from_plain(type(change), to_plain(change)) == change
    settings = to_plain(_call(case, door))
    assert settings["kind_"]
    assert settings["duration"] > 0


def test_every_door_is_planned_here() -> None:
    from chaosnet import discover

    activities: Any = discover()["activities"]
    doors = {entry["name"] for entry in activities if entry["mod"].startswith("chaosnet.faults.")}
    assert doors - {"undo"} == {case["call"].rpartition(".")[2] for case in CASES}


def test_silence_comes_before_the_mtu(plan_of: Planner) -> None:
    # In the other order one ICMP message could slip out, and its size is remembered for 10 minutes.
    plan = plan_of("mtu", "shrink_mtu", at="hop:upload/source-node", mtu="1450", icmp="drop")
    assert [type(change) for change in plan.changes] == [Filter, RouteMtu]


def test_mtu_sweep_begins_above_a_jumbo_mtu(plan_of: Planner) -> None:
    plan = plan_of("mtu", "shrink_mtu", at="link:transit-test--transit-prod", mtu="1500")
    assert [effect.ask.ceiling for effect in plan.effects if isinstance(effect.ask, PathMtu)] == [9000, 9000]


def test_controller_stops_before_its_endpoints_change(plan_of: Planner) -> None:
    # In the other order the controller would mend them at once; undo runs backwards and mends them first.
    for mode in ("stale", "missing"):
        plan = plan_of("service", "break_service", at="svc:prod/prod-ns/prod-svc", mode=mode)
        assert [type(change) for change in plan.changes] == [DaemonState, Object]


def test_stale_endpoints_are_nobodys(plan_of: Planner, inventory: Inventory) -> None:
    plan = plan_of("service", "break_service", at="svc:prod/prod-ns/prod-svc", mode="stale")
    patch = plan.changes[1]
    assert isinstance(patch, Object)
    assert patch.manifest == (
        '{"endpoints": [{"addresses": ["10.1.1.254"], "conditions": {"ready": true}, "nodeName": "prod-1"}, '
        '{"addresses": ["10.1.2.254"], "conditions": {"ready": true}, "nodeName": "prod-2"}]}'
    )
    assert not {"10.1.1.254", "10.1.2.254"} & {address for pod in inventory.pods for address in pod.addresses}


def test_partition_takes_both_families(plan_of: Planner, dual: Inventory) -> None:
    plan = plan_of("partition", "partition", source="test/shop/client", destination="prod/prod-ns/db", inventory=dual)
    for change in plan.changes:
        assert isinstance(change, Filter)
        assert {*change.match.sources, *change.match.destinations} == {
            "10.1.3.10", "10.96.1.125", "fd00::10:1:3:10", "fd00::10:96:1:125",
        }  # fmt: skip


def test_snat_takes_each_family_with_its_own_address(plan_of: Planner, dual: Inventory) -> None:
    plan = plan_of("snat", "tamper_snat", at="node:test/test-1", inventory=dual)
    assert [say(change) for change in plan.changes] == [
        "source of packets from 10.0.1.5 rewritten to 192.168.10.11 at node:test/test-1",
        "source of packets from fd00::10:0:1:5 rewritten to fd00::192:168:10:11 at node:test/test-1",
    ]


def test_a_service_port_is_met_on_both_sides_of_its_translation(plan_of: Planner, inventory: Inventory) -> None:
    services = tuple(replace(s, ports=(replace(s.ports[0], port=80),)) if s.name == "prod-svc" else s for s in inventory.services)
    plan = plan_of(
        "partition", "partition", source="test/shop/client", destination="svc:prod/prod-ns/prod-svc", port="80",
        inventory=replace(inventory, services=services),
    )  # fmt: skip
    assert {change.match.ports for change in plan.changes if isinstance(change, Filter)} == {(80, 8080)}


def test_streams_send_enough_to_tell_a_share_from_none(plan_of: Planner) -> None:
    for share, packets in (("30%", 200), ("1%", 3000), ("0.15%", 20000)):
        plan = plan_of("loss", "loss", at="test/shop/client", share=share)
        question = plan.effects[0].ask
        assert isinstance(question, Stream)
        assert round(question.rate * question.seconds) == packets


def test_burst_is_larger_than_the_table(plan_of: Planner) -> None:
    for limit in (1, 50, 1000, 2600):
        question = plan_of("conntrack", "exhaust_conntrack", at="node:test/test-1", limit=str(limit)).effects[0].ask
        assert isinstance(question, Load)
        assert question.rate * question.seconds >= 1.5 * limit


def test_bgp_is_given_the_hold_time_and_five_seconds(plan_of: Planner) -> None:
    plan = plan_of("bgp", "block_bgp", at="node:test/test-1")
    assert [effect.within for effect in plan.effects] == [14.0, 14.0]


def test_link_shapes_leave_each_end_once(plan_of: Planner) -> None:
    for direction, ends in (("to", ["transit-test"]), ("from", ["transit-prod"]), ("both", ["transit-test", "transit-prod"])):
        plan = plan_of("delay", "delay", at="link:transit-test--transit-prod", delay="10ms", direction=direction)
        found = [change for change in plan.changes if isinstance(change, Shape)]
        assert [(change.site.name, change.direction) for change in found] == [(end, "egress") for end in ends]


def test_link_mtu_cuts_both_ends(plan_of: Planner) -> None:
    plan = plan_of("mtu", "shrink_mtu", at="link:transit-test--transit-prod", mtu="1400")
    assert [change.site.interface for change in plan.changes if isinstance(change, LinkMtu)] == ["transit-prod", "transit-test"]


def test_all_nodes_are_no_routers(plan_of: Planner) -> None:
    plan = plan_of("loss", "loss", at="node:test/*", share="50%")
    assert [change.site.name for change in plan.changes if isinstance(change, Filter)] == ["test-1", "test-2", "test-3"]
    assert all(change.match == Match() for change in plan.changes if isinstance(change, Filter))


def test_nobody_is_measured_against_itself(inventory: Inventory) -> None:
    pods = [pod_site(pod) for pod in inventory.pods]
    seen = witnesses(pods, pods, inventory, most=500)
    assert len(seen) > 20
    assert all(witness.edge.source != witness.edge.destination for witness in seen)


def test_every_near_site_is_measured_before_one_is_measured_twice(inventory: Inventory) -> None:
    near = [pod_site(pod) for pod in inventory.pods if pod.cluster == "test"]
    far = [pod_site(pod) for pod in inventory.pods if pod.cluster == "prod"]
    seen = witnesses(near, far, inventory, most=len(near))
    ends = {str(end) for witness in seen for end in (witness.edge.source, witness.edge.destination)}
    assert {str(site) for site in near} <= ends
