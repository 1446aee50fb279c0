"""How often the Alert API was asked, by what its answers left in the enriched records."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import orjson
from aiokafka import ConsumerRecord

from events.headers import parse_time
from events.settings import KafkaSettings
from events.topics import Topics
from ops.scan import scan
from sinks.limits import Limit

LIMIT = Limit(5, 1.0)
"""What the vendor lets one egress address ask."""


async def calls(kafka: KafkaSettings, since: float) -> tuple[list[float], list[float]]:
    """Return when calls were made since a moment, and when each event was completed by one (Unix seconds)."""
    start = datetime.fromtimestamp(since, UTC)
    return await counted(scan(kafka, Topics(kafka.topic_prefix).enriched, since=start), since)


async def counted(records: AsyncIterator[ConsumerRecord], since: float) -> tuple[list[float], list[float]]:
    """Count them in records: answers of one call carry the moment it was made, so as many moments are as many calls."""
    made: set[float] = set()
    completed: list[float] = []
    async for record in records:
        at = _fetched_at(record.value)
        if at is None:
            continue
        completed.append(record.timestamp / 1000)
        if at >= since:
            made.add(at)
    return sorted(made), completed


def _fetched_at(value: bytes | None) -> float | None:
    try:
        said = orjson.loads(value or b"")["enrichment"]["fetched_at"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None  # not ours: what the stream writes can be read
    time = parse_time(said) if isinstance(said, str) else None
    return time.timestamp() if time else None
