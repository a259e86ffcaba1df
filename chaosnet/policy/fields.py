"""Typed access to the fields of a manifest, with the place of each in its errors.

A manifest arrives as plain dicts and lists of whatever its author wrote.  These few functions turn one field into a value
of the wanted type, or raise InputError: where, which value, what to do.  They know no kind of object and no defaults.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from chaosnet.errors import InputError

# Kubernetes, "Object Names and IDs": DNS subdomain (RFC 1123) and DNS label.
_SUBDOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*", re.ASCII)
_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?", re.ASCII)
# Kubernetes, "Labels and Selectors": the name part of a key, and a value.
_QUALIFIED = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?", re.ASCII)
# IANA_SVC_NAME (RFC 6335 section 5.1): 1 to 15 characters, at least one letter, no adjacent hyphens.
_PORT_NAME = re.compile(r"(?=.*[a-z])(?!.*--)[a-z0-9](?:[-a-z0-9]{0,13}[a-z0-9])?", re.ASCII)

PROTOCOLS = ("TCP", "UDP", "SCTP")


def show(value: object) -> str:
    """``value`` as an error quotes it: short."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def given(value: object, default: object) -> object:
    """``value``, or ``default`` where the field is absent, null or empty text, as the API server defaults it."""
    return default if value is None or value == "" else value


def mapping(value: object, place: str, allowed: Sequence[str] | None = None) -> Mapping[str, Any]:
    """``value`` as a mapping (None: an empty one) with no other keys than ``allowed``, if that is given."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputError(place, f"{show(value)} is not a mapping", "write key: value pairs")
    for key in value:
        if not isinstance(key, str):
            raise InputError(place, f"the key {show(key)} is not text", "quote it")
        if allowed is not None and key not in allowed:
            raise InputError(place, f"unknown field {show(key)}", f"use {', '.join(allowed)}")
    return value


def items(value: object, place: str) -> Sequence[Any]:
    """``value`` as a list (None: an empty one)."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise InputError(place, f"{show(value)} is not a list", "begin each entry with a dash")
    return value


def text(value: object, place: str) -> str:
    """``value`` as text.  YAML's booleans and numbers are named for what they are."""
    if isinstance(value, bool):
        raise InputError(place, f"YAML read this value as the boolean {value}", "quote it")
    if not isinstance(value, str):
        raise InputError(place, f"{show(value)} is not text", "quote it")
    return value


def flag(value: object, place: str) -> bool:
    """``value`` as true or false (None: false)."""
    if value is None or isinstance(value, bool):
        return bool(value)
    raise InputError(place, f"{show(value)} is not a boolean", "write true or false")


def whole(value: object, place: str, low: int, high: int) -> int:
    """``value`` as a whole number from ``low`` to ``high``."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InputError(place, f"{show(value)} is not a whole number from {low} to {high}", "give one")
    return value


def one_of(value: object, place: str, allowed: Sequence[str]) -> str:
    """``value`` if it is one of ``allowed``."""
    if text(value, place) not in allowed:
        raise InputError(place, f"{show(value)} is not known", f"use one of {', '.join(allowed)}")
    return str(value)


def name(value: object, place: str, what: str = "a name") -> str:
    """``value`` as an object's name: a DNS subdomain of at most 253 characters."""
    if value is None or value == "":
        raise InputError(place, f"{what} is missing", "every object has one")
    if len(text(value, place)) > 253 or not _SUBDOMAIN.fullmatch(str(value)):
        raise InputError(place, f"{show(value)} is not a Kubernetes name", "use a-z, 0-9, - and dots (RFC 1123)")
    return str(value)


def dns_label(value: object, place: str) -> str:
    """``value`` as a DNS label of at most 63 characters: namespaces and Services are called so."""
    if len(text(value, place)) > 63 or not _LABEL.fullmatch(str(value)):
        raise InputError(place, f"{show(value)} is not a DNS label", "use up to 63 of a-z, 0-9 and - (RFC 1123)")
    return str(value)


def port(value: object, place: str) -> int | str:
    """``value`` as a port number or a port's name."""
    if isinstance(value, str):
        if not _PORT_NAME.fullmatch(value):
            raise InputError(
                place, f"{show(value)} is not a port's name", "write a number without quotes, or 1 to 15 of a-z, 0-9 and -"
            )
        return value
    return whole(value, place, 1, 65535)


def label_key(value: object, place: str) -> str:
    """``value`` as a label's key: ``[prefix/]name``."""
    prefix, slash, last = text(value, place).rpartition("/")
    good = len(last) <= 63 and _QUALIFIED.fullmatch(last) and (not slash or (len(prefix) <= 253 and _SUBDOMAIN.fullmatch(prefix)))
    if not good:
        raise InputError(place, f"{show(value)} is not a label's key", "write [dns.prefix/]name")
    return str(value)


def label_value(value: object, place: str) -> str:
    """``value`` as a label's value: at most 63 characters, or empty."""
    if text(value, place) and (len(str(value)) > 63 or not _QUALIFIED.fullmatch(str(value))):
        raise InputError(place, f"{show(value)} is not a label's value", "use up to 63 letters, digits, -, _ and dots")
    return str(value)


def labels(value: object, place: str) -> Mapping[str, str]:
    """``value`` as labels (None: none)."""
    return {label_key(key, place): label_value(item, f"{place}.{key}") for key, item in mapping(value, place).items()}
