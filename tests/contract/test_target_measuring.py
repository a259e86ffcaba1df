"""The contract of a target, question by question: samples, states told apart, routes, and what is forgotten."""

from dataclasses import replace

from chaosnet.model.change import (
    RouteMtu,
    say,
)
from chaosnet.model.edge import Observation, State
from chaosnet.model.question import (
    Reach,
    Reached,
    Routes,
    RouteTable,
)
from tests.contract.cases import CASES, CLIENT, FUSE, PING, SMALL, Deed, edge, new_ticket, node, site, states, there


def test_sampling_sees_an_outage_begin_and_end(subject) -> None:
    """The cursor misses nothing and repeats nothing, each attempt begins anew, and the outage lies where it was made."""
    target, interval = subject.target, 0.1
    cursor, _ = target.samples(0)
    target.watch((SMALL, PING), interval, 0.4)
    deed = Deed.of(subject, CASES[0])
    seen: list[Observation] = []

    def collect() -> list[Observation]:
        nonlocal cursor
        cursor, fresh = target.samples(cursor)
        seen.extend(fresh)
        return seen

    def small() -> list[Observation]:
        return sorted((sample for sample in seen if sample.edge == "small"), key=lambda sample: sample.at)

    subject.until(collect, lambda _: len(small()) >= 5, 5.0)
    assert {sample.state for sample in seen} == {State.OPEN}
    healthy_until = seen[-1].at
    record = deed.make()
    subject.until(collect, lambda _: sum(s.state is State.TIMED_OUT for s in small()) >= 5, 5.0)
    target.undo(deed.ticket, record)
    subject.until(collect, lambda _: [s.state for s in small()[-5:]] == [State.OPEN] * 5, 5.0)

    bad = [sample.at for sample in small() if sample.state is not State.OPEN]
    assert min(bad) > healthy_until - interval
    assert all(sample.state is State.OPEN for sample in seen if sample.edge == "ping")
    for name in ("small", "ping"):
        # In the order of their ends: an attempt that times out is known later than one that began after it.
        times = [sample.at for sample in seen if sample.edge == name]
        assert len(set(times)) == len(times)
    again, everything = target.samples(0)
    assert again >= cursor
    assert set(seen) <= set(everything)
    assert target.samples(again)[0] >= again


def test_watching_anew_replaces_what_is_watched(subject) -> None:
    target = subject.target
    target.watch((SMALL,), 0.1, 0.4)
    subject.until(lambda: target.samples(0)[1], lambda seen: bool(seen), 5.0)
    target.watch((PING,), 0.1, 0.4)
    cursor, _ = target.samples(0)
    subject.rest(0.5)
    cursor, _ = target.samples(cursor)
    subject.rest(0.5)
    _, fresh = target.samples(cursor)
    assert {sample.edge for sample in fresh} == {"ping"}


def test_one_question_answers_every_edge_in_order(subject) -> None:
    edges = tuple(replace(SMALL, name=f"edge-{number}") for number in range(20))
    answer = subject.target.ask(Reach((*edges, PING), 1.0))
    assert isinstance(answer, Reached)
    assert [observation.edge for observation in answer.observations] == [*(e.name for e in edges), "ping"]
    assert states(answer) == {State.OPEN}


def test_states_are_told_apart(subject) -> None:
    """A closed port refuses, an address that nobody has is silence or unreachable, a name that is none is unresolved."""
    asked = (
        edge("closed", to="test/shop/cart", port="81/tcp"),
        edge("nobody", to="ip:10.1.3.250", port="8080/tcp"),
        edge("no-such-name", to="svc:test/kube-system/kube-dns", port="53/dns", query="no.shop.svc.cluster.local"),
        edge("name", to="svc:test/kube-system/kube-dns", port="53/dns", query="cart.shop.svc.cluster.local"),
        edge("by-name", by="name"),
    )
    answer = subject.target.ask(Reach(asked, 1.0))
    assert isinstance(answer, Reached)
    states = {observation.edge: observation.state for observation in answer.observations}
    assert states["closed"] is State.REFUSED
    assert states["nobody"] in (State.TIMED_OUT, State.REFUSED)
    assert states["no-such-name"] is State.UNRESOLVED
    assert states["name"] is State.OPEN
    assert states["by-name"] is State.OPEN


def test_forgetting_says_what_it_did(subject) -> None:
    """A narrow hop that says so teaches the sender a path MTU; forget names it, and has nothing left to say after."""
    target = subject.target
    inventory = target.inventory()
    ticket, change = new_ticket(), RouteMtu(node(inventory), there(inventory), 1400)
    record = (target.prepare(ticket, change),)
    target.arm(ticket, record, FUSE)
    target.do(ticket, change, record[0])
    client = site(inventory, CLIENT)
    target.forget([client])
    upload = edge("upload", send=3000)
    answer = target.ask(Reach((upload, upload), 2.0))
    assert states(answer) == {State.OPEN}
    target.undo(ticket, record)
    flushed = target.forget([client])
    assert flushed
    assert all(len(words.split()) > 2 for words in flushed)


def test_routes_of_ours_are_seen_and_go(subject) -> None:
    target = subject.target
    inventory = target.inventory()
    near = node(inventory)
    change = RouteMtu(near, there(inventory), 1400)

    def narrow() -> set[str]:
        answer = target.ask(Routes(near))
        assert isinstance(answer, RouteTable)
        return {route.destination for route in answer.routes if route.mtu == 1400}

    assert narrow() == set()
    ticket = new_ticket()
    record = (target.prepare(ticket, change),)
    target.arm(ticket, record, FUSE)
    target.do(ticket, change, record[0])
    assert len(narrow()) == len(there(inventory))
    target.undo(ticket, record)
    assert narrow() == set()


def test_every_change_can_be_said(subject) -> None:
    inventory = subject.target.inventory()
    for case in CASES:
        sentence = say(case.change(inventory))
        assert sentence
        assert "\n" not in sentence
