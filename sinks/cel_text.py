"""What may be written as a CEL condition: bounds that keep its time in hand, and mistakes named by their place."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sinks.fields import MANY
from sinks.shelf import did_you_mean

LONGEST = 2_000
"""Characters of one expression."""

DEEPEST = 2
"""Loops inside each other; a list has at most `cel.ITEMS` entries, so this bounds the steps."""

LOOPS = frozenset({"all", "exists", "exists_one", "map", "filter"})
BUILDERS = frozenset({"map", "filter"})
FUNCTIONS = frozenset(
    {"size", "contains", "startsWith", "endsWith", "matches", "lower", "has", "string", "int", "double", "dyn", "type"}
    | {"timestamp", "duration", "getHours", "getMinutes", "getSeconds", "getMilliseconds", "getDayOfWeek"}
    | {"getDayOfMonth", "getDayOfYear", "getDate", "getMonth", "getFullYear"}
)
_WORDS = frozenset({"true", "false", "null", "in"})
_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
    | (?P<text>[rR](?:'''.*?'''|\"\"\".*?\"\"\"|'[^'\n]*'|"[^"\n]*")
        | '''(?:\\.|[^\\])*?'''|\"\"\"(?:\\.|[^\\])*?\"\"\"|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*")
    | (?P<name>[A-Za-z_]\w*)
    | (?P<number>\d[\w.]*)
    | (?P<sign>[^\s])""",
    re.VERBOSE | re.DOTALL,
)
_COMPARED = re.compile(r"\s*[=!]=\s*[rR]?[\"']")


class Mistake(Exception):
    """An expression that may not be used, and where in it that shows (from 1)."""

    def __init__(self, said: str, line: int, column: int) -> None:
        super().__init__(said)
        self.said = said
        self.line = line
        self.column = column


@dataclass(frozen=True)
class Token:
    """A part of an expression, and where it begins."""

    kind: str
    text: str
    at: int


class Reading:
    """What an expression asks for: its variables, the names its loops make, its patterns, each with its place."""

    def __init__(self, text: str) -> None:
        """Look at an expression before it is compiled.

        Raises Mistake for what could take too long, and for functions there are not.
        """
        if len(text) > LONGEST:
            raise Mistake(f"longer than {LONGEST} characters", 1, 1)
        self.names: dict[str, int] = {}
        self.own: dict[str, int] = {}
        self.patterns: list[Token] = []
        self._text = text
        self._tokens = [Token("", "", 0), Token("", "", 0), *_tokens(text), *[Token("", "", len(text))] * 2]
        self._open: list[str] = []
        for number in range(2, len(self._tokens) - 2):
            self._take(number)
        for name in self.own:
            self.names.pop(name, None)

    def _take(self, number: int) -> None:
        before, token, after = self._tokens[number - 1 : number + 2]
        if token.text == "(":
            self._call(number)
        elif token.text == ")" and self._open:
            self._open.pop()
        elif token.text == "`":
            raise self._mistake(token, "names stand without backticks here")
        elif token.kind != "name" or token.text in _WORDS:
            return
        elif after.text == "(":
            if token.text not in FUNCTIONS and not (token.text in LOOPS and before.text == "."):
                near = did_you_mean(token.text, sorted(FUNCTIONS | LOOPS))
                raise self._mistake(token, f"there is no function {token.text!r}{near}")
        elif before.text != ".":
            self.names.setdefault(token.text, token.at)
            if token.text in MANY and _COMPARED.match(self._text, token.at + len(token.text)):
                raise self._mistake(token, f"{token.text} is a list: write 'text' in {token.text}")

    def _call(self, number: int) -> None:
        dot, called, token, first, second = self._tokens[number - 2 : number + 3]
        loop = called.text if called.text in LOOPS and dot.text == "." else ""
        self._open.append(loop)
        if loop:
            self.own.setdefault(first.text, first.at)
            self._check_loops(token)
        if called.text == "matches":
            # A pattern made of the event's own text could be a slow one.
            if first.kind != "text" or second.text != ")":
                raise self._mistake(called, "matches() takes one pattern, written out in quotes")
            self.patterns.append(first)

    def _check_loops(self, token: Token) -> None:
        loops = [name for name in self._open if name]
        if len(loops) > DEEPEST:
            raise self._mistake(token, f"loops are nested deeper than {DEEPEST}")
        if len(loops) > 1 and BUILDERS & set(loops):
            raise self._mistake(token, "map and filter stand in no other loop, and none in them")

    def _mistake(self, token: Token, said: str) -> Mistake:
        return mistake(self._text, token.at, said)


def mistake(text: str, at: int, said: str) -> Mistake:
    """Say that something is wrong at a place in an expression."""
    before = text[:at]
    return Mistake(said, before.count("\n") + 1, at - (before.rfind("\n") + 1) + 1)


def _tokens(text: str) -> Iterator[Token]:
    for match in _TOKEN.finditer(text):
        if match.lastgroup != "space":
            yield Token(match.lastgroup or "", match[0], match.start())
