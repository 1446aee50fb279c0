"""Events at a pace, and how long each takes from raw to a `read_committed` reader of the enriched topic."""

import asyncio
import time
from contextlib import AsyncExitStack

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from bench import stream_load
from events.headers import as_text
from events.topics import Topics

PACE = 500
"""Events a second, each about another alert."""
WARM = 200
"""Events before the first that counts, so that start and assignment do not."""
LATE = 20.0
"""Seconds after the last event in which it must be seen."""


async def warm(kafka):
    """Bring some events through."""
    async with AIOKafkaProducer(**kafka.client_options()) as producer:
        for number in range(WARM):
            await _send(producer, kafka, stream_load.event(10_000_000 + number))
    while await stream_load.length(kafka) < WARM:
        await asyncio.sleep(0.2)


async def paced(kafka, seconds):
    """Send at the pace for so long, and return the seconds each event took."""
    sent, taken, total = {}, [], int(PACE * seconds)
    async with AsyncExitStack() as stack:
        producer = await stack.enter_async_context(AIOKafkaProducer(**kafka.client_options(), acks="all"))
        enriched = Topics(kafka.topic_prefix).enriched
        reader = await stack.enter_async_context(
            AIOKafkaConsumer(enriched, **kafka.client_options(), isolation_level="read_committed")
        )
        await reader.seek_to_end()
        task = asyncio.create_task(_keep_pace(producer, kafka, sent, total))
        until = time.monotonic() + seconds + LATE
        while len(taken) < total and time.monotonic() < until:
            for records in (await reader.getmany(timeout_ms=100)).values():
                now = time.monotonic()
                ids = (as_text(record.headers)["event-id"] for record in records)
                taken += [now - sent[each] for each in ids if each in sent]
        await task
    return taken


async def _keep_pace(producer, kafka, sent, total):
    began = time.monotonic()
    for number in range(total):
        await asyncio.sleep(max(0.0, began + number / PACE - time.monotonic()))
        each = stream_load.event(number)
        sent[dict(each.headers)["event-id"].decode()] = time.monotonic()
        await _send(producer, kafka, each)


async def _send(producer, kafka, each):
    await producer.send(Topics(kafka.topic_prefix).raw, each.value, each.key, headers=list(each.headers))
