"""`tocsin budget`: figures per limit, and the day growth reaches it."""

from datetime import UTC, date, datetime

import pytest

from ops.budget import DAY, Spent, exceeded, peaks_by_day, rows
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
