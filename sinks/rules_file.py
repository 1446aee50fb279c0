"""Reading `tocsin.yml`: targets, rules, secrets from elsewhere, and mistakes named by line."""

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from events.errors import NotReady
from sinks import shelf
from sinks.conditions import Conditions, Names
from sinks.hours import Hours
from sinks.limits import LimitSettings
from sinks.proof import Canary, unfit
from sinks.quiet import Digest, Mute
from sinks.rules import Fallback, Rule, Rules, Target, TargetOptions
from sinks.rules_text import Path as Place
from sinks.rules_text import RulesText

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
_OPTIONS["canary"] = list(Canary.model_fields)


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    targets: dict[str, dict[str, Any]] = Field(min_length=1)
    rules: list[Rule] = Field(min_length=1)
    unmatched: Literal["drop"] | None = None
    operators: Names = Field(default_factory=list)


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
    source = RulesText(text, name, numbered=text != WITHOUT_FILE)
    try:
        file = _File.model_validate(source.content)
    except ValidationError as error:
        raise source.wrong((), error, _known) from None
    targets = {target: _target(source, target, entry, environment) for target, entry in file.targets.items()}
    _check_fallbacks(source, targets)
    _check_operators(source, file)
    _check_rules(source, file)
    return Rules(file.rules, targets, hashlib.sha256(text.encode()).hexdigest(), file.operators)


def _known(path: Place) -> list[str]:
    """Name the settings of the file, of a rule, or of its conditions, by how deep the path goes."""
    models: dict[int, type[BaseModel]] = {1: _File, 3: Rule}
    quiet: dict[Any, type[BaseModel]] = {"mute": Mute, "digest": Digest, "when": Hours}
    inner = next((quiet[part] for part in path[:-1] if part in quiet), Conditions)
    return [field.alias or name for name, field in models.get(len(path), inner).model_fields.items()]


def _target(source: RulesText, name: str, entry: dict[str, Any], environment: Mapping[str, str | None]) -> Target:
    place: Place = ("targets", name)
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise source.mistake(
            place, f"a name is made of a-z, 0-9, - and _, and is not one of {sorted(_RESERVED)}", key=True
        )
    given = {key: _resolve(source, (*place, key), value, environment) for key, value in entry.items()}
    type_ = given.pop("type", None)
    if not isinstance(type_, str):
        raise source.mistake(place, f"has no type; known: {', '.join(shelf.types())}")
    try:
        settings = shelf.find(type_).Settings
    except NotReady as error:
        raise source.mistake((*place, "type"), str(error)) from None
    options = _options(source, name, {key: given.pop(key) for key in TargetOptions.model_fields if key in given})
    if why := unfit(options["canary"], type_):
        raise source.mistake((*place, "canary"), why)
    try:
        return Target(name, type_, settings.model_validate(given), **options)
    except ValidationError as error:
        raise source.wrong(
            place, error, lambda _: [*settings.model_fields, *TargetOptions.model_fields, "type"]
        ) from None


def _options(source: RulesText, name: str, given: dict[str, Any]) -> dict[str, Any]:
    """Read what a target of any type may have."""
    try:
        options = TargetOptions.model_validate(given)
    except ValidationError as error:
        if error.errors()[0]["loc"][0] == "start":
            message = "write now, earliest, or a time with its zone such as 2026-08-01T00:00:00Z"
            raise source.mistake(("targets", name, "start"), message) from None
        raise source.wrong(("targets", name), error, lambda path: _OPTIONS.get(str(path[2]), [])) from None
    limits = None if options.limits is None else tuple(one.limit() for one in options.limits)
    return {**{key: getattr(options, key) for key in ("start", "connection", "fallback", "canary")}, "limits": limits}


def _resolve(source: RulesText, place: Place, value: Any, environment: Mapping[str, str | None]) -> Any:
    """Fetch a value that stands elsewhere: `${NAME}` in the environment, `file:/path` in a file."""
    if isinstance(value, list):
        return [_resolve(source, (*place, index), each, environment) for index, each in enumerate(value)]
    if isinstance(value, dict):
        return {key: _resolve(source, (*place, key), each, environment) for key, each in value.items()}
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


def _check_fallbacks(source: RulesText, targets: dict[str, Target]) -> None:
    for target in targets.values():
        place: Place = ("targets", target.name, "fallback", "target")
        if target.fallback and target.fallback.target == target.name:
            raise source.mistake(place, "a target cannot stand in for itself")
        if target.fallback and target.fallback.target not in targets:
            hint = shelf.did_you_mean(target.fallback.target, list(targets))
            raise source.mistake(place, f"there is no target {target.fallback.target!r}{hint}")


def _check_operators(source: RulesText, file: _File) -> None:
    for number, target in enumerate(file.operators):
        if target not in file.targets:
            hint = shelf.did_you_mean(target, list(file.targets))
            raise source.mistake(("operators", number), f"there is no target {target!r}{hint}")


def _check_rules(source: RulesText, file: _File) -> None:
    seen: set[str] = set()
    for index, rule in enumerate(file.rules):
        place: Place = ("rules", index)
        if rule.name in seen:
            raise source.mistake((*place, "name"), f"a second rule is named {rule.name!r}")
        seen.add(rule.name)
        for number, target in enumerate(rule.notify):
            if target not in file.targets:
                hint = shelf.did_you_mean(target, list(file.targets))
                raise source.mistake((*place, "notify", number), f"there is no target {target!r}{hint}")
    if file.rules[-1].match != Conditions() and file.unmatched is None:
        raise source.mistake(
            ("rules",),
            "what no rule matches reaches nobody: say so with `unmatched: drop`, or end with a rule `match: all`",
        )
