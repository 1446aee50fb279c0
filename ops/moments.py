"""Moments as an operator writes them: `24h` for that long ago, or a time."""

from datetime import UTC, datetime, timedelta

import typer

from events.settings import parse_duration


def moment(text: str, now: datetime | None = None) -> datetime:
    """Read `90m`, `24h`, `7d` as that long ago, or an ISO 8601 time; one without a zone is UTC.

    Raises typer.BadParameter.
    """
    try:
        span = parse_duration(text)
        if isinstance(span, timedelta):
            return (now or datetime.now(UTC)) - span
    except (OverflowError, ValueError):
        raise typer.BadParameter(f"{text!r} is before the year 1") from None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is neither a duration such as 24h or 7d, nor a time such as 2026-07-29T08:00"
        ) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
