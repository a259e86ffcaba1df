"""Values with their units, as people write them in YAML, into typed figures.

``"90s"``, ``"50ms"``, ``"5%"``, ``"1450"``, ``"10mbit"``.  A figure without a unit is refused where the unit would
be a guess.  Nothing here knows which argument it parses: callers pass the ``place`` that an error must name.
"""

import re

from chaosnet.errors import InputError

_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
# tc(8): "bit" units are decimal multiples of bits a second.
_BITS = {"bit": 1, "kbit": 10**3, "mbit": 10**6, "gbit": 10**9}
# Twelve digits are more than any of these quantities has; without an end, float() would read infinity.
_NUMBER = re.compile(r"\s*([0-9]{1,12}(?:\.[0-9]{1,12})?)\s*([a-zA-Z%]*)\s*", re.ASCII)


def _split(value: object, place: str, example: str) -> tuple[float, str]:
    match = _NUMBER.fullmatch(str(value)) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else None
    if match is None:
        raise InputError(place, f"{value!r} is not a value with a unit", f"write it like {example}")
    return float(match.group(1)), match.group(2).lower()


def duration(value: object, place: str) -> float:
    """``"90s"``, ``"50ms"``, ``"2m"``, ``"1h"`` to seconds; a bare number is refused.

    Raises InputError for a missing or unknown unit, or for zero.
    """
    number, unit = _split(value, place, '"90s" or "500ms"')
    if unit not in _SECONDS:
        problem = f"{value!r} has no unit" if not unit else f"{value!r} has the unknown unit {unit!r}"
        raise InputError(place, problem, 'write it like "90s", "500ms" or "2m"')
    if number <= 0:
        raise InputError(place, f"{value!r} is no time at all", "give a duration above zero")
    return number * _SECONDS[unit]


def percent(value: object, place: str) -> float:
    """``"5%"`` to 0.05; above 0 % and at most 100 %.  Raises InputError otherwise."""
    number, unit = _split(value, place, '"30%"')
    if unit != "%":
        raise InputError(place, f"{value!r} is not a percentage", 'write it like "30%"')
    if not 0 < number <= 100:
        raise InputError(place, f"{value!r} is outside 0% to 100%", "give a share above 0% and up to 100%")
    return number / 100


def rate(value: object, place: str) -> int:
    """``"10mbit"`` to bits a second (decimal multiples, as tc(8) has them).  Raises InputError otherwise."""
    number, unit = _split(value, place, '"10mbit"')
    if unit not in _BITS:
        raise InputError(place, f"{value!r} is not a rate", 'write it like "512kbit" or "10mbit"')
    bits = int(number * _BITS[unit])
    if bits < 8000:
        raise InputError(place, f"{value!r} is below 8kbit", "a token bucket needs at least 8kbit")
    return bits


def mtu(value: object, place: str) -> int:
    """``"1450"`` to bytes; from 576 (every IPv4 host must accept it: RFC 791) to 65,535.  Raises InputError otherwise."""
    number, unit = _split(value, place, '"1450"')
    if unit or number != int(number):
        raise InputError(place, f"{value!r} is not a number of bytes", 'write it like "1450"')
    if not 576 <= number <= 65535:
        raise InputError(place, f"an MTU of {value!r} is outside 576 to 65535", "give a size that IPv4 can use")
    return int(number)


def count(value: object, place: str, low: int = 1, high: int = 2**31 - 1) -> int:
    """A whole number from ``low`` to ``high``, given as a number or as text.  Raises InputError otherwise."""
    text = str(value).strip()
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,10}", text, re.ASCII) or not low <= int(text) <= high:
        raise InputError(place, f"{value!r} is not a whole number from {low} to {high}", "give one")
    return int(text)


def port(value: object, place: str) -> int:
    """A port number, 1 to 65535.  Raises InputError otherwise."""
    return count(value, place, 1, 65535)


def choice(value: object, place: str, allowed: tuple[str, ...]) -> str:
    """One of ``allowed``, else InputError listing them.

    Booleans are named for what they usually are: a bare ``on``, ``off``, ``yes`` or ``no`` that YAML 1.1 turned.
    """
    if isinstance(value, bool):
        raise InputError(place, f"YAML read this value as the boolean {value}", f"quote it; use one of {', '.join(allowed)}")
    if value not in allowed:
        raise InputError(place, f"{value!r} is not known", f"use one of {', '.join(allowed)}")
    return str(value)


def say_seconds(seconds: float) -> str:
    """Seconds as people read them: ``"0.4 ms"``, ``"1.25 s"``, ``"2 min 5 s"``."""
    # The borders lie where rounding to three figures would cross them ("1e+03 ms").
    if seconds < 0.9995:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 119.5:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"
