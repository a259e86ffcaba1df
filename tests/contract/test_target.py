"""The contract of a target: what the engine relies on, change by change, whatever makes it happen.

Each case is one kind of change, put where it must be felt, with the question that shows it.  A target that cannot make a
change must say so; then that case is tried as a refusal.
"""

import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest

from chaosnet.errors import ChaosnetError, Refused, Unsupported
from chaosnet.model.change import (
    CHANGES,
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
    say,
)
from chaosnet.model.codec import from_plain, to_plain
from chaosnet.model.edge import Edge, Observation, State, parse_edge
from chaosnet.model.endpoint import parse_endpoint
from chaosnet.model.inventory import Inventory, Site, find, one
from chaosnet.model.question import (
    Answer,
    Counted,
    Counters,
    Daemons,
    DaemonsSeen,
    Dns,
    DnsReply,
    Load,
    Loaded,
    PathMtu,
    PathMtuFound,
    Question,
    Reach,
    Reached,
    Routes,
    RouteTable,
    Stream,
    Streamed,
)
from chaosnet.model.target import Target
from chaosnet.model.ticket import Undo

FUSE = 60.0
SHORT_FUSE = 1.0
CLIENT, WEB, DNS_POD = "test/shop/client", "prod/prod-ns/web", "test/kube-system/kube-dns"
PROD_SVC = "svc:prod/prod-ns/prod-svc"


def edge(name: str, **fields: object) -> Edge:
    """An edge of the default network, written as in an experiment."""
    return parse_edge(name, {"from": CLIENT, "to": PROD_SVC, "port": "8080/http"} | fields, "contract")


SMALL = edge("small", send=100)
CONNECT = edge("connect", port="8080/tcp")
PING = edge("ping", to=WEB, port="icmp")


def site(inventory: Inventory, text: str) -> Site:
    """The one site that an endpoint means."""
    return one(inventory, parse_endpoint(text, "contract"), "contract")


def there(inventory: Inventory) -> tuple[str, ...]:
    """All addresses of the Service that the edges go to."""
    return tuple(a for found in find(inventory, SMALL.destination) for a in found.addresses)


@dataclass(frozen=True)
class Case:
    """One change and the question that shows it.

    ``shown(before, now)`` says whether the answer shows the change; ``within`` is the seconds until it must, and ``heals``
    until it must be gone.  ``load`` is sent before counters are read.  ``exclusive``: two tickets cannot both have the place.
    """

    name: str
    change: Callable[[Inventory], Change]
    ask: Callable[[Inventory], Question]
    shown: Callable[[Answer, Answer], bool]
    exclusive: bool = False
    within: float = 3.0
    heals: float = 5.0
    traffic: Question | None = None


def _states(answer: Answer) -> set[State]:
    assert isinstance(answer, Reached)
    return {observation.state for observation in answer.observations}


def _reach_becomes(state: State) -> Callable[[Answer, Answer], bool]:
    return lambda before, now: _states(before) == {State.OPEN} and _states(now) == {state}


def _smaller_path(before: Answer, now: Answer) -> bool:
    assert isinstance(before, PathMtuFound)
    assert isinstance(now, PathMtuFound)
    return now.icmp < before.icmp


def _loses(before: Answer, now: Answer) -> bool:
    assert isinstance(before, Streamed)
    assert isinstance(now, Streamed)
    return before.received == before.sent and 0 < now.received < 0.9 * now.sent


def _slower(before: Answer, now: Answer) -> bool:
    assert isinstance(before, Streamed)
    assert isinstance(now, Streamed)
    return now.p50 > before.p50 + 0.05


def _matched(before: Answer, now: Answer) -> bool:
    assert isinstance(now, Counted)
    return now.packets > 0


def _some_fail(before: Answer, now: Answer) -> bool:
    assert isinstance(before, Loaded)
    assert isinstance(now, Loaded)
    return before.succeeded == before.requests and now.succeeded < now.requests


def _stopped(before: Answer, now: Answer) -> bool:
    assert isinstance(before, DaemonsSeen)
    assert isinstance(now, DaemonsSeen)
    return dict(before.running)["bird"] and not dict(now.running)["bird"]


def _no_such_name(before: Answer, now: Answer) -> bool:
    assert isinstance(before, DnsReply)
    assert isinstance(now, DnsReply)
    return (before.rcode, now.rcode) == ("NOERROR", "NXDOMAIN")


def _node(inventory: Inventory) -> Site:
    return site(inventory, "node:test/test-1")


def _policy(inventory: Inventory) -> Object:
    manifest = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "contract-deny", "namespace": "prod-ns"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
    }
    return Object("prod", "apply", "NetworkPolicy", "prod-ns", "contract-deny", json.dumps(manifest))


def _towards_prod(inventory: Inventory) -> Match:
    return Match(destinations=there(inventory), protocol="tcp", ports=(8080,))


def _reach(inventory: Inventory) -> Question:
    return Reach((SMALL, CONNECT), 1.0)


def _pings(inventory: Inventory) -> Question:
    return Stream(PING, rate=200, seconds=1.0)


CASES = (
    Case(
        "Filter drop",
        lambda i: Filter(_node(i), "egress", _towards_prod(i)),
        _reach,
        _reach_becomes(State.TIMED_OUT),
    ),
    Case(
        "Filter reject",
        lambda i: Filter(_node(i), "egress", _towards_prod(i), "reject"),
        _reach,
        _reach_becomes(State.REFUSED),
    ),
    Case(
        "Filter at a pod, on the way in",
        lambda i: Filter(site(i, CLIENT), "ingress", Match(protocol="tcp", ports=(8080,), side="source")),
        _reach,
        _reach_becomes(State.TIMED_OUT),
    ),
    Case(
        "Filter of a share",
        lambda i: Filter(_node(i), "egress", Match(destinations=site(i, WEB).addresses, protocol="icmp"), share=0.4),
        _pings,
        _loses,
    ),
    Case(
        "Shape delay",
        lambda i: Shape(_node(i), "egress", Match(destinations=site(i, WEB).addresses), delay=0.1),
        _pings,
        _slower,
        exclusive=True,
    ),
    Case(
        "LinkMtu",
        lambda i: LinkMtu(site(i, CLIENT), 1300),
        lambda i: PathMtu(site(i, CLIENT), site(i, WEB), 8080),
        _smaller_path,
        exclusive=True,
        heals=10.0,
    ),
    Case(
        "RouteMtu",
        lambda i: RouteMtu(_node(i), there(i), 1400),
        lambda i: PathMtu(site(i, CLIENT), site(i, WEB), 8080),
        _smaller_path,
        exclusive=True,
        heals=10.0,
    ),
    Case(
        "Rewrite",
        lambda i: Rewrite(_node(i), _towards_prod(i), _node(i).addresses[0]),
        lambda i: Counters(""),
        _matched,
        traffic=Reach((SMALL,), 1.0),
    ),
    Case(
        "Sysctl",
        lambda i: Sysctl(_node(i), "net.ipv4.ip_forward", "0"),
        _reach,
        _reach_becomes(State.TIMED_OUT),
        exclusive=True,
    ),
    Case(
        "ConntrackPressure",
        lambda i: ConntrackPressure(_node(i), 5, _towards_prod(i)),
        lambda i: Load(CONNECT, rate=40, seconds=0.5, timeout=0.5),
        _some_fail,
        heals=10.0,
    ),
    Case(
        "DaemonState",
        lambda i: DaemonState(site(i, "node:test/test-3"), "bird"),
        lambda i: Daemons(site(i, "node:test/test-3")),
        _stopped,
        exclusive=True,
        heals=15.0,
    ),
    Case(
        "DnsAnswer",
        lambda i: DnsAnswer(site(i, DNS_POD), "nxdomain", "prod-ns.svc.prod.clusterset.local"),
        lambda i: Dns(site(i, CLIENT), "prod-svc.prod-ns.svc.prod.clusterset.local"),
        _no_such_name,
        exclusive=True,
    ),
    Case("Object", _policy, _reach, _reach_becomes(State.TIMED_OUT), exclusive=True),
)
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))


def new_ticket() -> str:
    """A ticket's id, as the engine makes them."""
    return "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(10))


@dataclass
class Deed:
    """One change under a ticket of its own, by the calls that the engine makes."""

    target: Target
    case: Case
    inventory: Inventory
    change: Change
    ticket: str

    @classmethod
    def of(cls, subject: "Subject", case: Case) -> "Deed":  # type: ignore[name-defined]  # noqa: F821
        """The case on this target; skips where the target says that it cannot."""
        inventory = subject.target.inventory()
        change = case.change(inventory)
        if lacking := subject.target.capabilities().lacks(change):
            pytest.skip(f"does not apply: refused, as test_what_a_target_cannot_do_is_refused shows: {lacking}")
        return cls(subject.target, case, inventory, change, new_ticket())

    def answer(self) -> Answer:
        """The case's question, now."""
        question = self.case.ask(self.inventory)
        if isinstance(question, Counters):
            if self.case.traffic is not None:
                self.target.ask(self.case.traffic)
            question = Counters(self.ticket)
        return self.target.ask(question)

    def make(self, seconds: float = FUSE, prepared: Undo | None = None) -> tuple[Undo, ...]:
        """Prepare, arm, do; the undo is handed back as the ledger would: through JSON."""
        undo = (prepared or self.target.prepare(self.ticket, self.change),)
        undo = from_plain(tuple[Undo, ...], json.loads(json.dumps(to_plain(undo))))
        assert self.target.arm(self.ticket, undo, seconds)
        self.target.do(self.ticket, self.change, undo[0])
        return undo

    def in_force(self) -> bool:
        """What the target reads back."""
        reading = self.target.in_force(self.ticket, self.change)
        assert reading.sentence
        return reading.ok


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


def _make_several(target: Target, changes: Sequence[Change]) -> tuple[str, tuple[Undo, ...]]:
    ticket = new_ticket()
    record = tuple(target.prepare(ticket, change) for change in changes)
    target.arm(ticket, record, FUSE)
    for change, undo in zip(changes, record, strict=True):
        target.do(ticket, change, undo)
    return ticket, record


def _several(inventory: Inventory) -> tuple[Change, ...]:
    return (
        RouteMtu(_node(inventory), there(inventory), 1400),
        Filter(_node(inventory), "egress", Match(icmp="fragmentation-needed")),
        Filter(site(inventory, "node:prod/prod-1"), "ingress", _towards_prod(inventory)),
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
    assert _states(answer) == {State.OPEN}


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
    ticket, change = new_ticket(), RouteMtu(_node(inventory), there(inventory), 1400)
    record = (target.prepare(ticket, change),)
    target.arm(ticket, record, FUSE)
    target.do(ticket, change, record[0])
    client = site(inventory, CLIENT)
    target.forget([client])
    upload = edge("upload", send=3000)
    answer = target.ask(Reach((upload, upload), 2.0))
    assert _states(answer) == {State.OPEN}
    target.undo(ticket, record)
    flushed = target.forget([client])
    assert flushed
    assert all(len(words.split()) > 2 for words in flushed)


def test_routes_of_ours_are_seen_and_go(subject) -> None:
    target = subject.target
    inventory = target.inventory()
    node, change = _node(inventory), RouteMtu(_node(inventory), there(inventory), 1400)

    def narrow() -> set[str]:
        answer = target.ask(Routes(node))
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
