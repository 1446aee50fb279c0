"""Read the raw topic as ingest left it, from its first offset to its last."""

from aiokafka import AIOKafkaConsumer, TopicPartition

from events.headers import as_text
from events.settings import KafkaSettings
from events.topics import Topics
from sandbox.raw_oracle import Record


async def read(kafka: KafkaSettings) -> list[Record]:
    """Return every record.

    Raises KafkaError when the cluster does not answer.
    """
    consumer = AIOKafkaConsumer(**kafka.client_options(), enable_auto_commit=False, auto_offset_reset="none")
    await consumer.start()
    try:
        partitions = [TopicPartition(Topics(kafka.topic_prefix).raw, number) for number in range(kafka.partitions)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        found: list[Record] = []
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    headers = as_text(record.headers)
                    found.append(
                        Record(
                            record.partition,
                            record.offset,
                            record.key,
                            record.value,
                            headers.get("event-id", ""),
                            headers.get("delivery-id", ""),
                        )
                    )
        return found
    finally:
        await consumer.stop()


async def length(kafka: KafkaSettings) -> int:
    """Return how many records were written so far.

    Raises KafkaError when the cluster does not answer.
    """
    consumer = AIOKafkaConsumer(**kafka.client_options(), enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(Topics(kafka.topic_prefix).raw, number) for number in range(kafka.partitions)]
        return sum((await consumer.end_offsets(partitions)).values())
    finally:
        await consumer.stop()
