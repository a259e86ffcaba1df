"""The contract of a target, change by change: what the engine relies on, whatever makes the change happen.

Each case is one kind of change, put where it must be felt, with the question that shows it.  A target that cannot make a
change must say so; then that case is tried as a refusal.
"""

import pytest

from chaosnet.errors import ChaosnetError, Refused, Unsupported
from chaosnet.model.change import (
    CHANGES,
    Filter,
    Match,
)
from chaosnet.model.inventory import Site, find
from chaosnet.model.question import (
    Answer,
    Counted,
)
from tests.contract.cases import CASES, CLIENT, SHORT_FUSE, SMALL, Case, Deed, each_case, site


def test_the_inventory_is_sane(subject) -> None:
    """Names are unique, what refers to something finds it, and every address has one owner."""
    inventory = subject.target.inventory()
    assert inventory.clusters
    nodes = {(node.cluster, node.name) for node in inventory.nodes}
    pods = {(pod.cluster, pod.namespace, pod.name) for pod in inventory.pods}
    assert len(nodes) == len(inventory.nodes)
    assert len(pods) == len(inventory.pods)
    assert {node.cluster for node in inventory.nodes} <= set(inventory.clusters)
    assert all((pod.cluster, pod.node) in nodes for pod in inventory.pods)
    assert all(pod.addresses and pod.workload for pod in inventory.pods)
    addresses = [a for thing in (*inventory.nodes, *inventory.pods) for a in thing.addresses]
    assert len(set(addresses)) == len(addresses)
    of_pods = {address for pod in inventory.pods for address in pod.addresses}
    assert all(set(service.backends) <= of_pods for service in inventory.services)
    names = {node.name for node in inventory.nodes}
    assert all(set(link) <= names for link in inventory.links)
    assert site(inventory, CLIENT).node == "test-1"
    assert inventory == subject.another().inventory()


def test_it_says_what_it_is(subject) -> None:
    capabilities = subject.target.capabilities()
    assert capabilities.changes <= set(CHANGES)
    assert capabilities.target == subject.target.name
    assert subject.target.ref
    described = subject.target.describe()
    assert described
    assert all(isinstance(key, str) and isinstance(value, str) for key, value in described.items())
    assert subject.target.snapshot() == subject.another().snapshot()


@each_case
def test_a_change_comes_is_felt_and_goes(subject, case: Case) -> None:
    """The whole life of a change, undone by its record through a second handle."""
    deed = Deed.of(subject, case)
    target = subject.target
    rest, before = dict(target.snapshot()), deed.answer()
    assert not case.shown(before, before), "the question shows the change without the change"

    undo = target.prepare(deed.ticket, deed.change)
    assert undo.say
    assert undo.op
    assert dict(target.snapshot()) == rest, "prepare touched something"
    with pytest.raises(Refused, match=deed.ticket):
        target.do(deed.ticket, deed.change, undo)
    assert not deed.in_force()
    assert dict(target.snapshot()) == rest, "a refused do touched something"

    record = deed.make(prepared=undo)
    assert deed.in_force()
    assert dict(target.snapshot()) != rest
    assert target.owned()
    subject.until(deed.answer, lambda now: case.shown(before, now), case.within)

    other = subject.another()
    assert other.in_force(deed.ticket, deed.change).ok
    other.undo(deed.ticket, record)
    other.undo(deed.ticket, record)
    assert not deed.in_force()
    assert target.owned() == ()
    assert not target.fuse_blown(deed.ticket)
    subject.until(lambda: dict(target.snapshot()), lambda now: now == rest, case.heals)
    subject.target.forget([s for s in (getattr(deed.change, "site", None), site(deed.inventory, CLIENT)) if s])
    subject.until(deed.answer, lambda now: _healed(case, before, now), case.heals)


def _healed(case: Case, before: Answer, now: Answer) -> bool:
    # Counters of a ticket that is gone count nothing that could match again.
    return isinstance(now, Counted) or not case.shown(before, now)


@each_case
def test_the_fuse_undoes_it_alone(subject, case: Case) -> None:
    """Nobody calls undo; the fuse ends the change, is reported, and undo afterwards finds nothing left to do."""
    deed = Deed.of(subject, case)
    rest = dict(subject.target.snapshot())
    record = deed.make(SHORT_FUSE)
    assert deed.in_force()
    assert not subject.target.fuse_blown(deed.ticket)
    subject.rest(SHORT_FUSE + 0.2)
    subject.until(deed.in_force, lambda there: not there, 5.0)
    assert subject.target.fuse_blown(deed.ticket)
    subject.target.undo(deed.ticket, record)
    assert subject.target.owned() == ()
    subject.until(lambda: dict(subject.target.snapshot()), lambda now: now == rest, case.heals)


def test_a_fuse_that_was_disarmed_never_blows(subject) -> None:
    deed = Deed.of(subject, CASES[0])
    subject.target.undo(deed.ticket, deed.make(SHORT_FUSE))
    subject.rest(SHORT_FUSE + 0.2)
    assert not subject.target.fuse_blown(deed.ticket)


@pytest.mark.parametrize("case", [case for case in CASES if case.exclusive], ids=lambda case: case.name.replace(" ", "-"))
def test_two_tickets_cannot_have_one_place(subject, case: Case) -> None:
    first, second = Deed.of(subject, case), Deed.of(subject, case)
    record = first.make()
    with pytest.raises(Refused) as refusal:
        subject.target.prepare(second.ticket, second.change)
    assert " " in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert first.in_force()
    subject.target.undo(first.ticket, record)
    subject.target.prepare(second.ticket, second.change)


@pytest.mark.parametrize("case", [case for case in CASES if not case.exclusive], ids=lambda case: case.name.replace(" ", "-"))
def test_tickets_side_by_side_are_undone_apart(subject, case: Case) -> None:
    first, second = Deed.of(subject, case), Deed.of(subject, case)
    records = first.make(), second.make()
    subject.target.undo(first.ticket, records[0])
    assert not first.in_force()
    assert second.in_force()
    subject.target.undo(second.ticket, records[1])
    assert not second.in_force()
    assert subject.target.owned() == ()


def test_what_a_target_cannot_do_is_refused(subject) -> None:
    """By name, in one sentence, before anything is touched."""
    rest, inventory = dict(subject.target.snapshot()), subject.target.inventory()
    for case in CASES:
        change = case.change(inventory)
        if subject.target.capabilities().lacks(change):
            with pytest.raises(Unsupported) as refusal:
                subject.target.prepare("abcdefghij", change)
            assert len(str(refusal.value).split()) > 3
            assert "\n" not in str(refusal.value)
    assert dict(subject.target.snapshot()) == rest


def test_a_change_sits_at_a_place_not_at_a_peer(subject) -> None:
    inventory = subject.target.inventory()
    for peer in (find(inventory, SMALL.destination)[0], Site("address", name="10.9.9.9", addresses=("10.9.9.9",))):
        with pytest.raises(ChaosnetError) as refusal:
            subject.target.prepare("abcdefghij", Filter(peer, "egress", Match(protocol="tcp")))
        assert len(str(refusal.value).split()) > 3
