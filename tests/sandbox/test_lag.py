"""Lag against a real broker: transaction markers and aborted records are not counted."""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition

from events.settings import KafkaSettings
from events.topics import Topics
from sandbox.lag import LOOKED_AT, Lag


async def write(kafka: KafkaSettings, topic: str, count: int, *, abort: bool = False) -> None:
    """Write records to partition 0, each in a transaction of its own."""
    producer = AIOKafkaProducer(**kafka.client_options(), transactional_id=f"{kafka.topic_prefix}test")
    async with producer:
        for _ in range(count):
            await producer.begin_transaction()
            await producer.send_and_wait(topic, b"{}", partition=0)
            await (producer.abort_transaction() if abort else producer.commit_transaction())


async def commit(kafka: KafkaSettings, group: str, topic: str, offset: int) -> None:
    consumer = AIOKafkaConsumer(**kafka.client_options(), group_id=group, enable_auto_commit=False)
    async with consumer:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        await consumer.commit({partition: offset})


@pytest.mark.kafka
def test_lag_is_the_number_of_records_left(kafka_settings: KafkaSettings) -> None:
    topic = Topics(kafka_settings.topic_prefix).enriched
    group = kafka_settings.group("teams")

    async def scenario() -> None:
        async with Lag(kafka_settings) as lag:
            assert await lag.of(group, topic) is None
            await write(kafka_settings, topic, 3)  # offsets 0, 2, 4; markers 1, 3, 5
            await commit(kafka_settings, group, topic, 1)
            assert await lag.of(group, topic) == 2
            await commit(kafka_settings, group, topic, 5)
            assert await lag.of(group, topic) == 0
            await write(kafka_settings, topic, 2, abort=True)
            assert await lag.of(group, topic) == 0
            await write(kafka_settings, topic, 1)
            assert await lag.of(group, topic) == 1
            assert await lag.of(group, topic) == 1  # remembered
            await commit(kafka_settings, group, topic, 11)
            assert await lag.of(group, topic) == 0
            await write(kafka_settings, topic, LOOKED_AT)
            assert (await lag.of(group, topic) or 0) >= LOOKED_AT

    asyncio.run(scenario())
