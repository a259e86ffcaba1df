"""What only netem can do, on a kernel that has it: proven by real streams, held, undone without a trace, and no placebo.

The settings are large (tenths of seconds, shares of a third): an emulated processor adds milliseconds of its own.
"""

import importlib
import time
from typing import Any

import pytest

from chaosnet.engine.session import Session
from chaosnet.errors import NotProven
from chaosnet.model.change import Match, Shape
from chaosnet.model.edge import Edge
from chaosnet.model.endpoint import parse_endpoint
from chaosnet.model.inventory import one
from chaosnet.model.question import Counted, Counters, Stream, Streamed
from chaosnet.model.target import Target

pytestmark = [pytest.mark.vm, pytest.mark.lab, pytest.mark.timeout(300)]

CLIENT, WEB = "west/shop/client", "west/shop/web"
CASES: list[tuple[str, dict[str, Any]]] = [
    ("delay", {"delay": "300ms"}),
    ("delay", {"delay": "200ms", "jitter": "50ms", "direction": "both", "protocol": "udp"}),
    ("delay", {"delay": "200ms", "protocol": "tcp", "port": "8080"}),
    ("jitter", {"jitter": "150ms"}),
    ("duplicate", {"share": "30%"}),
    ("duplicate", {"share": "30%", "direction": "both", "protocol": "udp"}),
    ("corrupt", {"share": "30%"}),
    ("corrupt", {"share": "30%", "protocol": "udp", "direction": "from"}),
    ("corrupt", {"share": "30%", "protocol": "udp", "direction": "both"}),
    ("reorder", {"share": "30%", "delay": "150ms"}),
]


def inject(name: str, **arguments: Any) -> dict[str, Any]:
    """Call the fault's door, as an experiment does."""
    evidence = getattr(importlib.import_module(f"chaosnet.faults.{name}"), name)(at=CLIENT, **arguments)
    assert isinstance(evidence, dict)
    return evidence


def stream(lab: Target, rate: int = 100, protocol: str = "udp") -> Streamed:
    """What comes back of one second's datagrams from the client to the web pod."""
    here, there = parse_endpoint(CLIENT, "test"), parse_endpoint(WEB, "test")
    answer = lab.ask(Stream(Edge("stream", here, there, protocol, 9000 if protocol == "udp" else 0), rate, 1.0))
    assert isinstance(answer, Streamed)
    return answer


def calm(lab: Target) -> Streamed:
    """Wait for a stream without a flaw: an emulated processor stands still at times, and a host's other work is none of ours."""
    deadline = time.monotonic() + 60
    while True:
        seen = stream(lab, protocol="icmp")
        if seen.received == seen.sent and not seen.duplicates and not seen.out_of_order and seen.p95 < 0.1:
            return seen
        assert time.monotonic() < deadline, f"the network does not come to rest: {seen}"


@pytest.mark.parametrize(
    ("name", "arguments"), CASES, ids=lambda value: value if isinstance(value, str) else "-".join(value.values())
)
def test_proven_held_and_gone(name: str, arguments: dict[str, Any], session: Any, lab: Target) -> None:
    running: Session = session()
    calm(lab)
    evidence = inject(name, **arguments, duration="120s")
    print(name, arguments, evidence["effects"])
    (fault,) = running.faults
    assert fault.proven
    counted = lab.ask(Counters(fault.ticket.id))
    assert isinstance(counted, Counted)
    assert counted.packets > 0
    assert any("qdisc c4a0:" in line for line in lab.owned())
    running.undo()
    assert fault.held, fault.lost
    assert fault.undone, fault.residue
    calm(lab)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("delay", {"delay": "300ms"}),
        ("jitter", {"jitter": "150ms"}),
        ("duplicate", {"share": "30%"}),
        ("corrupt", {"share": "30%"}),
        ("reorder", {"share": "30%", "delay": "150ms"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_placebo_is_not_proven(name: str, arguments: dict[str, Any], session: Any, lab: Target) -> None:
    session(placebo=True)
    calm(lab)
    with pytest.raises(NotProven, match="was not seen within"):
        inject(name, **arguments)


def test_netem_below_a_token_bucket_and_beside_other_traffic(session: Any, lab: Target) -> None:
    """One change with a rate, a delay and loss: all three are felt by the datagrams meant, and by no others."""
    session()
    client, web = (one(lab.inventory(), parse_endpoint(text, "test"), "test") for text in (CLIENT, WEB))
    shape = Shape(client, "egress", Match(destinations=web.addresses, protocol="udp"), rate=2_000_000, delay=0.2, loss=0.5)
    undo = lab.prepare("netemtest0", shape)
    lab.arm("netemtest0", (undo,), 120)
    calm(lab)
    try:
        lab.do("netemtest0", shape, undo)
        assert lab.in_force("netemtest0", shape).ok
        hit, spared = stream(lab), stream(lab, protocol="icmp")
    finally:
        lab.undo("netemtest0", (undo,))
    assert 25 <= hit.received <= 75
    assert 0.2 <= hit.p50 < 0.4
    assert spared.received >= 0.95 * spared.sent
    assert spared.p50 < 0.1


def test_the_fuse_lets_everything_through(session: Any, lab: Target) -> None:
    """Burnt down, the rule sends nothing into netem any more, though nobody has undone it."""
    running: Session = session()
    calm(lab)
    inject("delay", delay="300ms", duration="20s")
    (fault,) = running.faults
    deadline = time.monotonic() + 60
    while stream(lab, protocol="icmp").p50 > 0.15:
        assert time.monotonic() < deadline, "the fuse has not gone off"
    running.undo()
    assert fault.fuse_blown
    assert not fault.held
