"""Read back what a partition has written, so that a new owner knows what is done and what is still pending."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from events.codec import decode_enriched
from events.headers import RawHeaders, as_text, parse_time
from events.topics import Topics
from stream.completions import Pending
from stream.marks import Marks

SLACK = timedelta(minutes=10)
"""Clocks of ingest hosts and brokers differ; this much more is read."""
TIME_LIMIT = 300.0
"""Seconds for one partition; a window of a busy site is a few hundred thousand records."""


@dataclass
class Restored:
    """What the former owners of a partition have finished, and what they left open."""

    marks: Marks
    pending: dict[str, Pending] = field(default_factory=dict)


def dead_letter_mark(topic: str, partition: int, offset: int) -> str:
    """Name an undecodable record, which has no event id."""
    return f"{topic}/{partition}/{offset}"


async def restore(partition: int, group: str, topics: Topics, client: dict[str, Any], window: timedelta) -> Restored:
    """Return the marks and open pendings of a partition as its fenced former owners left them.

    Call it after fencing: then the last stable offset is behind everything a former owner has committed.
    """
    restored = Restored(Marks(window))
    consumer = AIOKafkaConsumer(
        **client,
        group_id=group,  # to look up its committed offset; with assign() it never joins
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="none",
        max_partition_fetch_bytes=4 * 1024 * 1024,
    )
    async with asyncio.timeout(TIME_LIMIT):
        await consumer.start()
        try:
            raw, enriched = TopicPartition(topics.raw, partition), TopicPartition(topics.enriched, partition)
            letters = TopicPartition(topics.dead_letters, partition)
            consumer.assign([raw, enriched, letters])
            since = await _next_received_at(consumer, raw) - window - SLACK
            async for record in _records(consumer, enriched, since):
                _remember(restored, record)
            async for record in _records(consumer, letters, since):
                headers = as_text(record.headers)
                if headers.get("stage") == "stream" and headers.get("source-topic") == raw.topic:
                    mark = dead_letter_mark(raw.topic, partition, int(headers["source-offset"]))
                    restored.marks.add(mark, datetime.fromtimestamp(record.timestamp / 1000, UTC))
        finally:
            await consumer.stop()
    return restored


async def _next_received_at(consumer: AIOKafkaConsumer, raw: TopicPartition) -> datetime:
    """Return when the first record we shall read was received; after an outage that is long ago."""
    now = datetime.now(UTC)
    start = await consumer.committed(raw)
    first = (await consumer.beginning_offsets([raw]))[raw]
    end = (await consumer.end_offsets([raw]))[raw]
    start = max(first, start or 0)
    if start >= end:
        return now
    consumer.pause(*(consumer.assignment() - {raw}))
    consumer.seek(raw, start)
    record = await consumer.getone(raw)
    headers = RawHeaders.from_kafka(record.headers)
    return min(now, headers.received_at if headers else datetime.fromtimestamp(record.timestamp / 1000, UTC))


async def _records(
    consumer: AIOKafkaConsumer, partition: TopicPartition, since: datetime
) -> AsyncIterator[ConsumerRecord]:
    """Yield the committed records of a partition appended at `since` or later, up to its last stable offset."""
    end = (await consumer.end_offsets([partition]))[partition]
    found = (await consumer.offsets_for_times({partition: max(0, int(since.timestamp() * 1000))}))[partition]
    if found is None or found.offset >= end:
        return
    consumer.pause(*(consumer.assignment() - {partition}))
    consumer.resume(partition)
    consumer.seek(partition, found.offset)
    # Transaction markers take offsets too: the position passes them, a count of records never would.
    while await consumer.position(partition) < end:
        for record in (await consumer.getmany(partition, timeout_ms=200)).get(partition, ()):
            yield record


def _remember(restored: Restored, record: ConsumerRecord) -> None:
    headers = as_text(record.headers)
    received_at = parse_time(headers.get("received-at"))
    if "event-id" not in headers or received_at is None:
        return  # not written by us
    event_id = headers["event-id"]
    if headers.get("revision") == "1":
        restored.pending.pop(event_id, None)
        return
    restored.marks.add(event_id, received_at)
    if headers.get("status") == "pending":
        restored.pending[event_id] = Pending(record.key, decode_enriched(record.value))
