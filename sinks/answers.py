"""What one condition says of the value of its field: yes, no, or not known yet."""

import operator
import re
from collections.abc import Callable
from fnmatch import translate
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from sinks import fields
from sinks.verdict import Verdict

THRESHOLD = re.compile(r"\s*(>=|<=|>|<|=)\s*(\d{1,6})\s*")
LEVELS = {"low": (0, 20), "moderate": (20, 40), "high": (40, 60), "major": (60, 80), "urgent": (80, 101)}

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_ADDRESS = re.compile(r"[0-9a-fA-F:.]*[:.][0-9a-fA-F:.]+")

_Network = IPv4Network | IPv6Network
_Address = IPv4Address | IPv6Address

Answer = Callable[[Any, bool], Verdict]
"""What one condition says of its field's value; the second is whether a value that is not there may still come."""


def of_texts(patterns: list[str], name: str) -> Answer:
    """Compare names with patterns, and addresses with networks."""
    fits = _pattern(patterns)
    if name in fields.ALWAYS:
        return lambda values, _: fits(values)
    if name in fields.LOOKED_UP:  # a look-up may still add a name that fits
        return lambda values, waiting: True if fits(values) else None if waiting else False
    return lambda values, waiting: True if fits(values) else None if waiting and not values else False


def of_number(threshold: str) -> Answer:
    """Compare a number with a threshold, or with the level it must have."""
    match = THRESHOLD.fullmatch(threshold)
    if match:
        compare, limit = _COMPARISONS[match[1]], float(match[2])
        return _number(lambda value: compare(value, limit))
    least, below = LEVELS[threshold.strip().lower()]
    return _number(lambda value: least <= value < below)


def _number(holds: Callable[[float], bool]) -> Answer:
    def answer(value: float | None, waiting: bool) -> Verdict:
        if value is None:
            return None if waiting else False
        return holds(value)

    return answer


def of_flag(wanted: bool) -> Answer:
    """Say whether a flag is as wanted."""
    return lambda value, waiting: value is wanted if value is not None else None if waiting else False


def _pattern(patterns: list[str]) -> Callable[[tuple[str, ...]], bool]:
    networks = [network for pattern in patterns if (network := _network(pattern))]
    compiled = re.compile("|".join(translate(pattern.casefold()) for pattern in patterns))

    @lru_cache(maxsize=256)  # the same rules, entities and assets come again and again
    def fits(values: tuple[str, ...]) -> bool:
        if any(compiled.match(value.casefold()) for value in values):
            return True
        addresses = [address for value in values for address in _addresses(value)] if networks else []
        return any(address in network for address in addresses for network in networks)

    return fits


def _network(pattern: str) -> _Network | None:
    try:
        return ip_network(pattern, strict=False) if "/" in pattern else None
    except ValueError:
        return None


def _addresses(value: str) -> list[_Address]:
    """Find the addresses in a source or target: "10.1.2.3", or "PC-7 (10.1.2.3)"."""
    found = []
    for text in _ADDRESS.findall(value[:500]):
        try:
            found.append(ip_address(text.rstrip(".")))
        except ValueError:
            continue
    return found
