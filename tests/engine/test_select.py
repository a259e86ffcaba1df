"""What is watched: declared edges made concrete, crowds, and which expectations cover what."""

import pytest

from chaosnet.engine.experiment import parse_spec
from chaosnet.engine.select import Watched, expand, watched
from chaosnet.errors import InputError
from chaosnet.model.edge import parse_edge
from chaosnet.model.inventory import Inventory


def items(inventory: Inventory, **block: object) -> dict[str, Watched]:
    spec = parse_spec({"extensions": [{"name": "chaosnet", **block}]})
    return {item.edge.name: item for item in watched(spec, inventory)}


def test_a_workload_stands_for_one_pod_and_a_star_for_all(inventory: Inventory) -> None:
    edge = parse_edge("e", {"from": "prod/prod-ns/web", "to": "svc:prod/prod-ns/orders", "port": 8080}, "edges")
    assert [str(one.source) for one in expand(edge, inventory)] == ["prod/prod-ns/web-0"]
    every = parse_edge("e", {"from": "prod/prod-ns/web*", "to": "svc:prod/prod-ns/orders", "port": 8080}, "edges")
    assert [one.name for one in expand(every, inventory)] == ["e[web-0→orders]", "e[web-1→orders]"]


def test_everything_is_watched_once(inventory: Inventory) -> None:
    seen = items(inventory)
    questions = {(i.edge.source, i.edge.destination, i.edge.protocol, i.edge.port, i.edge.send) for i in seen.values()}
    assert len(questions) == len(seen) > 30
    assert all(item.expected == "hold" for item in seen.values())
    assert "bgp transit-test – transit-prod" in seen


def test_a_break_covers_the_same_and_larger_requests_but_no_smaller(inventory: Inventory) -> None:
    common = {"from": "test/shop/client", "to": "svc:prod/prod-ns/prod-svc", "port": "8080/http"}
    own = "test/shop/client → prod/prod-svc:8080"
    assert items(inventory, edges={"large": {**common, "send": 3000}}, **{"break": ["large"]})[own].expected == "hold"
    assert items(inventory, edges={"bare": {**common, "by": "address"}}, **{"break": ["bare"]}).get(own) is None


def test_a_crowd_takes_what_lies_between_its_ends(inventory: Inventory) -> None:
    seen = items(
        inventory, edges={"crossing": {"from": "test/*/*", "to": "svc:prod/*/*", "port": "any"}}, **{"break": ["crossing"]}
    )
    crossing = [item for item in seen.values() if item.declared == "crossing"]
    assert crossing
    assert all(item.any and item.expected == "break" for item in crossing)
    assert all(i.edge.source.cluster == "test" and i.edge.destination.cluster == "prod" for i in crossing)
    assert all(item.expected == "hold" for item in seen.values() if not item.declared)


def test_a_crowd_of_nobody_is_an_error(inventory: Inventory) -> None:
    with pytest.raises(InputError, match="no watched edge lies between these ends"):
        items(inventory, edges={"none": {"from": "test/shop/client", "to": "ip:192.0.2.1", "port": "any"}})


@pytest.mark.parametrize(
    ("block", "says"),
    [
        ({"brake": []}, "did you mean 'break'"),
        ({"break": ["upload"]}, "there is no edge 'upload'"),
        ({"edges": {"a": {"from": "x/y", "to": "x/z", "port": 80}}, "break": ["a"], "may": ["a"]}, "is also in 'may'"),
        ({"edges": {True: {}}}, "boolean True"),
        ({"edges": {"a": {"from": "x/y", "to": "x/z", True: 80}}}, "boolean True"),
        ({"expect": "maybe"}, "'maybe' is not known"),
        ({"ceiling": {"pods": -1}}, "is not a whole number"),
        ({"ceiling": {"cats": 1}}, "unknown field 'cats'"),
        ({"watch": {"interval": "5"}}, "has no unit"),
        ({"clusters": "test"}, "is not a list"),
        ({"edges": []}, "is not a mapping"),
        ({"lab": 5}, "is not a path"),
        ({"break": [True]}, "boolean True"),
    ],
)
def test_a_wrong_block_is_one_sentence(inventory: Inventory, block: dict[str, object], says: str) -> None:
    with pytest.raises(InputError) as caught:
        items(inventory, **block)
    text = str(caught.value)
    assert says in text
    assert "\n" not in text
    assert text.startswith("experiment: extensions.chaosnet")
