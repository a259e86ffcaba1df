"""The doors as chaostoolkit sees them: discovered with typed arguments, in one order, with an example that parses and plans."""

import importlib
import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from chaosnet import discover
from chaosnet.model.fault import Fault, Plan

# What ``chaos discover chaosnet`` says of each fault.  Other people's experiments rely on names, order and defaults.
DOORS = {
    "bandwidth": (
        "at: string, rate: string, peer: string = '', direction: string = 'to', protocol: string = ''"
        ", port: string = '', duration: string = '60s'"
    ),
    "block_bgp": (
        "at: string, peer: string = '', how: string = 'drop', ports: string = 'both'"
        ", direction: string = 'both', placement: string = 'first', duration: string = '60s'"
    ),
    "exhaust_conntrack": "at: string, limit: string, duration: string = '60s'",
    "corrupt": (
        "at: string, share: string, peer: string = '', direction: string = 'to', protocol: string = ''"
        ", port: string = '', duration: string = '60s'"
    ),
    "stop_daemon": "at: string, daemon: string, duration: string = '60s'",
    "delay": (
        "at: string, delay: string, jitter: string = '', peer: string = '', direction: string = 'to'"
        ", protocol: string = '', port: string = '', duration: string = '60s'"
    ),
    "break_dns": (
        "at: string, mode: string, names: string = '', delay: string = '3s', answer: string = '192.0.2.1'"
        ", duration: string = '60s'"
    ),
    "duplicate": (
        "at: string, share: string, peer: string = '', direction: string = 'to', protocol: string = ''"
        ", port: string = '', duration: string = '60s'"
    ),
    "stop_enforcement": "at: string, edges: list = [], duration: string = '60s'",
    "jitter": (
        "at: string, jitter: string, peer: string = '', direction: string = 'to', protocol: string = ''"
        ", port: string = '', duration: string = '60s'"
    ),
    "drift_labels": "at: string, labels: string, of: string = 'pod', edges: list = [], duration: string = '60s'",
    "loss": (
        "at: string, share: string, peer: string = '', direction: string = 'to', protocol: string = ''"
        ", port: string = '', duration: string = '60s'"
    ),
    "move_pod": "at: string, node: string, duration: string = '60s'",
    "shrink_mtu": "at: string, mtu: string, icmp: string = 'pass', scope: string = '', duration: string = '60s'",
    "stop_node": "at: string, duration: string = '60s'",
    "partition": (
        "source: string, destination: string, direction: string = 'both', how: string = 'drop'"
        ", port: string = '', protocol: string = '', at: string = '', duration: string = '60s'"
    ),
    "change_policy": (
        "at: string, action: string, manifest: mapping = {}, kind: string = '', edges: list = [], duration: string = '60s'"
    ),
    "block_port": (
        "at: string, port: string, protocol: string = 'tcp', direction: string = 'from', how: string = 'drop'"
        ", peer: string = '', placement: string = 'first', duration: string = '60s'"
    ),
    "reorder": (
        "at: string, share: string, delay: string = '10ms', peer: string = '', direction: string = 'to'"
        ", protocol: string = '', port: string = '', duration: string = '60s'"
    ),
    "break_service": "at: string, mode: string, duration: string = '60s'",
    "tamper_snat": "at: string, source: string = 'node', peer: string = '', duration: string = '60s'",
    "undo": "ticket: string = ''",
}


def _activities() -> list[dict[str, Any]]:
    found: Any = discover()["activities"]
    return [entry for entry in found if entry["mod"].startswith("chaosnet.faults.")]


def _signature(entry: dict[str, Any]) -> str:
    return ", ".join(f"{a['name']}: {a['type']}" + (f" = {a['default']!r}" if "default" in a else "") for a in entry["arguments"])


def test_discovered_doors() -> None:
    assert {entry["name"]: _signature(entry) for entry in _activities()} == DOORS


def test_doors_are_actions_with_plain_results() -> None:
    for entry in _activities():
        assert entry["type"] == "action", entry["name"]
        assert entry["return_type"] == "mapping", entry["name"]
        assert entry["doc"], entry["name"]


def test_one_door_a_file() -> None:
    modules = [entry["mod"] for entry in _activities()]
    assert len(modules) == len(set(modules))


def test_places_come_first_and_the_duration_last() -> None:
    for entry in _activities():
        names = [argument["name"] for argument in entry["arguments"]]
        if entry["name"] != "undo":
            assert names[0] == "at" or names[:2] == ["source", "destination"], entry["name"]
            assert names[-1] == "duration", entry["name"]


def _examples() -> list[tuple[str, dict[str, Any]]]:
    found = []
    for entry in _activities():
        text = inspect.getdoc(getattr(importlib.import_module(entry["mod"]), entry["name"])) or ""
        _, example, block = text.partition("Example:\n")
        assert example, f"{entry['name']} has no example"
        found.append((entry["name"], yaml.safe_load(block)))
    return found


@pytest.mark.parametrize(("name", "example"), _examples(), ids=lambda value: value if isinstance(value, str) else "")
def test_example(name: str, example: dict[str, Any], door: Callable[..., Fault], plan_of: Callable[..., Plan]) -> None:
    assert example["func"] == name
    if name == "undo":
        return
    arguments = example["arguments"]
    assert not [value for value in arguments.values() if isinstance(value, bool)], (
        "YAML 1.1 reads on, off, yes and no as booleans"
    )
    if name in ("bandwidth", "tamper_snat", "exhaust_conntrack"):
        arguments = {key: re.sub(r"hop:[a-z]+/", "hop:upload/", value) for key, value in arguments.items()}
    if name == "drift_labels":
        arguments["labels"] = "app-"
    plan = plan_of(example["module"].rpartition(".")[2], name, **arguments)
    assert plan.changes
    assert plan.effects


def test_docstrings_say_the_whole_truth() -> None:
    for entry in _activities():
        module = importlib.import_module(entry["mod"])
        text = " ".join((module.__doc__ or "").split())
        if entry["name"] != "undo":
            for words in ("hat it does not do", "Undo "):
                assert words in text, f"{entry['mod']} does not say {words!r}"
        hints = inspect.signature(getattr(module, entry["name"])).parameters.values()
        assert all(parameter.kind is parameter.POSITIONAL_OR_KEYWORD for parameter in hints)
        assert "annotations" not in vars(module), f"{entry['mod']}: chaostoolkit cannot read postponed annotations"
