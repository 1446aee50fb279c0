"""Reading back what lies in the enriched topic, up to where it ended when the reading began."""

import re
import sys
import time
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError

from events.errors import NotReady
from events.settings import KafkaSettings
from events.topics import Topics

SAID_EVERY = 5.0
"""Seconds between two lines about how far a long reading is."""

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_SINCE = re.compile(r"(\d{1,4})([mhd])")


def since(text: str) -> timedelta:
    """Read how far back: 30m, 24h, 7d.

    Raises NotReady.
    """
    match = _SINCE.fullmatch(text.strip().lower())
    if not match:
        raise NotReady(f"{text!r} is no length of time; write 30m, 24h or 7d.")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


async def enriched(kafka: KafkaSettings, back: timedelta) -> AsyncGenerator[ConsumerRecord, None]:
    """Yield the records of a time, partition by partition in order; a line on stderr says how far a long one is.

    Raises NotReady when the cluster does not answer or has no such topic.
    """
    topic = Topics(kafka.topic_prefix).enriched
    consumer = AIOKafkaConsumer(
        **kafka.client_options(),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",  # what expires while it is read is gone for everybody
        isolation_level="read_committed",
    )
    try:
        await consumer.start()
        await _begin(consumer, await _partitions(kafka, topic), back)
        async for record in _read(consumer):
            yield record
    except KafkaConnectionError as error:
        raise NotReady(f"Kafka does not answer at {kafka.bootstrap_servers}.") from error
    finally:
        await consumer.stop()


async def _partitions(kafka: KafkaSettings, topic: str) -> list[TopicPartition]:
    """Return the topic's partitions; a consumer knows them only of topics it subscribes to."""
    admin = AIOKafkaAdminClient(**kafka.client_options())
    await admin.start()
    try:
        if topic not in await admin.list_topics():
            raise NotReady(f"Topic {topic} does not exist; run `tocsin topics create`.")
        described = await admin.describe_topics([topic])
    finally:
        await admin.close()
    return [TopicPartition(topic, number) for number in range(len(described[0]["partitions"]))]


async def _begin(consumer: AIOKafkaConsumer, places: list[TopicPartition], back: timedelta) -> None:
    consumer.assign(places)
    first = max(int((datetime.now(UTC) - back).timestamp() * 1000), 0)
    found = await consumer.offsets_for_times(dict.fromkeys(places, first))
    ends = await consumer.end_offsets(places)
    for place in places:
        consumer.seek(place, found[place].offset if found[place] else ends[place])


async def _read(consumer: AIOKafkaConsumer) -> AsyncGenerator[ConsumerRecord, None]:
    ends = await consumer.end_offsets(list(consumer.assignment()))
    total = sum([end - await consumer.position(place) for place, end in ends.items()])
    count, said = 0, time.monotonic()
    # The last offset is the marker of a transaction: no record has it, but the position moves over it.
    while behind := [place for place, end in ends.items() if await consumer.position(place) < end]:
        for place, records in (await consumer.getmany(*behind, timeout_ms=200)).items():
            for record in records:
                if record.offset < ends[place]:
                    count += 1
                    yield record
        if time.monotonic() - said > SAID_EVERY:
            said = time.monotonic()
            print(f"… {count} records read of at most {total}", file=sys.stderr)
