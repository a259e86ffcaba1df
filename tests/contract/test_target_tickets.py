"""The contract of a target, ticket by ticket: several changes at once, half of them, none of them, and panic."""

from collections.abc import Sequence

from chaosnet.model.change import (
    Change,
    Filter,
    Match,
    RouteMtu,
)
from chaosnet.model.inventory import Inventory
from chaosnet.model.question import (
    Counted,
    Counters,
)
from chaosnet.model.target import Target
from chaosnet.model.ticket import Undo
from tests.contract.cases import FUSE, new_ticket, node, site, there, towards_prod


def _make_several(target: Target, changes: Sequence[Change]) -> tuple[str, tuple[Undo, ...]]:
    ticket = new_ticket()
    record = tuple(target.prepare(ticket, change) for change in changes)
    target.arm(ticket, record, FUSE)
    for change, undo in zip(changes, record, strict=True):
        target.do(ticket, change, undo)
    return ticket, record


def _several(inventory: Inventory) -> tuple[Change, ...]:
    return (
        RouteMtu(node(inventory), there(inventory), 1400),
        Filter(node(inventory), "egress", Match(icmp="fragmentation-needed")),
        Filter(site(inventory, "node:prod/prod-1"), "ingress", towards_prod(inventory)),
    )


def test_a_ticket_of_several_changes_goes_as_one(subject) -> None:
    target = subject.target
    rest, changes = dict(target.snapshot()), _several(target.inventory())
    ticket, record = _make_several(target, changes)
    assert all(target.in_force(ticket, change).ok for change in changes)
    counted = target.ask(Counters(ticket))
    assert isinstance(counted, Counted)
    assert len(counted.by_change) == len(changes)
    target.undo(ticket, record)
    assert not any(target.in_force(ticket, change).ok for change in changes)
    assert dict(target.snapshot()) == rest


def test_undo_takes_back_what_was_half_done(subject) -> None:
    """A runner that died between two changes: the record names more than there is."""
    target = subject.target
    ticket, rest, changes = new_ticket(), dict(target.snapshot()), _several(target.inventory())
    record = tuple(target.prepare(ticket, change) for change in changes)
    target.arm(ticket, record, FUSE)
    target.do(ticket, changes[0], record[0])
    subject.another().undo(ticket, record)
    assert target.owned() == ()
    assert dict(target.snapshot()) == rest


def test_undo_of_what_never_was(subject) -> None:
    """A runner that died before it armed: the ledger has a ticket that the target never heard of."""
    target = subject.target
    ticket, rest, changes = new_ticket(), dict(target.snapshot()), _several(target.inventory())
    record = tuple(target.prepare(ticket, change) for change in changes)
    target.undo(ticket, record)
    target.undo(ticket, ())
    assert not target.fuse_blown(ticket)
    assert dict(target.snapshot()) == rest


def test_panic_needs_no_ledger(subject) -> None:
    target = subject.target
    rest, changes = dict(target.snapshot()), _several(target.inventory())
    ticket, _ = _make_several(target, changes)
    removed = subject.another().panic()
    assert removed
    assert any(ticket in words for words in removed)
    assert target.owned() == ()
    assert not any(target.in_force(ticket, change).ok for change in changes)
    assert dict(target.snapshot()) == rest
    assert target.panic() == ()
