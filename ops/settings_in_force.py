"""`tocsin settings`: what every setting is just now, what it would be otherwise, and where it comes from."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dotenv import dotenv_values
from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ops.settings import MODELS, names, written
from ops.settings_mistakes import reason

ENV_FILE = Path(".env")

MASK = "********"

Source = Literal["environment", ".env", "default"]


@dataclass(frozen=True)
class Setting:
    """One setting as it stands; secrets are masked."""

    name: str
    value: str
    default: str
    source: Source
    wrong: str = ""
    """Why the rooms refuse the value; empty while it is good."""


def in_force(environment: Mapping[str, str], file: Mapping[str, str | None]) -> list[Setting]:
    """Return every setting of every room, once, in the order of `.env.example`."""
    found: dict[str, Setting] = {}
    for model in MODELS:
        values, wrong = _read(model)
        for name, (attribute, field) in _fields(model).items():
            source = _source(model, name, environment, file)
            default = written(field.get_default(call_default_factory=True))
            value = values[attribute] if attribute in values else _raw(name, source, environment, file, field)
            found.setdefault(name, Setting(name, _shown(value), default, source, wrong.get(name, "")))
    return list(found.values())


def show(*, only_set: bool) -> int:
    """Print the settings as a table; return 2 when one of them is refused."""
    settings = in_force(os.environ, dotenv_values(ENV_FILE, encoding="utf-8"))
    table = Table(box=None, pad_edge=False)
    table.add_column("setting", no_wrap=True)
    for title in ("value", "default", "from"):
        table.add_column(title, overflow="fold")
    for each in settings:
        if only_set and each.source == "default":
            continue
        style = "red" if each.wrong else "bold" if each.source != "default" else "dim"
        value = f"{each.value}: must be {each.wrong}" if each.wrong else each.value
        default = each.default if each.default != each.value else ""
        table.add_row(*(escape(text) for text in (each.name, value, default, each.source)), style=style)
    Console().print(table)
    return 2 if any(each.wrong for each in settings) else 0


def as_json() -> list[dict[str, str]]:
    """Return the settings as a list of objects."""
    return [vars(each) for each in in_force(os.environ, dotenv_values(ENV_FILE, encoding="utf-8"))]


def _fields(model: type[BaseSettings]) -> dict[str, tuple[str, FieldInfo]]:
    return {
        name: (attribute, field)
        for (name, field), attribute in zip(names(model).items(), model.model_fields, strict=True)
    }


def _read(model: type[BaseSettings]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values by attribute, or what is wrong by variable: one mistake leaves a model without any."""
    try:
        return dict(model()), {}
    except ValidationError as error:
        attributes = {attribute: name for name, (attribute, _) in _fields(model).items()}
        wrong: dict[str, str] = {}
        for each in error.errors(include_input=False):
            place = str(each["loc"][0])
            wrong[attributes.get(place, place)] = reason(each)
        return {}, wrong


def _source(
    model: type[BaseSettings], name: str, environment: Mapping[str, str], file: Mapping[str, str | None]
) -> Source:
    empty_is_unset = bool(model.model_config.get("env_ignore_empty"))
    if name in environment and (environment[name] or not empty_is_unset):
        return "environment"
    if file.get(name) is not None and (file[name] or not empty_is_unset):
        return ".env"
    return "default"


def _raw(
    name: str, source: Source, environment: Mapping[str, str], file: Mapping[str, str | None], field: FieldInfo
) -> Any:
    """Return what was written, for a model that could not be made; what is secret stays secret."""
    if source == "default":
        return field.get_default(call_default_factory=True)
    text = environment[name] if source == "environment" else file[name] or ""
    return SecretStr(text) if "SecretStr" in str(field.annotation) else text


def _shown(value: Any) -> str:
    if isinstance(value, SecretStr):
        return MASK if value.get_secret_value() else ""
    return written(value)
