"""The faults that need netem, on a lab in a kernel that has it: proven on the wire, held until undo, nothing left."""

from collections.abc import Callable
from typing import Any

import pytest

from chaosnet.engine.faultrun import FaultRun
from chaosnet.model.fault import Fault

pytestmark = pytest.mark.vm

CLIENT = {"at": "test/shop/client"}


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("delay", {**CLIENT, "delay": "100ms"}),
        ("delay", {**CLIENT, "delay": "100ms", "jitter": "10ms", "direction": "both"}),
        ("delay", {"at": "link:transit-test--transit-prod", "delay": "150ms", "direction": "from"}),
        ("delay", {**CLIENT, "delay": "200ms", "port": "8080"}),
        ("jitter", {**CLIENT, "jitter": "100ms"}),
        ("duplicate", {**CLIENT, "share": "10%"}),
        ("corrupt", {**CLIENT, "share": "10%"}),
        ("corrupt", {**CLIENT, "share": "10%", "direction": "both"}),
        ("reorder", {**CLIENT, "share": "25%", "delay": "50ms"}),
    ],
)
def test_netem(name: str, arguments: dict[str, Any], door: Callable[..., Fault], prove: Callable[[Fault], FaultRun]) -> None:
    assert prove(door(name, name, **arguments)).proven
