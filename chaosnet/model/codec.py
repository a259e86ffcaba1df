"""Frozen dataclasses of the model to plain JSON values and back.

Used wherever a value leaves the process: the ledger, the lab's socket, the report.  Works from the type hints: nested
dataclasses, tuples, enums, mappings and the closed unions, whose members carry their class name under ``kind_``.
It does not version, compress or check ranges.
"""

import types
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from chaosnet.errors import ChaosnetError

Reader = Callable[[Any], Any]
_SCALARS = frozenset((str, int, float, bool, type(None)))


def to_plain(value: Any) -> Any:
    """``value`` as dicts, lists, strings, numbers, booleans and None.  Dataclasses carry their class name as ``kind_``."""
    kind: Any = type(value)
    if kind in _SCALARS:
        return value
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return {"kind_": kind.__name__} | {name: to_plain(getattr(value, name)) for name in _names(kind)}
    if isinstance(value, (tuple, list, frozenset, set)):
        return [to_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    return value


def from_plain(kind: Any, plain: Any) -> Any:
    """The value of type ``kind`` that :func:`to_plain` made ``plain`` of; ChaosnetError where it did not."""
    return _reader(kind)(plain)


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(f.name for f in fields(kind))


@cache
def _reader(kind: Any) -> Reader:
    """What reads values of ``kind``.  Made once: reach tables and samples come by the thousand."""
    read = _make_reader(kind)

    def guarded(plain: Any) -> Any:
        try:
            return read(plain)
        except (TypeError, ValueError, AttributeError) as error:
            name = getattr(kind, "__name__", str(kind))
            raise ChaosnetError(f"a stored value is not a {name}: {' '.join(str(error).split())}") from error

    return guarded


def _make_reader(kind: Any) -> Reader:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return lambda plain: _member(inner, plain)
    if origin is frozenset:
        return lambda plain: frozenset(map(_reader(inner[0]), _listed(plain)))
    if origin is tuple:
        if len(inner) == 2 and inner[1] is Ellipsis:
            return lambda plain: tuple(map(_reader(inner[0]), _listed(plain)))
        return lambda plain: tuple(from_plain(part, item) for part, item in zip(inner, _listed(plain), strict=True))
    if origin in (dict, Mapping):
        return lambda plain: {key: from_plain(inner[1], item) for key, item in plain.items()}
    if isinstance(kind, type) and is_dataclass(kind):
        return lambda plain: _read_dataclass(kind, plain)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind
    return lambda plain: _read_scalar(kind, plain)


@cache
def _field_readers(kind: type) -> tuple[tuple[str, Reader], ...]:
    hints = get_type_hints(kind)
    return tuple((name, _reader(hints[name])) for name in _names(kind))


def _read_dataclass(kind: Any, plain: Any) -> Any:
    if not isinstance(plain, dict) or plain.get("kind_", kind.__name__) != kind.__name__:
        raise ValueError(f"it is {_name(plain)}")
    return kind(**{name: read(plain[name]) for name, read in _field_readers(kind) if name in plain})


def _read_scalar(kind: Any, plain: Any) -> Any:
    if type(plain) is kind:
        return plain
    if kind is float and not isinstance(plain, bool):
        return float(plain)
    if kind in (str, int, bool):
        raise ValueError(f"it is {_name(plain)}")
    return plain


def _listed(plain: Any) -> list[Any]:
    if not isinstance(plain, list):
        raise ValueError(f"{type(plain).__name__} where a list belongs")
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
