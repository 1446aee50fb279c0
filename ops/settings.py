"""Every setting of every room, read from the models: the text of `.env.example` and of docs/settings.md."""

import sys
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
from ops.catch_up_settings import CatchUpSettings
from ops.watch_settings import WatchSettings
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
    CatchUpSettings,
    WatchSettings,
)

WITHOUT_MODEL = """
# -- Every process
# What is logged: DEBUG, INFO, WARNING or ERROR. These two are read from the environment only.
#LOG_LEVEL=INFO
# json, or console with colours; default by whether a terminal is watching.
#LOG_FORMAT=json
"""
"""The log is set up before any settings are read."""


REFERENCE = """\
# Settings

Written from the models by `python -m ops.settings reference`. `tocsin settings` shows what is in force and where it comes
from. Durations are written `90s`, `15m`, `24h`, `14d`. Names are set in the environment, or in `.env` in the working
directory; the environment wins.
"""


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


def reference() -> str:
    """Return the page of the docs: the same as tables, a room each."""
    parts = [REFERENCE]
    for model in MODELS:
        parts.append(
            f"\n## {(model.__doc__ or '').splitlines()[0]}\n\n| setting | default | meaning |\n|---|---|---|\n"
        )
        parts += [_row(name, field) for name, field in names(model).items()]
    parts.append("\n## Every process\n\n| setting | default | meaning |\n|---|---|---|\n")
    parts.append("| `LOG_LEVEL` | `INFO` | What is logged: DEBUG, INFO, WARNING or ERROR; environment only. |\n")
    parts.append("| `LOG_FORMAT` | by terminal | json, or console with colours; environment only. |\n")
    return "".join(parts)


def _row(name: str, field: FieldInfo) -> str:
    default = written(field.get_default(call_default_factory=True))
    meaning = (field.description or "").replace("|", "\\|")
    return f"| `{name}` | {default and f'`{default}`'} | {meaning} |\n"


def _entry(name: str, field: FieldInfo) -> str:
    comment = textwrap.fill(field.description or "", 110, initial_indent="# ", subsequent_indent="# ")
    return f"{comment}{comment and chr(10)}#{name}={written(field.get_default(call_default_factory=True))}\n"


def written(value: Any) -> str:
    """Return a value as one writes it in `.env`; a secret as nothing."""
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
    print(reference() if sys.argv[1:] == ["reference"] else example(), end="")
