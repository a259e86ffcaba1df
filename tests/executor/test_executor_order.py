"""Fuses, refusals, panic, and undo after a death at any line of the doing: the lab is always as before."""

import asyncio
import json
import sys
from types import FrameType
from typing import Any

import pytest
from executor_traffic import Net, until

from chaosnet.errors import Refused, ResidueLeft
from chaosnet.model.change import (
    Change,
    ConntrackPressure,
    DaemonState,
    DnsAnswer,
    Filter,
    LinkMtu,
    Match,
    Object,
    Rewrite,
    RouteMtu,
    Shape,
    Sysctl,
)  # fmt: skip
from chaosnet.model.codec import from_plain, to_plain
from chaosnet.model.ticket import Undo

pytestmark = pytest.mark.lab
TICKET = "abcdefgh01"
POLICY = {
    "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "deny", "namespace": "shop"},
    "spec": {"podSelector": {"matchLabels": {"app": "b"}}, "policyTypes": ["Ingress"]},
}  # fmt: skip


def one_of_each(net: Net) -> dict[str, Change]:
    """A change of every kind that this kernel can make."""
    return {
        "Filter": Filter(net.site("w-1"), "egress", Match(destinations=("10.0.2.0/24",))),
        "Shape": Shape(net.site("a"), "egress", rate=10**6),
        "LinkMtu": LinkMtu(net.site("c"), 1400),
        "RouteMtu": RouteMtu(net.site("w-1"), ("10.1.0.0/16",), 1400),
        "Rewrite": Rewrite(net.site("w-2"), Match(destinations=("10.1.0.0/16",)), "192.168.10.12"),
        "Sysctl": Sysctl(net.site("a"), "net.ipv4.tcp_mtu_probing", "1"),
        "ConntrackPressure": ConntrackPressure(net.site("w-2"), 3),
        "DaemonState": DaemonState(net.site("w-2"), "kube-proxy"),
        "DnsAnswer": DnsAnswer(net.site("dns"), "drop"),
        "Object": Object("west", "apply", "NetworkPolicy", "shop", "deny", json.dumps(POLICY)),
    }


KINDS = (
    "Filter", "Shape", "LinkMtu", "RouteMtu", "Rewrite", "Sysctl", "ConntrackPressure", "DaemonState", "DnsAnswer", "Object"
)  # fmt: skip


def test_all_kinds_in_one_fault_and_back(small_lab):
    async def body(net: Net) -> None:
        before = net.executor.snapshot()
        changes = one_of_each(net)
        assert tuple(changes) == KINDS
        net.make(*changes.values())
        for name, change in changes.items():
            assert net.executor.in_force(TICKET, change).ok, name
        assert len(net.executor.owned()) >= len(changes) - 2
        assert net.executor.snapshot() != before
        net.take_back()
        for name, change in changes.items():
            assert not net.executor.in_force(TICKET, change).ok, name
        assert net.executor.snapshot() == before
        assert net.executor.owned() == ()

    small_lab(body)


@pytest.mark.parametrize("kind", KINDS)
def test_preparing_touches_nothing(small_lab, kind):
    async def body(net: Net) -> None:
        before = net.executor.snapshot()
        net.executor.prepare(TICKET, one_of_each(net)[kind])
        assert net.executor.snapshot() == before
        assert net.executor.owned() == ()

    small_lab(body)


@pytest.mark.parametrize("kind", KINDS)
def test_snapshot_and_owned_see_every_kind(small_lab, kind):
    async def body(net: Net) -> None:
        before = net.executor.snapshot()
        net.make(one_of_each(net)[kind])
        now = net.executor.snapshot()
        assert {key for key in before.keys() | now.keys() if before.get(key) != now.get(key)}
        assert net.executor.owned()

    small_lab(body)


@pytest.mark.parametrize("kind", KINDS)
def test_the_fuse_alone_undoes(small_lab, kind):
    async def body(net: Net) -> None:
        before = net.executor.snapshot()
        change = one_of_each(net)[kind]
        net.make(change, seconds=0.3)
        assert not net.executor.fuse_blown(TICKET)
        assert net.executor.in_force(TICKET, change).ok
        await until(lambda: net.executor.fuse_blown(TICKET), 3)
        assert net.executor.snapshot() == before
        assert net.executor.owned() == ()
        with pytest.raises(Refused, match="not armed"):
            net.executor.do(TICKET, change, net.undo_of[TICKET][0])
        net.take_back()
        assert net.executor.fuse_blown(TICKET), "a blown fuse is remembered"

    small_lab(body)


@pytest.mark.parametrize("kind", ["Filter", "Shape", "ConntrackPressure"])
def test_with_the_keeper_hung_the_kernel_lets_go(small_lab, kind):
    async def body(net: Net) -> None:
        change = {
            "Filter": Filter(net.site("a"), "egress", Match()),
            "Shape": Shape(net.site("a"), "egress", rate=8000),
            "ConntrackPressure": ConntrackPressure(net.site("a"), 0),
        }[kind]
        net.make(change, seconds=0.5)
        assert net.udp("a", "b", 50, size=1000) < 50
        # Nothing is awaited, so no timer of the keeper can run: only the kernel's clock goes on.
        import time

        time.sleep(0.7)
        assert not net.executor.fuse_blown(TICKET)
        assert net.udp("a", "c", 50, size=1000) == 50
        assert not net.executor.in_force(TICKET, change).ok
        await asyncio.sleep(0)
        await until(lambda: net.executor.owned() == (), 3)

    small_lab(body)


@pytest.mark.parametrize("kind", KINDS)
def test_a_death_at_any_line_of_the_doing_is_undone(small_lab, kind):
    class Death(BaseException):
        pass

    async def body(net: Net) -> None:
        before = net.executor.snapshot()
        line, finished = 0, False
        while not finished:
            line += 1
            ticket = f"t{line:09d}"
            change = one_of_each(net)[kind]
            undo = net.executor.prepare(ticket, change)
            net.executor.arm(ticket, [undo], 60)
            seen = 0

            def trace(frame: FrameType, event: str, argument: Any, end: int = line) -> Any:
                nonlocal seen
                if "/targets/lab/" not in frame.f_code.co_filename:
                    return None
                if event == "line" and "/lowering/" in frame.f_code.co_filename:
                    seen += 1
                    if seen == end:
                        raise Death
                return trace

            sys.settrace(trace)
            try:
                net.executor.do(ticket, change, undo)
                finished = True
            except Death:
                pass
            finally:
                sys.settrace(None)
            net.executor.undo(ticket, [undo])
            net.executor.undo(ticket, [undo])
            assert net.executor.snapshot() == before, f"died at line {line} of {kind}"
            assert net.executor.owned() == (), f"died at line {line} of {kind}"
        assert line > 1

    small_lab(body)


@pytest.mark.parametrize("kind", KINDS)
def test_undo_from_the_record_alone(small_lab, kind):
    """What the ledger wrote, read back, and given to an executor that never saw the ticket."""

    async def body(net: Net) -> None:
        from chaosnet.targets.lab.executor import Executor

        before = net.executor.snapshot()
        net.make(one_of_each(net)[kind])
        record = json.loads(json.dumps([to_plain(undo) for undo in net.undo_of[TICKET]]))
        undo = [from_plain(Undo, plain) for plain in record]
        assert undo == net.undo_of[TICKET]
        if kind == "RouteMtu":
            net.executor._quiet(net.executor._tickets[TICKET])  # another executor would know nothing of the watch
        Executor(net.lab).undo(TICKET, undo)
        assert net.executor.snapshot() == before
        assert net.executor.owned() == ()

    small_lab(body)


def test_panic_removes_everything_with_and_without_tickets(small_lab):
    async def body(net: Net) -> None:
        from chaosnet.targets.lab.executor import Executor

        before = net.executor.snapshot()
        net.make(*one_of_each(net).values())
        said = net.executor.panic()
        assert len(said) >= len(KINDS) - 2
        assert net.executor.snapshot() == before
        assert net.executor.panic() == ()
        # What bears our names goes even where nobody remembers a ticket.
        changes = one_of_each(net)
        net.make(changes["Filter"], changes["Shape"], changes["RouteMtu"], ticket="abcdefgh02")
        net.executor._quiet(net.executor._tickets["abcdefgh02"])
        owned = Executor(net.lab).owned()
        assert len(owned) >= 3
        assert all("chaosnet panic" in line for line in owned)
        Executor(net.lab).panic()
        assert net.executor.snapshot() == before

    small_lab(body)


def test_doing_needs_an_armed_fuse_that_knows_the_way_back(small_lab):
    async def body(net: Net) -> None:
        before = net.executor.snapshot()
        change = one_of_each(net)["Filter"]
        undo = net.executor.prepare(TICKET, change)
        with pytest.raises(Refused, match="not armed"):
            net.executor.do(TICKET, change, undo)
        net.executor.arm(TICKET, [], 60)
        with pytest.raises(Refused, match="does not know how to take back"):
            net.executor.do(TICKET, change, undo)
        for seconds in (0, -1, float("nan")):
            with pytest.raises(Refused, match="no fuse"):
                net.executor.arm("abcdefgh02", [undo], seconds)
        with pytest.raises(Refused, match="another target"):
            net.executor.arm("abcdefgh02", [Undo("helm", {}, "")], 60)
        for ticket in ("short", "ABCDEFGHIJ", "x" * 11):
            with pytest.raises(Refused, match="ticket's id"):
                net.executor.prepare(ticket, change)
        net.executor.undo(TICKET, [])
        with pytest.raises(Refused, match="is over"):
            net.executor.arm(TICKET, [undo], 60)
        assert net.executor.snapshot() == before

    small_lab(body)


def test_a_dead_client_s_late_request_finds_the_door_shut(small_lab):
    async def body(net: Net) -> None:
        change = one_of_each(net)["Filter"]
        undo = net.executor.prepare(TICKET, change)
        net.executor.undo(TICKET, [undo])  # by whoever drained the ledger; the fuse had never been armed
        with pytest.raises(Refused, match="is over"):
            net.executor.arm(TICKET, [undo], 60)
        with pytest.raises(Refused, match="not armed"):
            net.executor.do(TICKET, change, undo)

    small_lab(body)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("Filter", "Rewrite", "ConntrackPressure")])
def test_two_faults_do_not_hold_the_same_thing(small_lab, kind):
    async def body(net: Net) -> None:
        change = one_of_each(net)[kind]
        first, second = net.executor.prepare(TICKET, change), net.executor.prepare("abcdefgh02", change)
        net.executor.arm(TICKET, [first], 60)
        with pytest.raises(Refused, match=f"the fault {TICKET} holds"):
            net.executor.prepare("abcdefgh03", change)
        with pytest.raises(Refused, match=f"the fault {TICKET} holds"):
            net.executor.arm("abcdefgh02", [second], 60)
        net.executor.undo(TICKET, [first])
        net.executor.arm("abcdefgh02", [second], 60)
        net.executor.undo("abcdefgh02", [second])
        if kind != "Shape":  # which may have several streams of packets at one device
            with pytest.raises(Refused, match="changed twice"):
                net.executor.prepare("abcdefgh04", change)
                net.executor.prepare("abcdefgh04", change)

    small_lab(body)


def test_filters_of_two_faults_live_side_by_side(small_lab):
    async def body(net: Net) -> None:
        site = net.site("w-1")
        net.make(Filter(site, "egress", Match(destinations=(net.address("b"),))))
        net.make(Filter(site, "egress", Match(destinations=(net.address("d"),))), ticket="abcdefgh02")
        assert (net.udp("a", "b"), net.udp("a", "d")) == (0, 0)
        net.take_back()
        assert (net.udp("a", "b"), net.udp("a", "d")) == (1, 0)
        net.take_back("abcdefgh02")
        assert net.udp("a", "d") == 1

    small_lab(body)


def test_what_cannot_be_undone_does_not_keep_the_rest(small_lab):
    async def body(net: Net) -> None:
        changes = one_of_each(net)
        net.make(changes["Filter"], changes["Object"], changes["LinkMtu"], seconds=0.4)
        net.lab.store.patch("west", "NetworkPolicy", "shop", "deny", {"metadata": {"labels": {"mine": "yes"}}})
        with pytest.raises(ResidueLeft):
            net.take_back()
        assert net.udp("c", "d") == 1
        assert not net.executor.in_force(TICKET, changes["Filter"]).ok
        assert not net.executor.in_force(TICKET, changes["LinkMtu"]).ok
        await asyncio.sleep(0.6)
        assert net.executor.fuse_blown(TICKET)

    small_lab(body)
