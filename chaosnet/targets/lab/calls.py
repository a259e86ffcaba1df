"""The calls between a client and a lab's keeper: names, types of arguments and results, and the lines they travel in.

One JSON object a line: ``{"id", "call", "args"}`` there, ``{"id", "ok"}`` or ``{"id", "error": {"type", "message"}}``
back.  Values by :mod:`chaosnet.model.codec`.  Opens nothing.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chaosnet import errors
from chaosnet.errors import ChaosnetError
from chaosnet.model.change import Change
from chaosnet.model.codec import from_plain, to_plain
from chaosnet.model.edge import Edge, Observation
from chaosnet.model.fault import Capabilities, Reading
from chaosnet.model.inventory import Inventory, Site
from chaosnet.model.question import Answer, Question
from chaosnet.model.ticket import Undo


@dataclass(frozen=True, slots=True)
class Call:
    """The types of a call's arguments and of its result."""

    arguments: tuple[Any, ...] = ()
    result: Any = None


CALLS: Mapping[str, Call] = {
    "capabilities": Call((), Capabilities),
    "inventory": Call((), Inventory),
    "settle": Call((float,)),
    "describe": Call((), Mapping[str, str]),
    "prepare": Call((str, Change), Undo),
    "arm": Call((str, tuple[Undo, ...], float), str),
    "do": Call((str, Change, Undo)),
    "in_force": Call((str, Change), Reading),
    "undo": Call((str, tuple[Undo, ...])),
    "fuse_blown": Call((str,), bool),
    "owned": Call((), tuple[str, ...]),
    "panic": Call((), tuple[str, ...]),
    "snapshot": Call((), Mapping[str, str]),
    "forget": Call((tuple[Site, ...],), tuple[str, ...]),
    "ask": Call((Question,), Answer),
    "watch": Call((tuple[Edge, ...], float, float)),
    "samples": Call((int,), tuple[int, tuple[Observation, ...]]),
    "hold": Call((tuple[Edge, ...], float, float)),
    "held": Call((), tuple[Observation, ...]),
    # Not of the Target protocol: what the command line needs of a lab.
    "survey": Call((), Mapping[str, Any]),
    "capture_points": Call((Edge,), tuple[tuple[str, str, str], ...]),
    "run": Call((str, tuple[str, ...], str), int),
    "record": Call((tuple[tuple[str, str, str], ...], tuple[tuple[int, int, int, int], ...]), tuple[tuple[int, int], ...]),
    "signal": Call((int,)),
    "end": Call(),
}


def request(number: int, call: str, arguments: tuple[Any, ...]) -> bytes:
    """The line that makes a call."""
    return json.dumps({"id": number, "call": call, "args": to_plain(arguments)}, separators=(",", ":")).encode() + b"\n"


def read_request(line: bytes) -> tuple[int, str, tuple[Any, ...]]:
    """Number, call and arguments of a line; ChaosnetError for what is no call."""
    try:
        plain = json.loads(line)
        call = CALLS[plain["call"]]
        arguments = tuple(from_plain(kind, value) for kind, value in zip(call.arguments, plain["args"], strict=True))
        return int(plain["id"]), str(plain["call"]), arguments
    except (ValueError, KeyError, TypeError) as error:
        raise ChaosnetError(f"the lab was asked something it does not know ({type(error).__name__}: {error})") from None


def answer(number: int, value: Any) -> bytes:
    """The line of a result."""
    return json.dumps({"id": number, "ok": to_plain(value)}, separators=(",", ":")).encode() + b"\n"


def refusal(number: int, error: BaseException) -> bytes:
    """The line of an error."""
    body = {"type": type(error).__name__, "message": str(error)}
    return json.dumps({"id": number, "error": body}, separators=(",", ":")).encode() + b"\n"


def read_answer(call: str, line: bytes) -> Any:
    """The result in a line; raises the error in it."""
    plain = json.loads(line)
    if "error" in plain:
        raise error_of(plain["error"])
    kind = CALLS[call].result
    return None if kind is None else from_plain(kind, plain["ok"])


def error_of(plain: Mapping[str, str]) -> ChaosnetError:
    """The error that travelled: of its own class where that is one of ours, with the same sentence."""
    kind = getattr(errors, plain.get("type", ""), None)
    if not (isinstance(kind, type) and issubclass(kind, ChaosnetError)):
        return ChaosnetError(f"the lab met an internal error, {plain.get('type')}: {plain.get('message')}")
    found = kind.__new__(kind)
    Exception.__init__(found, plain.get("message", ""))
    if isinstance(found, errors.InputError):
        found.place, found.problem, found.remedy = "", plain.get("message", ""), ""
    return found
