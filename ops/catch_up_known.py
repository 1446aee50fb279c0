"""Read what the raw and the enriched topic tell of some alerts, from a time on."""

from collections.abc import Set as AbstractSet
from datetime import datetime

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from events.codec import decode_enriched, decode_webhook
from events.errors import MalformedRecord, NotReady
from events.settings import KafkaSettings
from events.topics import Topics
from ops.catch_up import Known


async def read(kafka: KafkaSettings, alerts: AbstractSet[str], since: datetime) -> Known:
    """Return what the topics tell of these alerts (their uuids in lower case).

    The raw topic tells what the stream has still to handle. Raises NotReady, KafkaError.
    """
    topics, known = Topics(kafka.topic_prefix), Known()
    numbers = await _numbers(kafka, topics.raw, topics.enriched)
    consumer = AIOKafkaConsumer(
        **kafka.client_options(),
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
    )
    await consumer.start()
    try:
        for topic in (topics.raw, topics.enriched):
            partitions = [TopicPartition(topic, number) for number in numbers[topic]]
            await _scan(consumer, partitions, alerts, since, known, enriched=topic == topics.enriched)
    finally:
        await consumer.stop()
    return known


async def _numbers(kafka: KafkaSettings, *topics: str) -> dict[str, list[int]]:
    """Return the partitions of each topic."""
    admin = AIOKafkaAdminClient(**kafka.client_options())
    await admin.start()
    try:
        found = {each["topic"]: each["partitions"] for each in await admin.describe_topics(list(topics))}
    finally:
        await admin.close()
    for topic in topics:
        if not found.get(topic):
            raise NotReady(f"The topic {topic} is not there: make it with `tocsin topics create`.")
    return {topic: sorted(each["partition"] for each in found[topic]) for topic in topics}


async def _scan(
    consumer: AIOKafkaConsumer,
    partitions: list[TopicPartition],
    alerts: AbstractSet[str],
    since: datetime,
    known: Known,
    *,
    enriched: bool,
) -> None:
    consumer.assign(partitions)
    ends = await consumer.end_offsets(partitions)
    starts = await consumer.offsets_for_times(dict.fromkeys(partitions, int(since.timestamp() * 1000)))
    for partition in partitions:
        found = starts.get(partition)
        consumer.seek(partition, found.offset if found else ends[partition])
    # The position also passes the markers of transactions, which are no records.
    while any([await consumer.position(partition) < ends[partition] for partition in partitions]):
        for records in (await consumer.getmany(timeout_ms=200)).values():
            for record in records:
                if (record.key or b"").decode("utf-8", "replace").lower() in alerts:
                    _note(known, record.value, enriched=enriched)


def _note(known: Known, value: bytes | None, *, enriched: bool) -> None:
    try:
        if enriched:
            known.enriched(decode_enriched(value))
        else:
            known.raw(decode_webhook(value)[0])
    except MalformedRecord:
        return  # tells of no alert; the stream buries it
