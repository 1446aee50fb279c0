"""Reading `tocsin.yml`: targets, rules, secrets from elsewhere, and mistakes named by line."""

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from events.errors import NotReady
from sinks import shelf
from sinks.conditions import Conditions
from sinks.limits import LimitSettings
from sinks.rules import Fallback, Rule, Rules, Target, TargetOptions

WITHOUT_FILE = """\
targets:
  teams: {type: teams, url: "${TEAMS_WEBHOOK_URL}"}
rules:
  - {name: everything, match: all, notify: teams}
"""
"""The rules in force when there is no file and TEAMS_WEBHOOK_URL is set."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")
_RESERVED = {"archive", "inbox", "ingest", "stream"}
_VARIABLE = re.compile(r"\$\{(\w+)\}")

_OPTIONS = {"limits": list(LimitSettings.model_fields), "fallback": list(Fallback.model_fields)}

_Path = tuple[str | int, ...]


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    targets: dict[str, dict[str, Any]] = Field(min_length=1)
    rules: list[Rule] = Field(min_length=1)
    unmatched: Literal["drop"] | None = None


class _Source:
    """A YAML text that can say where in it something stands."""

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        self.lines: dict[_Path, int] = {}
        self.numbered = text != WITHOUT_FILE
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
            self.content = yaml.safe_load(text)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
            bare = "chomping" in str(error.problem) or "character '>'" in str(error.problem)
            hint = " (a comparison stands in quotes: '>= 70')" if bare else ""
            raise NotReady(f"{name}{where}: not YAML: {error.problem or 'unreadable'}{hint}") from None
        except yaml.YAMLError:
            raise NotReady(f"{name}: not YAML: it holds characters YAML does not allow") from None
        for path, line in _lines(root, ()):
            if path in self.lines:
                raise NotReady(f"{name}:{line}: {path[-1]!r} stands here a second time")
            self.lines[path] = line
        if not isinstance(self.content, dict):
            raise NotReady(f"{name}: the file must hold `targets:` and `rules:`")

    def mistake(self, path: _Path, message: str) -> NotReady:
        """Name a mistake by file, line and path."""
        known = next((path[:n] for n in range(len(path), -1, -1) if path[:n] in self.lines), ())
        dotted = ".".join(str(part) for part in path)
        line = f":{self.lines.get(known, 1)}" if self.numbered else ""
        return NotReady(f"{self.name}{line}: {dotted + ': ' if dotted else ''}{message}")

    def wrong(self, prefix: _Path, error: ValidationError, known: Callable[[_Path], list[str]]) -> NotReady:
        """Name the first mistake pydantic found; values are never repeated, one may be a secret."""
        errors = error.errors(include_url=False, include_input=False, include_context=False)
        # A name written wrong is also missing under its right name: that is the lesser help.
        first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
        path = (*prefix, *first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            message = f"unknown setting{shelf.did_you_mean(str(path[-1]), known(path))}"
        return self.mistake(path, message[0].lower() + message[1:])


def environment() -> dict[str, str | None]:
    """Return what `${NAME}` stands for; `.env` holds settings everywhere else, so it counts here too."""
    return {**dotenv_values(".env"), **os.environ}


def read(path: Path, environment: Mapping[str, str | None]) -> Rules:
    """Read a rules file.

    Raises NotReady with file, line and what to do.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NotReady(f"{path}: the rules file cannot be read: {type(error).__name__}") from None
    return parse(text, str(path), environment)


def parse(text: str, name: str, environment: Mapping[str, str | None]) -> Rules:
    """Read the text of a rules file.

    Raises NotReady with file, line and what to do.
    """
    source = _Source(text, name)
    try:
        file = _File.model_validate(source.content)
    except ValidationError as error:
        raise source.wrong((), error, _known) from None
    targets = {target: _target(source, target, entry, environment) for target, entry in file.targets.items()}
    _check_fallbacks(source, targets)
    _check_rules(source, file)
    return Rules(file.rules, targets, hashlib.sha256(text.encode()).hexdigest())


def _known(path: _Path) -> list[str]:
    """Name the settings of the file, of a rule, or of its conditions, by how deep the path goes."""
    models: dict[int, type[BaseModel]] = {1: _File, 3: Rule}
    return [field.alias or name for name, field in models.get(len(path), Conditions).model_fields.items()]


def _target(source: _Source, name: str, entry: dict[str, Any], environment: Mapping[str, str | None]) -> Target:
    place: _Path = ("targets", name)
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise source.mistake(place, f"a name is made of a-z, 0-9, - and _, and is not one of {sorted(_RESERVED)}")
    given = {key: _resolve(source, (*place, key), value, environment) for key, value in entry.items()}
    type_ = given.pop("type", None)
    if not isinstance(type_, str):
        raise source.mistake(place, f"has no type; known: {', '.join(shelf.types())}")
    try:
        settings = shelf.find(type_).Settings
    except NotReady as error:
        raise source.mistake((*place, "type"), str(error)) from None
    options = _options(source, name, {key: given.pop(key) for key in TargetOptions.model_fields if key in given})
    try:
        return Target(name, type_, settings.model_validate(given), **options)
    except ValidationError as error:
        raise source.wrong(
            place, error, lambda _: [*settings.model_fields, *TargetOptions.model_fields, "type"]
        ) from None


def _options(source: _Source, name: str, given: dict[str, Any]) -> dict[str, Any]:
    """Read what a target of any type may have."""
    try:
        options = TargetOptions.model_validate(given)
    except ValidationError as error:
        if error.errors()[0]["loc"][0] == "start":
            message = "write now, earliest, or a time with its zone such as 2026-08-01T00:00:00Z"
            raise source.mistake(("targets", name, "start"), message) from None
        raise source.wrong(("targets", name), error, lambda path: _OPTIONS.get(str(path[2]), [])) from None
    limits = None if options.limits is None else tuple(one.limit() for one in options.limits)
    return {**{key: getattr(options, key) for key in ("start", "connection", "fallback")}, "limits": limits}


def _resolve(source: _Source, place: _Path, value: Any, environment: Mapping[str, str | None]) -> Any:
    """Fetch a value that stands elsewhere: `${NAME}` in the environment, `file:/path` in a file."""
    if not isinstance(value, str):
        return value
    if value.startswith("file:"):
        try:
            return Path(value.removeprefix("file:")).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise source.mistake(place, f"{value} cannot be read: {type(error).__name__}") from None

    def variable(match: re.Match[str]) -> str:
        found = environment.get(match[1])
        if not found:
            raise source.mistake(place, f"the environment variable {match[1]} is not set")
        return found

    return _VARIABLE.sub(variable, value)


def _check_fallbacks(source: _Source, targets: dict[str, Target]) -> None:
    for target in targets.values():
        place: _Path = ("targets", target.name, "fallback", "target")
        if target.fallback and target.fallback.target == target.name:
            raise source.mistake(place, "a target cannot stand in for itself")
        if target.fallback and target.fallback.target not in targets:
            hint = shelf.did_you_mean(target.fallback.target, list(targets))
            raise source.mistake(place, f"there is no target {target.fallback.target!r}{hint}")


def _check_rules(source: _Source, file: _File) -> None:
    seen: set[str] = set()
    for index, rule in enumerate(file.rules):
        place: _Path = ("rules", index)
        if rule.name in seen:
            raise source.mistake((*place, "name"), f"a second rule is named {rule.name!r}")
        seen.add(rule.name)
        for target in rule.notify:
            if target not in file.targets:
                hint = shelf.did_you_mean(target, list(file.targets))
                raise source.mistake((*place, "notify"), f"there is no target {target!r}{hint}")
    if file.rules[-1].match != Conditions() and file.unmatched is None:
        raise source.mistake(
            ("rules",),
            "what no rule matches reaches nobody: say so with `unmatched: drop`, or end with a rule `match: all`",
        )


def _lines(node: yaml.Node | None, path: _Path) -> Iterator[tuple[_Path, int]]:
    if node is None:
        return
    yield path, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _lines(value, (*path, str(key.value)))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _lines(value, (*path, index))
