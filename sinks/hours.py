"""Office hours: days and times in a time zone."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SPAN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]|24):([0-5]\d)")


def _days(text: str) -> str:
    for part in text.split(","):
        first, _, last = part.strip().lower().partition("-")
        if first not in DAYS or (last and last not in DAYS):
            raise ValueError("write days such as mon-fri or [sat, sun]")
    return text


def _span(text: str) -> str:
    if not _SPAN.fullmatch(text) or text.endswith(("24:01", "24:59")):
        raise ValueError("write a span such as '08:00-18:30'; '22:00-06:00' goes over midnight")
    return text


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"there is no time zone {name!r}; write one such as Europe/Paris") from None
    return name


class Hours(BaseModel):
    """A weekly span of time."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    days: Annotated[
        str,
        BeforeValidator(lambda value: ",".join(map(str, value)) if isinstance(value, list) else value),
        AfterValidator(_days),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
    ] = Field("mon-sun", description="mon-fri, or [sat, sun].")
    hours: Annotated[str, AfterValidator(_span)] = Field("00:00-24:00", description="'08:00-18:30', local time.")
    zone: Annotated[str, AfterValidator(_zone)] = Field("UTC", description="Such as Europe/Paris.")


NEVER = datetime.max.replace(tzinfo=UTC)
"""When a span that has no end closes."""


# Rules have the same office hours, and each asks at the time of the same event.
@lru_cache(maxsize=100)
def within(hours: Hours) -> Callable[[datetime], bool]:
    """Return a function that says whether a time lies in the span; one over midnight belongs to the day it begins."""
    days, zone = _numbers(hours.days), ZoneInfo(hours.zone)
    begin, end = _ends(hours.hours)
    if _always(hours):
        return lambda _: True

    @lru_cache(maxsize=4)
    def check(at: datetime) -> bool:
        local = at.astimezone(zone)
        now = _clock(local.time())
        if begin < end:
            return local.weekday() in days and begin <= now < end
        return (local.weekday() in days and now >= begin) or ((local.weekday() - 1) % 7 in days and now < end)

    return check


@lru_cache(maxsize=100)
def closes(hours: Hours) -> Callable[[datetime], datetime | None]:
    """Return a function that says when the span that holds a time ends, NEVER for one of all days; None outside.

    Whole days in a row are one span.
    """
    inside, zone, (_, end) = within(hours), ZoneInfo(hours.zone), _ends(hours.hours)
    if _always(hours):
        return lambda _: NEVER

    @lru_cache(maxsize=4)
    def check(at: datetime) -> datetime | None:
        if not inside(at):
            return None
        day = at.astimezone(zone).date()
        ends = (_moment(day + timedelta(days=later), end, zone) for later in range(9))  # a week, and its day before
        return next((one for one in ends if one > at and not inside(one)), NEVER)

    return check


def _always(hours: Hours) -> bool:
    return len(_numbers(hours.days)) == len(DAYS) and _ends(hours.hours) == ((0, 0), (24, 0))


def _moment(day: date, clock: tuple[int, int], zone: ZoneInfo) -> datetime:
    days, hour = divmod(clock[0], 24)
    return datetime.combine(day + timedelta(days=days), time(hour, clock[1]), zone).astimezone(UTC)


def _ends(text: str) -> tuple[tuple[int, int], tuple[int, int]]:
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return (int(match[1]), int(match[2])), (int(match[3]), int(match[4]))


def _clock(at: time) -> tuple[int, int]:
    return at.hour, at.minute


def _numbers(text: str) -> frozenset[int]:
    numbers: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().lower().partition("-")
        begin, end = DAYS.index(first), DAYS.index(last or first)
        numbers.update((begin + n) % 7 for n in range((end - begin) % 7 + 1))
    return frozenset(numbers)
