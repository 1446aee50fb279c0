"""Read what a topic holds between two moments, once, and stop at its end."""

from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from datetime import datetime

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError

from events.errors import NotReady
from events.settings import KafkaSettings

AT_A_TIME = 2_000

Progress = Callable[[int, int], None]
"""Takes how many offsets have been passed, and of how many."""


class Unreachable(NotReady):
    """The cluster does not answer just now."""


async def scan(
    kafka: KafkaSettings,
    topic: str,
    *,
    since: datetime | None = None,
    begin: Mapping[int, int] | None = None,
    partitions: Collection[int] | None = None,
    progress: Progress = lambda _passed, _all: None,
) -> AsyncGenerator[ConsumerRecord, None]:
    """Yield the records appended since a moment, up to the end as it is now; of a partition in their order.

    `begin` says per partition below which offset nothing is wanted. Only what is committed is seen. Whoever stops
    before the end closes it (`contextlib.aclosing`). Raises Unreachable, and NotReady when there is no such topic.
    """
    consumer = AIOKafkaConsumer(
        **kafka.client_options(),
        group_id=None,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",  # what retention takes while we read is gone, and nothing else can be said of it
    )
    try:
        await consumer.start()
        there = await _partitions(kafka, topic)
        chosen = [each for each in there if partitions is None or each.partition in partitions]
        starts, ends = await _bounds(consumer, chosen, since, begin or {})
        total = sum(ends[each] - starts[each] for each in chosen)
        left = {each for each in chosen if starts[each] < ends[each]}
        while left:
            for partition, records in (await consumer.getmany(*left, timeout_ms=500, max_records=AT_A_TIME)).items():
                for record in records:
                    if record.offset < ends[partition]:
                        yield record
            places = {each: await consumer.position(each) for each in left}
            left = {each for each, place in places.items() if place < ends[each]}
            progress(total - sum(ends[each] - places[each] for each in left), total)
    except KafkaConnectionError as error:
        raise Unreachable(f"Kafka does not answer at {kafka.bootstrap_servers}.") from error
    finally:
        await consumer.stop()


async def _partitions(kafka: KafkaSettings, topic: str) -> list[TopicPartition]:
    """Return the topic's partitions; a consumer knows them only of topics it subscribes to."""
    admin = AIOKafkaAdminClient(**kafka.client_options())
    try:
        await admin.start()
        if topic not in await admin.list_topics():
            raise NotReady(f"Topic {topic} does not exist; run `tocsin topics create`.")
        described = await admin.describe_topics([topic])
    finally:
        await admin.close()
    return [TopicPartition(topic, number) for number in range(len(described[0]["partitions"]))]


async def _bounds(
    consumer: AIOKafkaConsumer, partitions: list[TopicPartition], since: datetime | None, begin: Mapping[int, int]
) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
    """Return where to start and where to stop, and go to the start."""
    consumer.assign(partitions)
    ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
    starts: dict[TopicPartition, int] = await consumer.beginning_offsets(partitions)
    if since is not None:
        found = await consumer.offsets_for_times(dict.fromkeys(partitions, int(since.timestamp() * 1000)))
        starts = {each: found[each].offset if found[each] else ends[each] for each in partitions}
    starts = {each: min(max(starts[each], begin.get(each.partition, 0)), ends[each]) for each in partitions}
    for partition, offset in starts.items():
        consumer.seek(partition, offset)
    return starts, ends
