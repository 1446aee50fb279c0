"""Write a made-up history into Kafka as the rooms would have left it, in large batches: it is only the preparation."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from events.settings import KafkaSettings
from events.topics import Topics, contract
from sandbox.history_records import Made

AT_ONCE = 6_000
"""Events that are under way to the broker."""
BATCH = 900 * 1024
"""Bytes of a batch; the topics of small records take 512 KiB."""
SAY_EVERY = 10.0

Say = Callable[[str], None]
Line = tuple[int, bytes, bytes, list[tuple[str, bytes]]]
"""Time, key, value and headers of a record."""


async def fill(kafka: KafkaSettings, events: Iterable[Made], total: int, say: Say) -> None:
    """Write every event, and let the stream's group stand behind the last."""
    topics = Topics(kafka.topic_prefix)
    await _stamp(kafka, "CreateTime")  # else all of the history would have been enriched within these minutes
    # Without transactions: the broker stamps their markers with the present, and by time nothing would be found any more.
    async with AIOKafkaProducer(**_options(kafka), enable_idempotence=True) as producer:
        began = said = time.monotonic()
        done = 0
        for chunk in _chunks(events):
            waiting = await _send(producer, topics.raw, _by_partition(chunk, _raw))
            waiting += await _send(producer, topics.deliveries, _by_partition(chunk, _receipts))
            waiting += await _send(producer, topics.enriched, _by_partition(chunk, _enriched))
            await asyncio.gather(*waiting)
            done += len(chunk)
            if time.monotonic() - said > SAY_EVERY or done == total:
                said = time.monotonic()
                say(f"{done:,} of {total:,} records written, {done / (said - began):,.0f} a second")
    await _stamp(kafka, "LogAppendTime")
    await _stand_behind(kafka, "stream", topics.raw)


def _options(kafka: KafkaSettings) -> dict[str, Any]:
    # Compressed, ten million take 3 GB instead of 45, and are written and read faster.
    sizes = {"max_batch_size": BATCH // 2, "max_request_size": 8 * BATCH, "compression_type": "zstd"}
    return {**kafka.client_options(), "acks": "all", **sizes}


def _chunks(events: Iterable[Made]) -> Iterator[Sequence[Made]]:
    left = iter(events)
    while chunk := list(islice(left, AT_ONCE)):
        yield chunk


def _raw(made: Made) -> Iterator[Line]:
    for _ in range(made.copies):
        yield made.at, made.key, *made.raw


def _enriched(made: Made) -> Iterator[Line]:
    if made.enriched:
        yield made.at + 400, made.key, *made.enriched


def _receipts(made: Made) -> Iterator[Line]:
    for receipt in made.receipts:
        yield made.at + 800, made.key, receipt, []


def _by_partition(chunk: Sequence[Made], lines: Callable[[Made], Iterator[Line]]) -> Mapping[int, list[Line]]:
    found: dict[int, list[Line]] = {}
    for made in chunk:
        found.setdefault(made.partition, []).extend(lines(made))
    return found


async def _send(producer: AIOKafkaProducer, topic: str, lines: Mapping[int, list[Line]]) -> list[asyncio.Future[Any]]:
    """Send batch by batch: one record at a time would cost more than all the rest."""
    sent = []
    for partition, each in lines.items():
        batch = producer.create_batch()
        for at, key, value, headers in each:
            if batch.append(timestamp=at, key=key, value=value, headers=headers) is None:
                sent.append(await producer.send_batch(batch, topic, partition=partition))
                batch = producer.create_batch()
                batch.append(timestamp=at, key=key, value=value, headers=headers)
        sent.append(await producer.send_batch(batch, topic, partition=partition))
    return sent


async def _stamp(kafka: KafkaSettings, kind: str) -> None:
    """Say whose clock the enriched topic keeps; this request replaces all of a topic's settings."""
    topic = next(each for each in contract(kafka) if each.name == Topics(kafka.topic_prefix).enriched)
    admin = AIOKafkaAdminClient(**kafka.client_options())
    await admin.start()
    try:
        config = topic.config | {"message.timestamp.type": kind}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic.name, config)])
    finally:
        await admin.close()


async def _stand_behind(kafka: KafkaSettings, group: str, topic: str) -> None:
    """Commit the end of a topic for a group, as if it had handled everything."""
    places = [TopicPartition(topic, number) for number in range(kafka.partitions)]
    async with AIOKafkaConsumer(
        **kafka.client_options(), group_id=kafka.group(group), enable_auto_commit=False
    ) as consumer:
        consumer.assign(places)
        await consumer.commit(await consumer.end_offsets(places))
