"""Every setting of every room, read from the models themselves: the text of `.env.example`."""

import textwrap
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from events.settings import KafkaSettings
from inbox.settings import InboxSettings
from ingest.settings import IngestSettings
from sinks.archive.settings import ArchiveSettings
from sinks.egress import EgressSettings
from sinks.settings import SinksSettings
from stream.settings import SekoiaSettings, StreamSettings

MODELS: tuple[type[BaseSettings], ...] = (
    KafkaSettings,
    SekoiaSettings,
    IngestSettings,
    StreamSettings,
    SinksSettings,
    EgressSettings,
    ArchiveSettings,
    InboxSettings,
)

WITHOUT_MODEL = """
# -- Every process
# What is logged: DEBUG, INFO, WARNING or ERROR. These two are read from the environment only.
#LOG_LEVEL=INFO
# json, or console with colours; default by whether a terminal is watching.
#LOG_FORMAT=json
"""
"""The log is set up before any settings are read."""


def names(model: type[BaseSettings]) -> dict[str, FieldInfo]:
    """Return the environment variable of each field."""
    prefix = model.model_config.get("env_prefix", "")
    return {
        str(field.validation_alias or f"{prefix}{name}".upper()): field for name, field in model.model_fields.items()
    }


def example() -> str:
    """Return a `.env` with every setting, its default and what it means; nothing is set, secrets are empty."""
    parts = ["# Settings of tocsin. Copy this file to .env, or set the same names in the environment, which wins.\n"]
    parts.append("# A line that starts with # is not set: what it shows is the default.\n")
    for model in MODELS:
        parts.append(f"\n# -- {(model.__doc__ or '').splitlines()[0]}\n")
        parts += [_entry(name, field) for name, field in names(model).items()]
    return "".join([*parts, WITHOUT_MODEL])


def _entry(name: str, field: FieldInfo) -> str:
    comment = textwrap.fill(field.description or "", 110, initial_indent="# ", subsequent_indent="# ")
    return f"{comment}{comment and chr(10)}#{name}={_written(field.get_default(call_default_factory=True))}\n"


def _written(value: Any) -> str:
    if value is None or isinstance(value, SecretStr):
        return ""
    if isinstance(value, timedelta):
        return _duration(value)
    if isinstance(value, bool):
        return str(value).lower()
    return value.as_posix() if isinstance(value, Path) else str(value)


def _duration(span: timedelta) -> str:
    milliseconds = round(span.total_seconds() * 1000)
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"


if __name__ == "__main__":
    print(example(), end="")
