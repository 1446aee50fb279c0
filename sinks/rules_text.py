"""The text of a rules file, and where in it something stands: mistakes are named by file, line and column."""

from collections.abc import Callable, Iterator
from typing import Any

import yaml
from pydantic import ValidationError

from events.errors import NotReady
from sinks import shelf

LARGEST = 1024 * 1024
"""Characters of a file."""

MOST, DEEPEST = 50_000, 40
"""Values in it, each counted wherever an alias repeats it, and how deep they stand in each other."""

Path = tuple[str | int, ...]


class RulesText:
    """A YAML text that can say where in it something stands.

    Raises NotReady, with the place, for what is not YAML, or is too large.
    """

    def __init__(self, text: str, name: str, *, numbered: bool = True) -> None:
        self.name = name
        self._text = text
        self._numbered = numbered
        self._keys: dict[Path, yaml.Mark] = {}
        self._values: dict[Path, yaml.Node] = {}
        if len(text) > LARGEST:
            raise NotReady(f"{name}: larger than {LARGEST} characters")
        self.content = self._read()
        if not isinstance(self.content, dict):
            raise NotReady(f"{name}: the file must hold `targets:` and `rules:`")

    def place(self, path: Path, *, key: bool = False) -> str:
        """Return `file:line:column` of a value, or of its key; of what it stands in where there is no such value."""
        known = self._known(path)
        found = self._values.get(known)
        mark = self._keys.get(known) if key and known in self._keys else found.start_mark if found else None
        return self._at(mark.line + 1, mark.column + 1) if mark else self._at(1, 1)

    def mistake(self, path: Path, message: str, *, key: bool = False) -> NotReady:
        """Name a mistake by its place and path."""
        dotted = ".".join(str(part) for part in path)
        return NotReady(f"{self.place(path, key=key)}: {dotted + ': ' if dotted else ''}{message}")

    def wrong(self, prefix: Path, error: ValidationError, known: Callable[[Path], list[str]]) -> NotReady:
        """Name the first mistake pydantic found; values are never repeated, one may be a secret."""
        errors = error.errors(include_url=False, include_input=False)
        # A name written wrong is also missing under its right name: that is the lesser help.
        first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
        path = (*prefix, *first["loc"])
        if first["type"] == "cel":
            return self._in_expression(path, first["ctx"])
        if first["type"] == "extra_forbidden":
            return self.mistake(path, f"unknown setting{shelf.did_you_mean(str(path[-1]), known(path))}", key=True)
        message = first["msg"].removeprefix("Value error, ")
        return self.mistake(path, message[0].lower() + message[1:])

    def _known(self, path: Path) -> Path:
        known: Path = ()
        for part in path:
            if (*known, part) in self._values:
                known = (*known, part)
            elif part != 0:  # one thing may be written where a list of one is meant
                break
        return known

    def _at(self, line: int, column: int) -> str:
        return f"{self.name}:{line}:{column}" if self._numbered else self.name

    def _read(self) -> Any:
        try:
            root = yaml.compose(self._text, Loader=yaml.SafeLoader)
            if root is not None:
                self._keep(root)
            return yaml.safe_load(self._text)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            bare = "chomping" in str(error.problem) or "character '>'" in str(error.problem)
            hint = " (a comparison stands in quotes: '>= 70')" if bare else ""
            where = self._at(mark.line + 1, mark.column + 1) if mark else self.name
            raise NotReady(f"{where}: not YAML: {error.problem or 'unreadable'}{hint}") from None
        except yaml.YAMLError:
            raise NotReady(f"{self.name}: not YAML: it holds characters YAML does not allow") from None
        except RecursionError:
            raise NotReady(f"{self._at(1, 1)}: nested too deep to be read") from None
        except ValueError:  # a date or number that YAML's own forms allow and Python has not
            raise NotReady(f"{self.name}: not YAML: it holds a date or number that cannot be") from None

    def _keep(self, root: yaml.Node) -> None:
        for count, (path, key, node) in enumerate(_nodes(root, None, ())):
            if count >= MOST or len(path) > DEEPEST:
                raise NotReady(f"{self._at(1, 1)}: the file holds too much, or an alias that holds itself")
            if path in self._values:
                mark = key or node.start_mark
                raise NotReady(f"{self._at(mark.line + 1, mark.column + 1)}: {path[-1]!r} stands here a second time")
            self._values[path] = node
            if key:
                self._keys[path] = key

    def _in_expression(self, path: Path, found: dict[str, Any]) -> NotReady:
        node = self._values.get(path)
        exact = _inside(self._text, node, found["line"], found["column"]) if isinstance(node, yaml.ScalarNode) else None
        dotted = ".".join(str(part) for part in path)
        if exact:
            return NotReady(f"{self._at(*exact)}: {dotted}: {found['said']}")
        return self.mistake(path, f"{found['said']} (at {found['line']}:{found['column']} of the expression)")


def _nodes(node: yaml.Node, key: yaml.Mark | None, path: Path) -> Iterator[tuple[Path, yaml.Mark | None, yaml.Node]]:
    yield path, key, node
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            yield from _nodes(value, name.start_mark, (*path, str(name.value)))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _nodes(value, None, (*path, index))


def _inside(text: str, node: yaml.ScalarNode, line: int, column: int) -> tuple[int, int] | None:
    """Return the line and column of the file for those of a scalar's value; None where its form hides them."""
    start, end = node.start_mark, node.end_mark
    if node.style == "|":
        lines = text.splitlines()[start.line + 1 : end.line + 1]
        indent = next((len(one) - len(one.lstrip(" ")) for one in lines if one.strip()), 0)
        return start.line + 1 + line, indent + column
    raw = text[start.index : end.index]
    if line > 1 or start.line != end.line or (node.style == '"' and "\\" in raw):
        return None
    if node.style == "'":
        # Each quote of the value is written as two.
        column += node.value[: column - 1].count("'")
    return start.line + 1, start.column + column + (1 if node.style in {"'", '"'} else 0)
