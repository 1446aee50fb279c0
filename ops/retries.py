"""What sinks say they try again just now, and when."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from events.headers import parse_time


class Retrying(NamedTuple):
    """An event that a target did not take yet."""

    event_id: str
    revision: int
    attempts: int
    reason: str
    next_at: datetime


def retrying(rooms: Iterable[dict[str, Any]]) -> dict[str, Retrying]:
    """Return what is tried again, by target; rooms that are no sinks have nothing to say of it."""
    said = [body for room in rooms if isinstance(body := room.get("retrying"), dict)]
    return {target: read(each) for body in said for target, each in body.items() if isinstance(each, dict)}


def read(said: dict[str, Any]) -> Retrying:
    """Read one entry of a sink's `/healthz`; what is missing is empty."""
    next_at = parse_time(str(said.get("next_at"))) or datetime.now(UTC)
    attempts, revision = (value if isinstance(value := said.get(n), int) else 0 for n in ("attempts", "revision"))
    return Retrying(str(said.get("event_id", "")), revision, attempts, str(said.get("reason", "")), next_at)
