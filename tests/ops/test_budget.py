"""`tocsin budget`: figures per limit, and the day growth reaches it."""

import asyncio
from datetime import UTC, date, datetime
from types import SimpleNamespace

import orjson
import pytest

from ops import api_calls
from ops.budget import DAY, Spent, api_row, exceeded, peaks_by_day, rows
from sinks.destinations.slack import SlackSettings
from sinks.limits import Limit
from sinks.rules import Target

TODAY = date(2026, 8, 10)
NOW = datetime(2026, 8, 10, 12, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("peaks", "limit", "said"),
    [
        ([], 25, "needs 3 days"),
        ([1, 2], 25, "needs 3 days"),
        ([1, 30, 2], 25, "already"),
        ([10, 12, 14, 16, 18], 25, "2026-08-14"),
        ([25, 25, 25], 25, "not at this growth"),
        ([9, 5, 1], 25, "not at this growth"),
        ([1] * 20 + [2], 2_000, "not within 10 years"),
    ],
)
def test_the_day(peaks, limit, said):
    assert exceeded(peaks, limit, TODAY) == said


def test_peaks_are_of_windows_and_by_day():
    times = [NOW - 2.5 * DAY + n for n in range(7)] + [NOW - 0.5 * DAY + 100 * n for n in range(5)]
    assert peaks_by_day(times, 300, NOW - 3 * DAY, NOW) == [7, 0, 3]
    assert peaks_by_day(times, DAY, NOW - 3 * DAY, NOW) == [7, 7, 5]


def test_a_line_per_limit():
    slack = SlackSettings(url="https://127.0.0.1/x")
    target = Target("chat", "slack", slack, limits=(Limit(10, 300), Limit(100, DAY)))
    spent = Spent(posts=[NOW - 10, NOW - 20], events=[NOW - 10] * 40)
    first, second = rows(target, spent, NOW - 4 * DAY, NOW)
    assert first == ("chat", "10 per 300 s", "2", "40", "2", "40", "20%", "already")
    assert second[1] == "100 per day"
    assert rows(Target("chat", "slack", slack), spent, NOW - 4 * DAY, NOW)[0][1] == "1 per second"
    (none,) = rows(Target("chat", "slack", slack, limits=()), spent, NOW - 4 * DAY, NOW)
    assert none[1] == "none"


def test_calls_to_the_alert_api_are_counted_by_the_moments_they_were_made():
    async def records():
        for at, value in (
            (NOW - 9, {"enrichment": {"status": "complete", "fetched_at": "2026-08-10T11:59:50.5Z"}}),
            (NOW - 8, {"enrichment": {"status": "complete", "fetched_at": "2026-08-10T11:59:50.500000+00:00"}}),
            (NOW - 7, {"enrichment": {"status": "complete", "fetched_at": "2026-08-10T11:59:51.25Z"}}),
            (NOW - 6, {"enrichment": {"status": "pending", "fetched_at": None}, "event": {"fetched_at": "x"}}),
            (NOW - 5, {"enrichment": {"status": "complete", "fetched_at": "2026-08-01T00:00:00Z"}}),
            (NOW - 4, {"enrichment": {"status": "complete", "fetched_at": "soon"}}),
            (NOW - 3, []),
        ):
            yield SimpleNamespace(value=orjson.dumps(value), timestamp=at * 1000)
        yield SimpleNamespace(value=None, timestamp=0)

    made, completed = asyncio.run(api_calls.counted(records(), NOW - DAY))
    assert made == [NOW - 9.5, NOW - 8.75]
    assert completed == [NOW - 9, NOW - 8, NOW - 7, NOW - 5], "one came from the cache of the day before"
    row = api_row(Spent(made, completed), NOW - DAY, NOW)
    assert row == ("Alert API", "5 per second", "2", "4", "2", "-", "40%", "needs 3 days")
