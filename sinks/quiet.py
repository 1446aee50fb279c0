"""When a rule keeps quiet: muted, waiting between two messages, or collecting for a digest."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import AwareDatetime, BeforeValidator, Field, WithJsonSchema, model_validator

from events.settings import parse_duration
from sinks.hours import Hours, closes, within

SHORTEST, LONGEST = timedelta(seconds=1), timedelta(days=7)


def _interval(value: object) -> timedelta:
    read = parse_duration(value) if isinstance(value, str) else value
    if not isinstance(read, timedelta) or not SHORTEST <= read <= LONGEST:
        raise ValueError("write a time such as 90s, 15m or 24h, from 1s to 7d")
    return read


Interval = Annotated[
    timedelta, BeforeValidator(_interval), WithJsonSchema({"type": "string", "examples": ["90s", "15m", "24h"]})
]


class Mute(Hours):
    """A time in which a rule tells nobody: each week, or once."""

    from_: AwareDatetime | None = Field(None, alias="from", description="Not before, with its zone.")
    until: AwareDatetime | None = Field(None, description="Not after, with its zone.")

    @model_validator(mode="after")
    def _in_order(self) -> "Mute":
        if self.from_ and self.until and self.from_ >= self.until:
            raise ValueError("it ends before it begins")
        return self


Mutes = Annotated[list[Mute], BeforeValidator(lambda value: [value] if isinstance(value, dict) else value)]
"""One time or several."""


class Digest(Hours):
    """What comes in within a while, or in these hours, is told in one message at the end of it."""

    every: Interval | None = Field(None, description="At the latest so long after the first of them came in: 15m.")

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return value if isinstance(value, dict) else {"every": value}

    @model_validator(mode="after")
    def _has_an_end(self) -> "Digest":
        if self.every is None and self.hours == "00:00-24:00" and self.days == "mon-sun":
            raise ValueError("write how long: 15m, or hours such as {hours: '20:00-08:00', zone: Europe/Paris}")
        return self


def muted(mutes: list[Mute]) -> Callable[[datetime], bool]:
    """Return a function that says whether a time lies in one of them."""
    checks = [(one.from_, one.until, within(one)) for one in mutes]
    return lambda at: any(
        (begin is None or begin <= at) and (end is None or at < end) and inside(at) for begin, end, inside in checks
    )


def due(digest: Digest | None) -> Callable[[datetime], datetime | None]:
    """Return a function from when an event came in to when it must be told; None: at once."""
    if digest is None:
        return lambda _: None
    every, end = digest.every, closes(digest)

    def when(at: datetime) -> datetime | None:
        closing = end(at)
        if closing is None:
            return None
        return min(at + every, closing) if every else closing

    return when
