"""A clock that moves 60 hours between a record's write and its commit doubles nothing, on real Kafka."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord

from events.headers import RawHeaders, as_text
from events.settings import KafkaSettings
from events.topics import Topics
from ops.scan import scan
from stream import compose, restore
from stream.compose import Finding
from stream.outbox import Outbox
from stream.partition import Partition

pytestmark = pytest.mark.kafka

NUMBER, EVENTS = 2, 20
WINDOW = timedelta(hours=24)
PATIENCE = 60.0


class Clock(datetime):
    """The worker's clock, which somebody sets forward."""

    moved = timedelta(0)

    @classmethod
    def now(cls, tz=None):
        return datetime.now(tz) + cls.moved


class Enricher:
    """Completes at once."""

    def begin(self, event, headers, created):
        return compose.first(event, headers, Finding("not_applicable"), "https://app", created)


@contextlib.asynccontextmanager
async def owner(kafka: KafkaSettings) -> AsyncIterator[Partition]:
    """Own the partition; what it has finished is committed nowhere."""
    topics, client, group = Topics(kafka.topic_prefix), kafka.client_options(), kafka.group("stream")
    partition = Partition(
        NUMBER,
        topics,
        Outbox(NUMBER, f"{group}-{NUMBER}", client),
        Enricher(),
        lambda: restore.restore(NUMBER, group, topics, client, WINDOW),
        lambda _paused: None,
        lambda _offset: None,
        WINDOW,
        now=lambda: Clock.now(UTC),
    )
    try:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(partition.run())
            yield partition
            running.cancel()
    finally:
        await partition.close()


async def send(kafka: KafkaSettings, numbers: range, received_at: datetime) -> list[ConsumerRecord]:
    """Append events to raw, and return everything that is there now."""
    raw = Topics(kafka.topic_prefix).raw
    async with AIOKafkaProducer(**kafka.client_options(), acks="all") as producer:
        for number in numbers:
            headers = RawHeaders(f"event-{number}", "vendor", f"delivery-{number}", received_at).to_kafka()
            body = orjson.dumps({"type": "intake", "action": "created", "attributes": {"uuid": str(number)}})
            await producer.send_and_wait(raw, body, b"k", NUMBER, headers=headers)
    return await read(kafka, raw)


async def read(kafka: KafkaSettings, topic: str) -> list[ConsumerRecord]:
    return [record async for record in scan(kafka, topic, partitions=[NUMBER])]


async def written(kafka: KafkaSettings) -> Counter[str]:
    records = await read(kafka, Topics(kafka.topic_prefix).enriched)
    return Counter(as_text(record.headers)["event-id"] for record in records)


async def settled(kafka: KafkaSettings, last: int) -> Counter[str]:
    """Wait for the last event sent; one key is written in order, so everything before it is decided by then."""
    async with asyncio.timeout(PATIENCE):
        while not (found := await written(kafka))[f"event-{last}"]:
            await asyncio.sleep(0.1)
        return found


def test_a_clock_moved_60_hours_between_produce_and_commit_doubles_nothing(kafka3_settings, monkeypatch):
    monkeypatch.setattr(restore, "datetime", Clock)
    monkeypatch.setattr(Clock, "moved", timedelta(0))

    async def scenario():
        start = datetime.now(UTC)
        async with owner(kafka3_settings) as first:
            first.put(await send(kafka3_settings, range(EVENTS), start))
            await settled(kafka3_settings, EVENTS - 1)
            Clock.moved = timedelta(hours=60)
            first.put((await send(kafka3_settings, range(EVENTS, EVENTS + 1), start))[EVENTS:])
            await settled(kafka3_settings, EVENTS)
            # The same deliveries once more, to the owner that has seen them, and a new one behind them.
            first.put(await send(kafka3_settings, range(EVENTS + 1, EVENTS + 2), start))
            await settled(kafka3_settings, EVENTS + 1)
        async with owner(kafka3_settings) as second:  # nothing was committed: everything comes again
            second.put(await send(kafka3_settings, range(EVENTS + 2, EVENTS + 3), Clock.now(UTC)))
            found = await settled(kafka3_settings, EVENTS + 2)
        assert found == Counter(f"event-{number}" for number in range(EVENTS + 3))

    asyncio.run(scenario())
