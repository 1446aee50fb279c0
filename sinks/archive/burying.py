"""Buries a record that can be no row of the archive."""

from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition

from events.headers import DeadLetter
from events.identity import MAX_KEY
from events.topics import Topics
from sinks.archive import metrics

_LARGEST = 2 * 1024 * 1024 - 16 * 1024
"""Bytes of value and key that the dead letters' topic takes; its 2 MiB hold the headers too."""


async def bury(
    producer: AIOKafkaProducer, topics: Topics, partition: TopicPartition, record: ConsumerRecord, reason: str
) -> None:
    """Write the dead letter; what is too large for one is cut."""
    value, key = record.value, record.key
    size = len(value or b"") + len(key or b"")
    if size > _LARGEST:
        value = value and value[: _LARGEST - MAX_KEY]
        key = key if len(key or b"") <= MAX_KEY else None
        reason = f"{reason[:300]}; cut from {size} bytes"
    letter = DeadLetter("sink", reason, partition.topic, partition.partition, record.offset, target="archive")
    await producer.send_and_wait(topics.dead_letters, value, key=key, headers=letter.to_kafka())
    metrics.DEAD_LETTERS.labels("malformed").inc()
