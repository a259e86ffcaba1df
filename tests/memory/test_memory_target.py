"""The in-memory target as a target: found again by its ref, dying at every step, refusing what it does not know."""

import pytest

from chaosnet.errors import Refused, TargetError, TargetGone, Unsupported
from chaosnet.model.change import (
    ConntrackPressure,
    DaemonState,
    DnsAnswer,
    Filter,
    LinkMtu,
    Match,
    Object,
    RouteMtu,
    Shape,
)
from chaosnet.model.edge import Edge, State, parse_edge
from chaosnet.model.endpoint import parse_endpoint
from chaosnet.model.inventory import Site, one
from chaosnet.model.question import (
    Reach,
    Reached,
)
from chaosnet.targets.memory import Clock, MemoryTarget, SimulatedCrash, fresh, open_network, reopen
from tests.memory.conftest import CLIENT, EDGES, at, states


def test_a_network_is_found_again_by_its_ref(memory: MemoryTarget, clock: Clock, do) -> None:
    ticket = do(Filter(at(memory, "node:test/test-1"), "egress", Match(protocol="tcp")))
    other = reopen(memory.ref, clock=clock)
    assert other.owned() == memory.owned() != ()
    assert other.ask(Reach((EDGES["small"],))) == memory.ask(Reach((EDGES["small"],)))
    other.undo(ticket, ())
    assert memory.owned() == ()


def test_a_network_of_its_own_goes_with_its_handle() -> None:
    target = open_network()
    ref = target.ref
    open_network(ref).close()
    assert reopen(ref).inventory().clusters == ("test", "prod")
    target.close()
    with pytest.raises(TargetGone, match="has ended"):
        open_network(ref)


def test_a_file_that_is_no_network(tmp_path) -> None:
    path = tmp_path / "x.json"
    for text in ("", "{}", "[1]", '{"kind_": "State"}', "\x00"):
        path.write_text(text)
        with pytest.raises(TargetError, match="holds no in-memory network"):
            reopen(str(path))


def test_somebody_elses_state_is_refused_and_left_alone(memory: MemoryTarget, clock: Clock, do) -> None:
    change = LinkMtu(at(memory, CLIENT), 1300)
    memory.place_foreign(change, "an MTU of 1420 that wireguard set")
    before = dict(memory.snapshot())
    with pytest.raises(Refused, match="wireguard set is in the way"):
        memory.prepare("abcdefghij", change)
    do(RouteMtu(at(memory, "node:test/test-1"), ("10.1.0.0/16",), 1400))
    memory.panic()
    assert dict(memory.snapshot()) == before
    assert "an MTU of 1420 that wireguard set" in before.values()


@pytest.mark.parametrize("step", ["prepare", "arm", "do", "undo"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_handle_dies_at_a_step_and_stays_dead(memory: MemoryTarget, clock: Clock, step: str, when: str) -> None:
    """Before the step nothing of it is there, after it all of it; the dead handle does nothing more."""
    doomed = reopen(memory.ref, clock=clock, fail_at=f"{step}:{when}")
    change = DaemonState(at(memory, "node:test/test-1"), "bird")

    def run() -> None:
        undo = doomed.prepare("abcdefghij", change)
        doomed.arm("abcdefghij", (undo,), 60)
        doomed.do("abcdefghij", change, undo)
        doomed.undo("abcdefghij", (undo,))

    with pytest.raises(SimulatedCrash):
        run()
    steps = ["prepare", "arm", "do", "undo"]
    reached = steps.index(step) + (when == "after")
    assert bool(memory.owned()) == (2 <= reached <= 3)
    assert memory.in_force("abcdefghij", change).ok == (reached == 3)
    for call in (doomed.inventory, doomed.owned, doomed.panic, lambda: doomed.undo("abcdefghij", ())):
        with pytest.raises(SimulatedCrash):
            call()
    clock.advance(61)
    assert memory.owned() == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda site: Filter(site, "sideways", Match()), "a direction is one of"),
        (lambda site: Filter(site, "egress", Match(), "mangle"), "a verdict is one of"),
        (lambda site: DaemonState(site, "kubelet"), "the roles at"),
        (lambda site: DnsAnswer(site, "rude"), "a mode is one of"),
        (lambda site: ConntrackPressure(site, -1), "not below zero"),
    ],
)
def test_words_that_it_does_not_know_are_refused(memory: MemoryTarget, change, words: str) -> None:
    with pytest.raises(Unsupported, match=words):
        memory.prepare("abcdefghij", change(at(memory, "node:test/test-1")))


def test_a_place_that_is_gone_is_refused(memory: MemoryTarget) -> None:
    ghost = Site("pod", "test", "shop", "client-77", "test-1", ("10.0.1.77",))
    with pytest.raises(Refused, match="no test/shop/client-77 in this network now"):
        memory.prepare("abcdefghij", LinkMtu(ghost, 1300))


def test_a_target_that_lacks_something_says_so(tmp_path) -> None:
    target = fresh(path=tmp_path / "n.json", lacking={"netem": "this kernel has no sch_netem", "Object": "no API here"})
    assert "Object" not in target.capabilities().changes
    node = at(target, "node:test/test-1")
    with pytest.raises(Unsupported, match="no sch_netem"):
        target.prepare("abcdefghij", Shape(node, "egress", delay=0.1))
    target.prepare("abcdefghij", Shape(node, "egress", rate=10**6))


def test_an_edge_whose_end_is_gone_is_unknown(memory: MemoryTarget) -> None:
    gone: Edge = parse_edge("gone", {"from": CLIENT, "to": "prod/prod-ns/nobody", "port": "80/tcp"}, "edges")
    answer = memory.ask(Reach((gone,)))
    assert isinstance(answer, Reached)
    assert answer.observations[0].state is State.UNKNOWN
    assert "selects nothing" in answer.observations[0].detail


def test_a_service_without_an_address_is_unresolved(memory: MemoryTarget, do) -> None:
    do(Object("test", "patch", "Service", "shop", "cart", '{"spec": {"clusterIP": "None", "selector": {"app": "nobody"}}}'))
    assert states(memory, "near", "small") == {"near": State.UNRESOLVED, "small": State.OPEN}


def test_one_end_is_one(memory: MemoryTarget) -> None:
    assert one(memory.inventory(), parse_endpoint(CLIENT, "at")).node == "test-1"
