"""Edges, their states, and the reach table that every target and the policy engine produce.

An edge is one question about traffic: from where, to where, which protocol and port, and how much it sends and
receives.  100 bytes and 3,000 bytes are two edges: the MTU outage lives between them.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from chaosnet.errors import InputError
from chaosnet.model import units
from chaosnet.model.endpoint import Endpoint, parse_endpoint

PROTOCOLS = ("tcp", "udp", "http", "icmp", "dns", "bgp")


class State(StrEnum):
    """What an attempt over an edge met, from the best to the worst; ``unknown`` is no answer to the question."""

    OPEN = "open"
    DEGRADED = "degraded"
    REFUSED = "refused"
    RESET = "reset"
    UNRESOLVED = "unresolved"
    TIMED_OUT = "timed out"
    UNKNOWN = "unknown"

    @property
    def passes(self) -> bool:
        """Whether traffic gets through at all: the projection that the policy engine shares."""
        return self in (State.OPEN, State.DEGRADED)


@dataclass(frozen=True, slots=True)
class Edge:
    """One directed question.  Sizes are bytes of payload; ``send`` 0 on tcp is a bare connect.

    protocol
        ``tcp`` connects and exchanges payload if asked, ``udp`` expects an echo, ``http`` a 2xx answer (any other status is
        ``degraded``: something answered, but not the service), ``icmp`` an echo reply, ``dns`` an answer for ``query``,
        ``bgp`` that every BGP session on the way is Established; ``any`` stands for every watched edge between the two ends.
    by_name
        Resolve the destination Service's DNS name in the source pod first; no answer is ``unresolved``.
    """

    name: str
    source: Endpoint
    destination: Endpoint
    protocol: str
    port: int = 0
    send: int = 0
    receive: int = 0
    by_name: bool = False
    query: str = ""

    def __str__(self) -> str:
        port = f":{self.port}" if self.port else ""
        return f"{self.source} → {self.destination}{port}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class Observation:
    """One attempt over one edge.  ``at`` is monotonic seconds when it began, ``seconds`` how long it took."""

    edge: str
    state: State
    at: float
    seconds: float = 0.0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ReachTable:
    """Edge name → state.  Equality compares states only, so lab, cluster and engine compare with ``==``."""

    states: Mapping[str, State]
    details: Mapping[str, str] = field(default_factory=dict, compare=False)

    def __iter__(self) -> Iterator[str]:
        return iter(self.states)

    def __getitem__(self, edge: str) -> State:
        return self.states[edge]

    def passes(self) -> dict[str, bool]:
        """The projection on open or not open, which the policy engine can answer too."""
        return {edge: state.passes for edge, state in self.states.items()}


_PORT = re.compile(r"([0-9]{1,5})(?:/([a-z]+))?", re.ASCII)
_FIELDS = ("from", "to", "port", "send", "receive", "by", "query")


def parse_edge(name: str, fields: object, place: str) -> Edge:
    """One entry of the ``edges`` block to an Edge; InputError naming ``place`` and the field otherwise.

    ``port`` is ``8080``, ``8080/tcp``, ``8080/http``, ``53/udp``, ``53/dns``, ``179/bgp``, ``icmp`` or ``any``.
    """
    where = f"{place}.{name}"
    if not isinstance(fields, dict):
        raise InputError(where, f"{fields!r} is not an edge", "write {from: ..., to: ..., port: 8080/tcp}")
    for key in fields:
        if key is True or key is False:
            raise InputError(where, f"YAML read a key as the boolean {key}", "quote it, or use another word")
        if key not in _FIELDS:
            raise InputError(where, f"unknown field {key!r}", f"use {', '.join(_FIELDS)}")
    for key in ("from", "to"):
        if key not in fields:
            raise InputError(where, f"the field {key!r} is missing", "an edge has from, to and port")
    source = parse_endpoint(fields["from"], f"{where}.from")
    destination = parse_endpoint(fields["to"], f"{where}.to")
    if source.kind not in ("pod", "node"):
        raise InputError(f"{where}.from", f"{source} cannot send", "an edge begins at a pod or a node")
    protocol, port = _port(fields.get("port", ""), f"{where}.port")
    by = units.choice(fields.get("by", "address"), f"{where}.by", ("address", "name"))
    if by == "name" and destination.kind != "service":
        raise InputError(f"{where}.by", f"{destination} has no DNS name of its own", "only edges to a svc: go by name")
    query = fields.get("query", "")
    if protocol == "dns" and not (isinstance(query, str) and re.fullmatch(r"[A-Za-z0-9_.-]{1,253}", query, re.ASCII)):
        raise InputError(f"{where}.query", f"{query!r} is not a DNS name", "a dns edge asks for a name")
    if protocol != "dns" and query:
        raise InputError(f"{where}.query", f"a {protocol} edge asks for no name", "remove it, or use port: 53/dns")
    # One datagram or echo carries at most 65,535 bytes less 28 of headers (RFC 791, RFC 768).
    most = 65507 if protocol in ("udp", "icmp") else 10**7
    return Edge(
        name=name,
        source=source,
        destination=destination,
        protocol=protocol,
        port=port,
        send=units.count(fields.get("send", 0), f"{where}.send", 0, most),
        receive=units.count(fields.get("receive", 0), f"{where}.receive", 0, most),
        by_name=by == "name",
        query=query,
    )


def _port(value: object, place: str) -> tuple[str, int]:
    text = str(value)
    if text in ("icmp", "any"):
        return text, 0
    match = None if isinstance(value, bool) else _PORT.fullmatch(text)
    if match is None:
        raise InputError(place, f"{value!r} is not a port", 'write "8080/tcp", "8080/http", "53/dns", "179/bgp", "icmp" or "any"')
    protocol = match.group(2) or "tcp"
    if protocol not in PROTOCOLS or protocol == "icmp":
        raise InputError(place, f"{protocol!r} is not a protocol of an edge", f"use {', '.join(PROTOCOLS)}")
    return protocol, units.port(match.group(1), place)
