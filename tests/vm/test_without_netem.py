"""On a kernel without sch_netem the faults that need it are refused before anything is touched, with the way out."""

import importlib
from typing import Any

import pytest

from chaosnet.errors import Unsupported
from chaosnet.model.target import Target

pytestmark = pytest.mark.lab


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("delay", {"delay": "100ms"}),
        ("jitter", {"jitter": "100ms"}),
        ("duplicate", {"share": "10%"}),
        ("corrupt", {"share": "10%"}),
        ("reorder", {"share": "10%"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refused_with_the_way_out(name: str, arguments: dict[str, Any], session: Any, lab: Target) -> None:
    if "netem" not in lab.capabilities().missing:
        pytest.skip("does not apply: this kernel has sch_netem")
    running = session()
    with pytest.raises(Unsupported) as refused:
        getattr(importlib.import_module(f"chaosnet.faults.{name}"), name)(at="west/shop/client", **arguments)
    assert str(refused.value) == f"{name}: this kernel has no sch_netem; run it in the virtual machine: make test-vm"
    assert running.faults == []
    assert running.refused
