"""Kubernetes label selectors (Kubernetes, "Labels and Selectors")."""

import pytest

from chaosnet.errors import InputError
from chaosnet.policy.selectors import parse_selector

LABELS = {"app": "db", "tier": "data", "empty": ""}


@pytest.mark.parametrize(
    ("selector", "selects"),
    [
        ({}, True),
        (None, True),
        ({"matchLabels": {"app": "db"}}, True),
        ({"matchLabels": {"app": "db", "tier": "front"}}, False),
        ({"matchLabels": {"empty": ""}}, True),
        ({"matchLabels": {"missing": ""}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["db", "web"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["db"]}]}, False),
        # NotIn and DoesNotExist match what lacks the key.
        ({"matchExpressions": [{"key": "missing", "operator": "NotIn", "values": ["db"]}]}, True),
        ({"matchExpressions": [{"key": "missing", "operator": "DoesNotExist"}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "missing", "operator": "Exists"}]}, False),
        # All must hold.
        ({"matchLabels": {"app": "db"}, "matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["data"]}]}, False),
    ],
)
def test_what_is_selected(selector: object, selects: bool) -> None:
    assert parse_selector(selector, "s").matches(LABELS) is selects


@pytest.mark.parametrize(
    "selector",
    [
        [], "app=db", {"matchlabels": {}}, {"matchLabels": {"app": True}}, {"matchLabels": {"app": 1}},
        {"matchLabels": {"-bad": "x"}}, {"matchLabels": {"app": "not a value"}}, {"matchLabels": {"a/b/c": "x"}},
        {"matchLabels": {"app": "x" * 64}}, {"matchExpressions": {}}, {"matchExpressions": [{}]},
        {"matchExpressions": [{"key": "app", "operator": "in", "values": ["db"]}]},
        {"matchExpressions": [{"key": "app", "operator": "In"}]},
        {"matchExpressions": [{"key": "app", "operator": "In", "values": []}]},
        {"matchExpressions": [{"key": "app", "operator": "Exists", "values": ["db"]}]},
        {"matchExpressions": [{"key": "app", "operator": "Exists", "value": "db"}]},
    ],
)  # fmt: skip
def test_what_is_refused(selector: object) -> None:
    with pytest.raises(InputError, match=r"^spec\.podSelector.*; "):
        parse_selector(selector, "spec.podSelector")


def test_only_negative_selectors_are_known_as_such() -> None:
    assert parse_selector({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, "s").only_negative
    assert not parse_selector({}, "s").only_negative
    assert not parse_selector({"matchLabels": {"a": "b"}}, "s").only_negative
