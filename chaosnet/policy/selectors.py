"""Kubernetes label selectors: strict parsing and matching.

``matchLabels`` and ``matchExpressions`` with In, NotIn, Exists and DoesNotExist, all of them ANDed; NotIn and DoesNotExist
also match what lacks the key (Kubernetes, "Labels and Selectors").  Calico's selector language is not this one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from chaosnet.errors import InputError
from chaosnet.policy import fields

_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one key; ``values`` are empty for Exists and DoesNotExist."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    @property
    def negative(self) -> bool:
        """Whether what lacks the key matches."""
        return self.operator in ("NotIn", "DoesNotExist")

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether ``labels`` meet the condition."""
        if self.key not in labels:
            return self.negative
        return {
            "In": labels[self.key] in self.values,
            "NotIn": labels[self.key] not in self.values,
            "Exists": True,
            "DoesNotExist": False,
        }[self.operator]


@dataclass(frozen=True, slots=True)
class Selector:
    """All requirements must hold; none at all match everything."""

    requirements: tuple[Requirement, ...] = ()

    @property
    def only_negative(self) -> bool:
        """Whether there are requirements and something without any labels meets them all."""
        return bool(self.requirements) and all(requirement.negative for requirement in self.requirements)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether ``labels`` are selected."""
        return all(requirement.matches(labels) for requirement in self.requirements)


def parse_selector(value: object, place: str) -> Selector:
    """A LabelSelector as written to a Selector; None is the empty one.  InputError names ``place`` and the field."""
    body = fields.mapping(value, place, ("matchLabels", "matchExpressions"))
    found = [
        Requirement(key, "In", frozenset({item}))
        for key, item in fields.labels(body.get("matchLabels"), f"{place}.matchLabels").items()
    ]
    for index, entry in enumerate(fields.items(body.get("matchExpressions"), f"{place}.matchExpressions")):
        found.append(_requirement(entry, f"{place}.matchExpressions[{index}]"))
    return Selector(tuple(found))


def _requirement(value: object, place: str) -> Requirement:
    body = fields.mapping(value, place, ("key", "operator", "values"))
    if "key" not in body or "operator" not in body:
        raise InputError(place, "a key or an operator is missing", "write {key: ..., operator: In, values: [...]}")
    key = fields.label_key(body["key"], f"{place}.key")
    operator = fields.one_of(body["operator"], f"{place}.operator", _OPERATORS)
    values = [
        fields.label_value(item, f"{place}.values[{index}]")
        for index, item in enumerate(fields.items(body.get("values"), f"{place}.values"))
    ]
    if bool(values) != (operator in ("In", "NotIn")):
        problem = f"{operator} without values" if not values else f"{operator} takes no values"
        raise InputError(f"{place}.values", problem, "In and NotIn need values; Exists and DoesNotExist have none")
    return Requirement(key, operator, frozenset(values))
