"""Values that leave the process come back as they were: every change, question, answer and ticket, through real JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosnet.errors import ChaosnetError
from chaosnet.model.change import CHANGES, Change, Filter, Match
from chaosnet.model.codec import from_plain, to_plain
from chaosnet.model.edge import Edge, Observation, ReachTable, State
from chaosnet.model.endpoint import Endpoint
from chaosnet.model.fault import Capabilities, Reading
from chaosnet.model.inventory import Inventory, Node, Pod, Service, ServicePort, Site
from chaosnet.model.place import Place
from chaosnet.model.question import ANSWERS, QUESTIONS, Answer, Question
from chaosnet.model.ticket import Stage, Ticket, Undo
from chaosnet.model.verdict import Finding, Outcome, Verdict

# JSON has no NaN, and a NaN is not equal to itself; what a mapping of anything holds is JSON already.
st.register_type_strategy(float, st.floats(allow_nan=False))
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
st.register_type_strategy(Undo, st.builds(Undo, st.text(), st.dictionaries(st.text(), _JSON, max_size=3), st.text()))
st.register_type_strategy(Reading, st.builds(Reading, st.booleans(), st.text(), st.dictionaries(st.text(), _JSON, max_size=3)))
TICKETS = st.builds(Ticket, settings=st.dictionaries(st.text(), _JSON, max_size=3), undo=st.tuples(st.from_type(Undo)))

OTHERS = (
    Capabilities, Edge, Endpoint, Finding, Inventory, Match, Node, Observation, Place, Pod, ReachTable, Reading, Service,
    ServicePort, Site, Undo, Verdict,
)  # fmt: skip
KINDS = {kind.__name__: kind for kind in (*CHANGES.values(), *QUESTIONS.values(), *ANSWERS.values(), *OTHERS)}


def through_json(kind: Any, value: object) -> Any:
    """What another process reads of what this one wrote."""
    return from_plain(kind, json.loads(json.dumps(to_plain(value))))


@pytest.mark.parametrize("name", sorted(KINDS))
@given(data=st.data())
@settings(max_examples=10)
def test_every_value_comes_back(name: str, data: st.DataObject) -> None:
    kind = KINDS[name]
    value = data.draw(st.from_type(kind))
    back = through_json(kind, value)
    assert back == value
    assert type(back) is kind
    assert hash_of(back) == hash_of(value)


def hash_of(value: object) -> object:
    """Equal values must be exchangeable as keys too: a list where a tuple was would not be."""
    try:
        return hash(value)
    except TypeError:
        return "holds a mapping"


@given(TICKETS)
@settings(max_examples=20)
def test_a_ticket_comes_back(ticket: Ticket) -> None:
    assert through_json(Ticket, ticket) == ticket


@pytest.mark.parametrize(("union", "members"), [(Change, CHANGES), (Question, QUESTIONS), (Answer, ANSWERS)])
@given(data=st.data())
@settings(max_examples=10)
def test_a_union_knows_its_member(union: Any, members: Mapping[str, type], data: st.DataObject) -> None:
    kind = members[data.draw(st.sampled_from(sorted(members)))]
    value = data.draw(st.from_type(kind))
    assert type(through_json(union, value)) is kind


@dataclass(frozen=True, slots=True)
class Loose:
    """What real values may hold beside strings and numbers."""

    maybe: float | None
    several: tuple[int, ...] | None
    stage: Stage | None
    names: frozenset[str]
    pair: tuple[str, float]
    table: Mapping[str, tuple[State, ...]]


@given(st.from_type(Loose))
def test_optional_nested_and_unordered_parts_come_back(value: Loose) -> None:
    assert through_json(Loose, value) == value


def test_a_whole_number_will_do_for_a_float() -> None:
    plain = {"maybe": 5, "several": [1], "stage": "armed", "names": ["a"], "pair": ["x", 1], "table": {"e": ["open"]}}
    value = from_plain(Loose, plain)
    assert isinstance(value.maybe, float)
    assert isinstance(value.pair[1], float)
    assert value.table["e"] == (State.OPEN,)
    assert value.stage is Stage.ARMED


GOOD = to_plain(Filter(Site("pod", name="x"), "egress", Match(protocol="tcp")))


@pytest.mark.parametrize(
    ("kind", "plain"),
    [
        (Filter, None),
        (Filter, "Filter"),
        (Filter, []),
        (Filter, {}),
        (Filter, {"kind_": "Filter"}),
        (Filter, {"kind_": "Shape"}),
        (Filter, GOOD | {"site": None}),
        (Filter, GOOD | {"site": "pod"}),
        (Filter, GOOD | {"match": {"kind_": "Site"}}),
        (Filter, GOOD | {"match": {"kind_": "Match", "ports": 5}}),
        (Filter, GOOD | {"share": "much"}),
        (Filter, GOOD | {"share": None}),
        (Filter, GOOD | {"share": []}),
        (Change, {"kind_": "Edge"}),
        (Change, {}),
        (Change, 5),
        (Change, None),
        (Change, []),
        (Question, GOOD),
        (Stage, "flying"),
        (Outcome, 5),
        (tuple[str, int], ["only one"]),
        (tuple[int, ...], 5),
        (tuple[int, ...], None),
        (Mapping[str, int], []),
        (Mapping[str, int], 5),
        (frozenset[str], 5),
        (float, "x"),
        (float, None),
    ],
)
def test_what_is_no_such_value_is_refused(kind: Any, plain: object) -> None:
    with pytest.raises(ChaosnetError) as caught:
        from_plain(kind, plain)
    assert "\n" not in str(caught.value)


def test_a_newer_writer_may_add_fields() -> None:
    assert from_plain(Filter, GOOD | {"colour": "red"}) == from_plain(Filter, GOOD)
