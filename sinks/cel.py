"""CEL conditions, the escape hatch of the rules file: compiled once, three-valued, and bounded on hostile events.

The language: https://github.com/google/cel-spec; why this library: docs/adr/0014-cel.md.
"""

import re
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from sinks import cel_text
from sinks.cel_text import Mistake, mistake
from sinks.facts import Facts
from sinks.fields import ALWAYS, LOOKED_UP, MANY, READ
from sinks.shelf import did_you_mean
from sinks.verdict import Condition, Verdict

if TYPE_CHECKING:
    from cel import Program

ITEMS, CHARACTERS, LEVELS, NODES = 100, 4_000, 12, 5_000
"""What an expression sees of an event: entries of a list or object, characters of a text, depth, and parts in all."""

OBJECTS = ("event", "alert", "names", "received_at")
"""Variables besides the fields that rules have names for."""

_PLACE = re.compile(r"ERROR: <input>:(\d+):(\d+): (?:Syntax error: )?(.*)")
_CANNOT = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)
"""What the library raises for an expression that has no answer for an event; a bug of ours raises it in no test."""


@lru_cache(maxsize=1_000)
def compile_text(text: str) -> "tuple[Program, tuple[str, ...]]":
    """Compile an expression, and name the variables it asks for.

    Raises Mistake, with the place in the expression.
    """
    import cel  # takes a second or two: only where a rules file has such a condition

    reading = cel_text.Reading(text)
    try:
        program = cel.compile(text)
    except ValueError as error:
        raise _unreadable(error) from None
    if odd := cel_text.LOOPS & set(program.functions()):
        raise mistake(text, text.find(min(odd)), f"{min(odd)} takes a name and a condition, and stands behind a list")
    known = [*OBJECTS, *READ]
    for name, at in reading.names.items():
        if name not in known:
            raise mistake(text, at, f"there is no {name!r}{did_you_mean(name, known)}")
    for name, at in reading.own.items():
        if name in known:
            raise mistake(text, at, f"{name!r} is a field of the event: let the loop name its own otherwise")
    for pattern in reading.patterns:
        _check_pattern(text, pattern)
    if not reading.names:
        raise mistake(text, 0, "asks nothing of the event")
    return program, tuple(reading.names)


def condition(text: str) -> Condition:
    """Return the condition of an expression that `compile_text` takes.

    One that has no answer (a member that is not there, a text compared with a number) does not hold; it is not known
    while something it asks for is not.
    """
    program, names = compile_text(text)

    def check(facts: Facts) -> Verdict:
        view = facts.view = facts.view or View(facts)
        view.show(names)
        try:
            answer = program.execute(view.context)
        except _CANNOT:
            answer = None
        if isinstance(answer, bool):
            return answer
        return None if any(name in view.withheld for name in names) else False

    return check


class View:
    """What the expressions of all rules see of one event, each part made ready when the first one asks for it."""

    def __init__(self, facts: Facts) -> None:
        from cel import Context

        self.context: Context = Context()
        self.context.add_function("lower", _lower)
        self.withheld: set[str] = set()
        self._facts = facts
        self._shown: set[str] = set()

    def show(self, names: tuple[str, ...]) -> None:
        """Make variables ready; what is not known yet is withheld, so that CEL's own logic carries it through."""
        for name in names:
            if name in self._shown:
                continue
            self._shown.add(name)
            value = self._value(name)
            if self._may_come(name, value):
                self.withheld.add(name)
            else:
                self.context.add_variable(name, _Bounded().of(value))

    def _value(self, name: str) -> Any:
        event = self._facts.event
        objects: dict[str, Callable[[], Any]] = {
            "event": event.event.model_dump,
            "alert": lambda: event.alert,
            "names": lambda: event.names,
            "received_at": lambda: event.received_at,
        }
        value = objects[name]() if name in objects else self._facts[name]
        return (value[0] if value else None) if isinstance(value, tuple) and name not in MANY else value

    def _may_come(self, name: str, value: Any) -> bool:
        """Say whether what is there of a variable is not all that will be known of it."""
        if name in ALWAYS or name in {"event", "received_at"}:
            return False
        if name in LOOKED_UP or name == "names":  # a look-up may still add one
            return self._facts.waiting
        return value in (None, ()) and self._facts.waits(name)


class _Bounded:
    """A copy of what an event holds, small enough that no expression takes long with it."""

    def __init__(self) -> None:
        self._left = NODES

    def of(self, value: Any, level: int = 0) -> Any:
        self._left -= 1
        if isinstance(value, str):
            return value[:CHARACTERS]
        if isinstance(value, bool | datetime) or value is None:
            return value
        if isinstance(value, int | float):
            return value if isinstance(value, float) or -(2**63) <= value < 2**63 else float(value)
        if self._left <= 0 or level >= LEVELS:
            return None
        if isinstance(value, dict):
            some = islice(value.items(), ITEMS)
            return {str(name)[:CHARACTERS]: self.of(inner, level + 1) for name, inner in some}
        return [self.of(inner, level + 1) for inner in islice(value, ITEMS)]


def _lower(text: Any) -> str:
    if not isinstance(text, str):
        raise TypeError("lower() takes a text")
    return text.lower()


def _check_pattern(text: str, pattern: cel_text.Token) -> None:
    import cel

    try:
        cel.evaluate(f'"".matches({pattern.text})')
    except _CANNOT:
        raise mistake(text, pattern.at, "not a pattern matches() can use (RE2: without look-around)") from None


def _unreadable(error: ValueError) -> Mistake:
    found = _PLACE.search(str(error))
    if not found:
        return Mistake("not CEL", 1, 1)
    # What the parser would have taken instead is a long list of its own words.
    said = found[3].partition(" expecting ")[0].replace("'<EOF>'", "the end")
    return Mistake(f"not CEL: {said}", int(found[1]), int(found[2]))
