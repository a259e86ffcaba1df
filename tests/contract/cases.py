"""The cases of the contract: one kind of change each, put where it must be felt in the default network; and a ticket's life.

No tests of its own.
"""

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass

import pytest

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
)
from chaosnet.model.codec import from_plain, to_plain
from chaosnet.model.edge import Edge, State, parse_edge
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
    Stream,
    Streamed,
)
from chaosnet.model.target import Target
from chaosnet.model.ticket import Undo
from tests.contract.conftest import Subject

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


def states(answer: Answer) -> set[State]:
    assert isinstance(answer, Reached)
    return {observation.state for observation in answer.observations}


def _reach_becomes(state: State) -> Callable[[Answer, Answer], bool]:
    return lambda before, now: states(before) == {State.OPEN} and states(now) == {state}


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


def node(inventory: Inventory) -> Site:
    return site(inventory, "node:test/test-1")


def _policy(inventory: Inventory) -> Object:
    manifest = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "contract-deny", "namespace": "prod-ns"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
    }
    return Object("prod", "apply", "NetworkPolicy", "prod-ns", "contract-deny", json.dumps(manifest))


def towards_prod(inventory: Inventory) -> Match:
    return Match(destinations=there(inventory), protocol="tcp", ports=(8080,))


def _reach(inventory: Inventory) -> Question:
    return Reach((SMALL, CONNECT), 1.0)


def _pings(inventory: Inventory) -> Question:
    return Stream(PING, rate=200, seconds=1.0)


CASES = (
    Case(
        "Filter drop",
        lambda i: Filter(node(i), "egress", towards_prod(i)),
        _reach,
        _reach_becomes(State.TIMED_OUT),
    ),
    Case(
        "Filter reject",
        lambda i: Filter(node(i), "egress", towards_prod(i), "reject"),
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
        lambda i: Filter(node(i), "egress", Match(destinations=site(i, WEB).addresses, protocol="icmp"), share=0.4),
        _pings,
        _loses,
    ),
    Case(
        "Shape delay",
        lambda i: Shape(node(i), "egress", Match(destinations=site(i, WEB).addresses), delay=0.1),
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
        lambda i: RouteMtu(node(i), there(i), 1400),
        lambda i: PathMtu(site(i, CLIENT), site(i, WEB), 8080),
        _smaller_path,
        exclusive=True,
        heals=10.0,
    ),
    Case(
        "Rewrite",
        lambda i: Rewrite(node(i), towards_prod(i), node(i).addresses[0]),
        lambda i: Counters(""),
        _matched,
        traffic=Reach((SMALL,), 1.0),
    ),
    Case(
        "Sysctl",
        lambda i: Sysctl(node(i), "net.ipv4.ip_forward", "0"),
        _reach,
        _reach_becomes(State.TIMED_OUT),
        exclusive=True,
    ),
    Case(
        "ConntrackPressure",
        lambda i: ConntrackPressure(node(i), 5, towards_prod(i)),
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
    def of(cls, subject: Subject, case: Case) -> "Deed":
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
