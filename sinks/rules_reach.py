"""Which conditions can never hold, and which hold whenever others do; what is said here is sure, much is left unsaid."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import inf

from sinks import fields
from sinks.answers import LEVELS, THRESHOLD
from sinks.conditions import Conditions

_HIGHEST = {"urgency": 100, "asset_criticality": 100, "severity": 100, "confidence": 100, "similar": inf}
_ONE_TEXT = ("type", "action", "tenant", "hook", "origin")
_NO_ALERT = frozenset({"case", "content-proposal"})
_ALERT_ONLY = ("urgency", "asset_criticality", "stage", "kill_chain", "source", "target")
_TEXTS = (*fields.ALWAYS, *fields.REPORTED, *fields.ENRICHED)
_SAME = (*fields.FLAGS, "when", "if_")


@dataclass(frozen=True)
class Range:
    """Numbers between two bounds, which may belong to it or not."""

    low: float
    high: float
    low_open: bool = False
    high_open: bool = False

    @property
    def empty(self) -> bool:
        """Whether no number is in it."""
        return self.low > self.high or (self.low == self.high and (self.low_open or self.high_open))

    def meet(self, other: "Range") -> "Range":
        """Return what is in both."""
        low, low_open = max((self.low, self.low_open), (other.low, other.low_open))
        high, high_shut = min((self.high, not self.high_open), (other.high, not other.high_open))
        return Range(low, high, low_open, not high_shut)

    def inside(self, other: "Range") -> bool:
        """Say whether all of it is in the other."""
        return self.empty or self.meet(other) == self


def never(match: Conditions) -> str:
    """Say what of conditions can never hold; empty where that is not certain."""
    parts = list(_parts(match))
    for name, highest in _HIGHEST.items():
        asked = [getattr(part, name) for part in parts if getattr(part, name)]
        if asked and _range(name, parts).empty:
            return f"{name}: {' and '.join(asked)} cannot be; it is {'0 or more' if highest == inf else '0 to 100'}"
    for name in _ONE_TEXT:
        if _no_common([getattr(part, name) for part in parts]):
            return f"{name}: no {name} is all of these at once"
    kinds = _literal([kind for part in parts for kind in part.type])
    if kinds and kinds <= _NO_ALERT and (asked := [name for name in _ALERT_ONLY if _given(parts, name)]):
        return f"{asked[0]}: an event of type {' or '.join(sorted(kinds))} has none"
    for name in fields.FLAGS:
        if {getattr(part, name) for part in parts} >= {True, False}:
            return f"{name}: true and false at once"
    return _never_inside(match, parts)


def _never_inside(match: Conditions, parts: Sequence[Conditions]) -> str:
    for part in parts:
        if part.any and all(map(never, part.any)):
            return f"any: {never(part.any[0])}"
        if part.not_ and implies(match, part.not_):
            return "not: the other conditions say what it forbids"
    return ""


def implies(narrow: Conditions, wide: Conditions) -> bool:
    """Say whether the wide conditions surely hold whenever the narrow ones do; False where that is not certain."""
    parts = list(_parts(narrow))
    for name in _TEXTS:
        asked = getattr(wide, name)
        if asked and not any(_covers(asked, getattr(part, name)) for part in parts):
            return False
    for name in _HIGHEST:
        if getattr(wide, name) and not (_given(parts, name) and _range(name, parts).inside(_range(name, [wide]))):
            return False
    for name in _SAME:
        asked = getattr(wide, name)
        if asked not in (None, []) and not any(getattr(part, name) == asked for part in parts):
            return False
    # What was told before is another for each rule.
    if wide.recurrence or (wide.not_ and not any(part.not_ == wide.not_ for part in parts)):
        return False
    return _implies_one(narrow, parts, wide.any) and all(implies(narrow, one) for one in wide.all)


def _implies_one(narrow: Conditions, parts: Sequence[Conditions], wide: Sequence[Conditions]) -> bool:
    """Say whether one of the alternatives surely holds, whichever of their own makes the narrow ones hold."""
    if not wide or any(implies(narrow, one) for one in wide):
        return True
    return any(part.any and all(any(implies(a, b) for b in wide) for a in part.any) for part in parts)


def alternatives(match: Conditions) -> Iterator[tuple[tuple[str | int, ...], Conditions]]:
    """Yield the conditions inside conditions that need not all hold, with their path."""
    for index, one in enumerate(match.any):
        yield ("any", index), one
        yield from ((("any", index, *path), inner) for path, inner in alternatives(one))
    for index, one in enumerate(match.all):
        yield from ((("all", index, *path), inner) for path, inner in alternatives(one))


def _parts(match: Conditions) -> Iterator[Conditions]:
    """Yield the conditions that must all hold."""
    yield match
    for one in match.all:
        yield from _parts(one)


def _given(parts: Sequence[Conditions], name: str) -> bool:
    return any(getattr(part, name) not in (None, []) for part in parts)


def _range(name: str, parts: Sequence[Conditions]) -> Range:
    found = Range(0, _HIGHEST[name])
    for part in parts:
        if text := getattr(part, name):
            found = found.meet(_of(text))
    return found


def _of(text: str) -> Range:
    match = THRESHOLD.fullmatch(text)
    if not match:
        low, high = LEVELS[text.strip().lower()]
        return Range(low, high, high_open=True)
    sign, limit = match[1], float(match[2])
    if sign == "=":
        return Range(limit, limit)
    return Range(limit, inf, low_open=sign == ">") if sign[0] == ">" else Range(-inf, limit, high_open=sign == "<")


def _literal(patterns: Sequence[str]) -> set[str]:
    """Return the patterns when all are plain words, neither globs nor networks, else nothing."""
    return set() if any(set(one) & set("*?[/") for one in patterns) else {one.casefold() for one in patterns}


def _no_common(asked: Sequence[Sequence[str]]) -> bool:
    words = [_literal(patterns) for patterns in asked if patterns]
    return len(words) > 1 and all(words) and not set.intersection(*words)


def _covers(wide: Sequence[str], narrow: Sequence[str]) -> bool:
    """Say whether whatever fits a narrow pattern fits a wide one."""
    folded = [one.casefold() for one in wide]
    plain = _literal(narrow)
    return bool(narrow) and all(
        one.casefold() in folded or (one.casefold() in plain and any(fnmatchcase(one.casefold(), w) for w in folded))
        for one in narrow
    )
