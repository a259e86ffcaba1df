"""Frozen dataclasses of the model to plain JSON values and back.

Used wherever a value leaves the process: the ledger, the lab's socket, the report.  Works from the type hints: nested
dataclasses, tuples, enums, mappings and the closed unions, whose members carry their class name under ``kind_``.
It does not version, compress or check ranges.
"""

import types
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from chaosnet.errors import ChaosnetError


def to_plain(value: Any) -> Any:
    """``value`` as dicts, lists, strings, numbers, booleans and None.  Dataclasses carry their class name as ``kind_``."""
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return {"kind_": type(value).__name__} | {f.name: to_plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, (tuple, list, frozenset, set)):
        return [to_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    return value


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def from_plain(kind: Any, plain: Any) -> Any:
    """The value of type ``kind`` that :func:`to_plain` made ``plain`` of; ChaosnetError where it did not."""
    try:
        return _from_plain(kind, plain)
    except (TypeError, ValueError, AttributeError) as error:
        name = getattr(kind, "__name__", str(kind))
        raise ChaosnetError(f"a stored value is not a {name}: {' '.join(str(error).split())}") from error


def _from_plain(kind: Any, plain: Any) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _member(inner, plain)
    if origin in (tuple, frozenset) and not isinstance(plain, list):
        raise ValueError(f"{type(plain).__name__} where a list belongs")
    if origin is frozenset:
        return frozenset(from_plain(inner[0], item) for item in plain)
    if origin is tuple:
        if len(inner) == 2 and inner[1] is Ellipsis:
            return tuple(from_plain(inner[0], item) for item in plain)
        return tuple(from_plain(part, item) for part, item in zip(inner, plain, strict=True))
    if origin in (dict, Mapping):
        return {key: from_plain(inner[1], item) for key, item in plain.items()}
    if isinstance(kind, type) and is_dataclass(kind):
        if not isinstance(plain, dict) or plain.get("kind_", kind.__name__) != kind.__name__:
            raise ValueError(f"it is {_name(plain)}")
        hints = _hints(kind)
        return kind(**{f.name: from_plain(hints[f.name], plain[f.name]) for f in fields(kind) if f.name in plain})
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(plain)
    if kind is float and not isinstance(plain, bool):
        return float(plain)
    if kind in (str, int, bool) and type(plain) is not kind:
        raise ValueError(f"it is {_name(plain)}")
    return plain


def _member(members: tuple[Any, ...], plain: Any) -> Any:
    """The value of whichever member of a union ``plain`` is: by its ``kind_``, else the first that takes it."""
    if plain is None and type(None) in members:
        return None
    if isinstance(plain, dict) and "kind_" in plain:
        members = tuple(member for member in members if getattr(member, "__name__", "") == plain["kind_"])
    for member in members:
        if member is not type(None):
            with suppress(ChaosnetError):
                return from_plain(member, plain)
    raise ValueError(f"it is {_name(plain)}")


def _name(plain: Any) -> str:
    return repr(plain.get("kind_", "a mapping")) if isinstance(plain, dict) else f"of type {type(plain).__name__}"
