"""How old a change must be before a catch-up takes it for lost: what is on its way may still come."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from events.headers import RawHeaders, parse_time
from events.settings import KafkaSettings
from events.topics import Topics
from ops import private_ports
from ops.scan import Span, reading
from sinks.positions import committed

MORE = timedelta(minutes=5)
"""On top of what is known to be late."""

LOOKED_AT = 20
"""Offsets behind the stream's place in which its next record is: markers of transactions take offsets too."""


async def delay(kafka: KafkaSettings, least: timedelta, rooms: Collection[str], now: datetime) -> timedelta:
    """Return the delay of a pass: the setting, or how late the stream and the oldest spool are together, and some more.

    A room that does not answer is not counted: its spool's age nobody knows. Raises NotReady, KafkaError.
    """
    late = await _lag(kafka, now) + spooled(await private_ports.health(rooms), now)
    return max(least, late + MORE) if late else least


def spooled(rooms: Collection[dict[str, object]], now: datetime) -> timedelta:
    """Return the age of the oldest event in the spools of the hosts that answered."""
    spools = [said for room in rooms if isinstance(said := room.get("spool"), dict)]
    times = [time for said in spools if (time := parse_time(str(said.get("oldest"))))]
    return max(timedelta(0), now - min(times)) if times else timedelta(0)


async def _lag(kafka: KafkaSettings, now: datetime) -> timedelta:
    """Return how long ago the oldest record came that the stream has not finished."""
    topic, oldest = Topics(kafka.topic_prefix).raw, now
    async with reading(kafka) as reader:
        spans = await reader.spans(await reader.partitions(topic))
        places = await committed(kafka, "stream", list(spans))
        for place, (offset, _) in places.items():
            waiting = Span(max(offset, spans[place].start), min(spans[place].end, offset + LOOKED_AT))
            async for record in reader.records({place: waiting}):
                headers = RawHeaders.from_kafka(record.headers)
                at = headers.received_at if headers else datetime.fromtimestamp(record.timestamp / 1000, UTC)
                oldest = min(oldest, at)
    return now - oldest
