"""Many rules at once: per field, which of them its value refutes, remembered as one number with a bit per rule.

The same rules, entities and levels come again and again, so most events cost one look-up per field, not per rule.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from sinks.answers import Answer
from sinks.conditions import Conditions, answers, beyond_fields
from sinks.facts import Facts
from sinks.fields import OF_REPORT
from sinks.verdict import Condition, Verdict, every

_Column = Callable[[Any, bool], tuple[int, int]]
"""From a value to the rules it does not refute, and to those whose answer is not known."""


class RuleIndex:
    """What each of some rules says of an event; the same as asking one after another."""

    def __init__(self, matches: Sequence[Conditions], names: Sequence[str] = ()) -> None:
        """Take the conditions of rules, and the names by which it is remembered what those told."""
        names = names or [""] * len(matches)
        self._all = (1 << len(matches)) - 1
        by_field: dict[str, list[tuple[int, Answer]]] = {}
        for number, match in enumerate(matches):
            for name, answer in answers(match):
                by_field.setdefault(name, []).append((number, answer))
        self._columns = [(name, _column(asked, self._all), name in OF_REPORT) for name, asked in by_field.items()]
        alternatives = [(number, one) for number, match in enumerate(matches) for one in match.any]
        self._owners = [1 << number for number, _ in alternatives]
        self._with_any = sum(set(self._owners))
        inner = [one for _, one in alternatives], [names[number] for number, _ in alternatives]
        self._alternatives = RuleIndex(*inner) if alternatives else None
        self._beyond = [_beyond(match, name) for match, name in zip(matches, names, strict=True)]

    def possible(self, facts: Facts) -> Iterator[tuple[int, Verdict]]:
        """Yield the numbers of the rules that say yes or not known, in order."""
        alive, open_, waiting, untold = self._all, 0, facts.waiting, facts.untold
        for name, column, of_report in self._columns:
            kept, unknown = column(facts[name], untold if of_report else waiting)
            alive &= kept
            open_ |= unknown
            if not alive:
                return
        if self._alternatives and alive & self._with_any:
            yes, maybe = self._any(self._alternatives, facts)
            alive &= ~self._with_any | yes | maybe
            open_ |= maybe & ~yes
        while alive:
            bit = alive & -alive
            alive ^= bit
            number = bit.bit_length() - 1
            beyond = self._beyond[number]
            verdict = beyond(facts) if beyond else True
            if verdict is not False:
                yield number, None if open_ & bit else verdict

    def _any(self, alternatives: "RuleIndex", facts: Facts) -> tuple[int, int]:
        """Return the rules one of whose alternatives holds, and those of which one may."""
        yes = maybe = 0
        for number, verdict in alternatives.possible(facts):
            if verdict:
                yes |= self._owners[number]
            else:
                maybe |= self._owners[number]
        return yes, maybe


def _beyond(match: Conditions, name: str) -> Condition | None:
    found = beyond_fields(match.model_copy(update={"any": []}), name)
    return every(found) if found else None


def _column(asked: Sequence[tuple[int, Answer]], everyone: int) -> _Column:
    @lru_cache(maxsize=256)
    def column(value: Any, waiting: bool) -> tuple[int, int]:
        kept, unknown = everyone, 0
        for number, answer in asked:
            verdict = answer(value, waiting)
            if verdict is False:
                kept &= ~(1 << number)
            elif verdict is None:
                unknown |= 1 << number
        return kept, unknown

    return column
