"""A catch-up that is cut off goes on where it was, and feeds nothing twice."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from events.settings import KafkaSettings
from ops import catch_up_pass
from ops.catch_up_pass import Point, sweep
from sandbox import raw_records
from stream.alert_api import Unavailable

pytestmark = pytest.mark.kafka

ALERTS = 250


class Tenant:
    """An alert a second; it answers so many calls."""

    def __init__(self, begin: int, answers: int) -> None:
        self.items = [
            {"uuid": f"u{n}", "community_uuid": "c", "created_at": begin + n, "updated_at": begin + n}
            for n in range(ALERTS)
        ]
        self.answers = answers
        self.asked: list[datetime] = []

    async def updated(self, since: datetime, offset: int = 0) -> list[dict[str, Any]]:
        if len(self.asked) == self.answers:
            raise Unavailable("status 503")
        self.asked.append(since)
        found = [each for each in self.items if each["updated_at"] >= int(since.timestamp())]
        return found[offset : offset + 100]


def test_a_pass_that_is_cut_off_is_gone_on_with(
    kafka_settings: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catch_up_pass, "MAX_PAGES", 1)
    begin = int(datetime.now(UTC).timestamp()) - 2 * ALERTS
    first, second = Tenant(begin, answers=1), Tenant(begin, answers=9)

    async def scenario() -> None:
        with pytest.raises(Unavailable):
            await sweep(first, kafka_settings, Point(begin, begin), timedelta(0), tmp_path)
        point = Point.load(tmp_path)
        assert point is not None
        assert (point.since, point.floor) == (begin + 99, begin)
        await sweep(second, kafka_settings, point, timedelta(0), tmp_path)
        assert second.asked[0].timestamp() == begin + 99
        ids = Counter(record.event_id for record in await raw_records.read(kafka_settings))
        assert ids == Counter(f"created:c/u{n}" for n in range(ALERTS))
        after = Point.load(tmp_path)
        assert after is not None
        assert after.until is None
        assert after.since == after.floor == point.until

    asyncio.run(scenario())
