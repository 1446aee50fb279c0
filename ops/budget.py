"""`tocsin budget`: what was posted and told against every limit, and when growth will reach it."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from aiokafka.errors import KafkaConnectionError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from events.errors import NotReady
from events.settings import KafkaSettings
from ops import api_calls
from sinks import shelf
from sinks.limits import Limit, most_in_any
from sinks.main import load
from sinks.rules import Target
from sinks.settings import SinksSettings
from sinks.spent import posts

DAY = 86_400.0
FAR = 3_650
"""Days beyond which nobody plans."""

console = Console(highlight=False)


@dataclass
class Spent:
    """What one target was posted and told; times in Unix seconds, in no order."""

    posts: list[float] = field(default_factory=list)
    events: list[float] = field(default_factory=list)


def show(kafka: KafkaSettings, since: datetime) -> None:
    """Print a line per target and limit.

    Raises NotReady when the rules or the cluster cannot be read.
    """
    rules = load(SinksSettings())
    try:
        spent = asyncio.run(_read(kafka, since.timestamp()))
        made, completed = asyncio.run(api_calls.calls(kafka, since.timestamp()))
    except KafkaConnectionError as error:
        raise NotReady(f"Kafka does not answer at {kafka.bootstrap_servers}.") from error
    table = Table(box=None, pad_edge=False)
    for title in ("target", "limit", "calls", "events", "most calls", "most events", "used", "events exceed it"):
        table.add_column(title, justify="left" if title in ("target", "limit", "events exceed it") else "right")
    for target in rules.targets.values():
        for row in rows(target, spent[target.name], since.timestamp(), time.time()):
            table.add_row(*map(Text, row))
    table.add_row(*map(Text, api_row(Spent(made, completed), since.timestamp(), time.time())))
    console.print(table)
    console.print(
        "Calls are posts made, refused ones too; most: in any window of the limit. What exceeds a limit goes into digests."
    )
    console.print(
        "Of the Alert API: calls that completed an event; look-ups of names, failed calls and an operator's come on top. The "
        "stream asks four times a second at most, a hundred alerts a call, and completes later what does not fit."
    )


def rows(target: Target, spent: Spent, since: float, now: float) -> list[tuple[str, ...]]:
    """Return the lines of one target: of each of its limits, one where it has none."""
    calls, events = f"{len(spent.posts):,}", f"{len(spent.events):,}"
    limits = limits_of(target)
    if not limits:
        return [(target.name, "none", calls, events, "-", "-", "-", "-")]
    found: list[tuple[str, ...]] = []
    for limit in limits:
        peaks = peaks_by_day(spent.events, limit.seconds, since, now)
        most = most_in_any(spent.posts, limit.seconds)
        found.append(
            (
                target.name, _words(limit), calls, events, f"{most:,}", f"{max(peaks, default=0):,}",
                f"{most / limit.posts:.0%}", exceeded(peaks, limit.posts, datetime.fromtimestamp(now, UTC).date()),
            )
        )  # fmt: skip
    return found


def api_row(spent: Spent, since: float, now: float) -> tuple[str, ...]:
    """Return the line of the Alert API: its calls against what the vendor takes from one address."""
    limit = api_calls.LIMIT
    most, peaks = most_in_any(spent.posts, limit.seconds), peaks_by_day(spent.posts, limit.seconds, since, now)
    return (
        "Alert API", _words(limit), f"{len(spent.posts):,}", f"{len(spent.events):,}", f"{most:,}", "-",
        f"{most / limit.posts:.0%}", exceeded(peaks, limit.posts, datetime.fromtimestamp(now, UTC).date()),
    )  # fmt: skip


def limits_of(target: Target) -> tuple[Limit, ...]:
    """Return the limits in force: the target's own, else those its type keeps to."""
    if target.limits is not None:
        return target.limits
    return shelf.find(target.type)(target.settings).limits()


def peaks_by_day(times: Sequence[float], seconds: float, since: float, now: float) -> list[int]:
    """Return for each full day up to now, the oldest first, the most events within any window that ends in it."""
    days = max(int((now - since) // DAY), 1)
    peaks = []
    for back in range(days, 0, -1):
        start, end = now - back * DAY, now - (back - 1) * DAY
        peaks.append(most_in_any([at for at in times if start - seconds < at <= end], seconds))
    return peaks


def exceeded(peaks: Sequence[int], limit: int, today: date) -> str:
    """Say on which day the peaks reach the limit, if they go on as a straight line through them does."""
    if max(peaks, default=0) > limit:
        return "already"
    if len(peaks) < 3:  # noqa: PLR2004 - a line through two days says nothing
        return "needs 3 days"
    middle, mean = (len(peaks) - 1) / 2, sum(peaks) / len(peaks)
    spread = sum((day - middle) ** 2 for day in range(len(peaks)))
    slope = sum((day - middle) * (peak - mean) for day, peak in enumerate(peaks)) / spread
    if slope <= 0:
        return "not at this growth"
    ahead = (limit - (mean + slope * middle)) / slope
    return "not within 10 years" if ahead > FAR else (today + timedelta(days=max(int(ahead), 0) + 1)).isoformat()


async def _read(kafka: KafkaSettings, since: float) -> dict[str, Spent]:
    spent: defaultdict[str, Spent] = defaultdict(Spent)
    async for one in posts(kafka, since):
        spent[one.target].posts += [one.at] * one.count
        spent[one.target].events.append(one.at)
    return spent


def _words(limit: Limit) -> str:
    units = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
    size, unit = next(((size, unit) for size, unit in units if limit.seconds == size), (1, ""))
    return f"{limit.posts:,} per {unit}" if unit else f"{limit.posts:,} per {limit.seconds / size:g} s"
