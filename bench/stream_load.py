"""The records a stream benchmark reads, and what is read of the records it wrote."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from uuid import UUID

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from events.headers import as_text
from events.topics import Topics
from sandbox import bodies
from sandbox.chaos_feed import Delivery, delivered

_NUMBERS = count(int(datetime.now(UTC).timestamp()) * 1_000_000)


def alert_uuid(number: int) -> str:
    """Return the uuid of an alert by its number."""
    return str(UUID(int=number + (1 << 100), version=4))


def event(alert: int, at: datetime | None = None) -> Delivery:
    """Return a documented body about an alert, as ingest would write it; no two are the same event."""
    ids = {"uuid": alert_uuid(alert), "short_id": f"AL{alert}"}
    body = bodies.body("alert", "updated", ids, at=next(_NUMBERS), community="5b1f6f0a-93d4-4c0e-8d52-1f0a7c3e9b24")
    return delivered(orjson.dumps(body), at)


async def preload(kafka, events: int, alerts: int) -> None:
    """Write so many events about so many alerts to raw."""
    now = datetime.now(UTC)
    producer = AIOKafkaProducer(**kafka.client_options(), acks="all", linger_ms=5, max_batch_size=256 * 1024)
    await producer.start()
    try:
        topic = Topics(kafka.topic_prefix).raw
        for start in range(0, events, 5000):
            made = [event(number % alerts, now) for number in range(start, min(events, start + 5000))]
            sent = [await producer.send(topic, each.value, each.key, headers=list(each.headers)) for each in made]
            await asyncio.gather(*sent)
    finally:
        await producer.stop()


@dataclass(frozen=True)
class Written:
    """Records of the enriched topic: when the broker took each (seconds), and the status it has."""

    times: list[float]
    statuses: dict[str, int]

    def per_second(self) -> float:
        """Return the rate between the tenth and the ninetieth hundredth: start and end are another matter."""
        times = sorted(self.times)
        first, last = times[len(times) // 10], times[len(times) * 9 // 10]
        return 0.8 * len(times) / (last - first) if last > first else float("nan")


async def written(kafka, status: str = "") -> Written:
    """Read the enriched topic, read_committed; with `status` only the times of records that have it."""
    times, statuses = [], {}
    consumer = AIOKafkaConsumer(
        **kafka.client_options(), isolation_level="read_committed", auto_offset_reset="earliest", check_crcs=False
    )
    await consumer.start()
    try:
        partitions = [TopicPartition(Topics(kafka.topic_prefix).enriched, number) for number in range(kafka.partitions)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        while any([await consumer.position(each) < end for each, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    found = as_text(record.headers).get("status", "")
                    statuses[found] = statuses.get(found, 0) + 1
                    if not status or found == status:
                        times.append(record.timestamp / 1000)
    finally:
        await consumer.stop()
    return Written(times, statuses)


async def length(kafka) -> int:
    """Return how many offsets the enriched topic holds; a transaction's marker takes one too."""
    consumer = AIOKafkaConsumer(**kafka.client_options())
    await consumer.start()
    try:
        partitions = [TopicPartition(Topics(kafka.topic_prefix).enriched, number) for number in range(kafka.partitions)]
        return sum((await consumer.end_offsets(partitions)).values())
    finally:
        await consumer.stop()
