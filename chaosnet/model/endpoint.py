"""Endpoints: the two ends of an edge, and where many faults sit.  One grammar everywhere::

    [cluster/]namespace/pod            one pod, or all that a * matches
    [cluster/]namespace/key=value,...  the pods with these labels
    svc:[cluster/]namespace/name       a Service
    node:cluster/name                  a node (* matches)
    ip:ADDRESS                         an address
    entity:NAME                        a Cilium entity, for the policy engine

Text to value and back; resolving an endpoint against what exists is :mod:`chaosnet.model.inventory`.
"""

import ipaddress
import re
from dataclasses import dataclass

from chaosnet.errors import InputError

# RFC 1123 labels and subdomains (what Kubernetes lets objects be called), and * for "any".
_NAME = re.compile(r"(?:[a-z0-9*](?:[-a-z0-9.*]{0,251}[a-z0-9*])?)", re.ASCII)
# Label keys (an optional DNS prefix) and values: Kubernetes, "Labels and Selectors: Syntax and character set".
_LABEL = re.compile(
    r"(?:[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
    r"=(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?",
    re.ASCII,
)
_GRAMMAR = "[cluster/]namespace/pod, svc:[cluster/]namespace/name, node:cluster/name or ip:ADDRESS"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint as written.  ``kind`` is pod, service, node, ip or entity; what a kind has no use for is empty.

    ``name`` may hold ``*``; ``labels`` are pairs that must all match, and then ``name`` is ``*``.
    """

    kind: str
    cluster: str = ""
    namespace: str = ""
    name: str = "*"
    labels: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        if self.kind in ("ip", "entity"):
            return f"{self.kind}:{self.name}"
        last = ",".join(f"{key}={value}" for key, value in self.labels) if self.labels else self.name
        path = "/".join(part for part in (self.cluster, self.namespace, last) if part)
        return {"pod": "", "service": "svc:", "node": "node:"}[self.kind] + path


def _names(parts: list[str], text: str, place: str) -> list[str]:
    for part in parts:
        if not _NAME.fullmatch(part):
            raise InputError(place, f"{part!r} in the endpoint {text!r} is not a Kubernetes name", f"write {_GRAMMAR}")
    return parts


def _labels(text: str, whole: str, place: str) -> tuple[tuple[str, str], ...]:
    pairs = text.split(",")
    for pair in pairs:
        if not _LABEL.fullmatch(pair):
            raise InputError(place, f"{pair!r} in the endpoint {whole!r} is not a label", "write key=value,key=value")
    # A key whose prefix has no dot reads as part of the path when it comes first: such keys come last.
    return tuple(
        sorted(
            ((key, value) for key, _, value in (pair.partition("=") for pair in pairs)),
            key=lambda label: ("/" in label[0] and "." not in label[0].partition("/")[0], label),
        )
    )


def parse_endpoint(text: object, place: str) -> Endpoint:
    """The endpoint that ``text`` writes; InputError naming ``place`` where it writes none."""
    if not isinstance(text, str) or not text or len(text) > 1024:
        raise InputError(place, f"{text!r} is not an endpoint", f"write {_GRAMMAR}")
    head, colon, rest = text.partition(":")
    if colon and head == "ip":
        try:
            if "%" in rest:  # a scope ("%eth0") is free text, and means an interface of another machine
                raise ValueError(rest)
            return Endpoint("ip", name=str(ipaddress.ip_address(rest)))
        except ValueError:
            raise InputError(place, f"{rest!r} in {text!r} is not an IP address", "write ip:ADDRESS") from None
    if colon and head == "entity":
        return Endpoint("entity", name=_names([rest], text, place)[0])
    if colon and head == "node":
        parts = _names(rest.split("/"), text, place)
        if len(parts) != 2:
            raise InputError(place, f"{text!r} does not name a node", "write node:cluster/name")
        return Endpoint("node", parts[0], "", parts[1])
    kind = "service" if colon and head == "svc" else "pod"
    if colon and head != "svc" and "=" not in head:
        raise InputError(place, f"{text!r} begins with the unknown word {head!r}", f"write {_GRAMMAR}")
    body = rest if kind == "service" else text
    # A label's key may hold a slash of its own (app.kubernetes.io/name=x), so what precedes the first = decides.
    before, equals, _ = body.partition("=")
    labels: tuple[tuple[str, str], ...] = ()
    if equals and kind == "pod":
        path = before.split("/")
        # The key takes the last part, and the one before it too where that is a DNS prefix (it holds a dot).
        taken = 2 if len(path) >= 3 and "." in path[-2] else 1
        parts = path[: len(path) - taken]
        labels = _labels(body[len("/".join(parts)) + 1 :] if parts else body, text, place)
        parts = [*_names(parts, text, place), "*"]
    else:
        parts = _names(body.split("/"), text, place)
    if len(parts) == 2:
        return Endpoint(kind, "", parts[0], parts[1], labels)
    if len(parts) == 3:
        return Endpoint(kind, parts[0], parts[1], parts[2], labels)
    raise InputError(place, f"{text!r} is not an endpoint", f"write {_GRAMMAR}")
