"""What a catch-up waits for and listens to, on real Kafka: a stream that is behind, and webhooks that came or did not."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from events.headers import RawHeaders
from events.settings import KafkaSettings
from events.topics import Topics
from ops import catch_up_delay, silence

pytestmark = pytest.mark.kafka

NOW = datetime.now(UTC)


async def post(kafka: KafkaSettings, minutes_ago: float, origin: str) -> int:
    """Write a record of the raw topic as it was written then."""
    at = NOW - timedelta(minutes=minutes_ago)
    headers = RawHeaders(f"c/{minutes_ago}", "vendor", "d", at, origin=origin).to_kafka()
    async with AIOKafkaProducer(**kafka.client_options(), acks="all") as producer:
        sent = await producer.send_and_wait(
            Topics(kafka.topic_prefix).raw, b"{}", partition=1, headers=headers, timestamp_ms=int(at.timestamp() * 1000)
        )
    return int(sent.offset)


async def finish(kafka: KafkaSettings, offset: int) -> None:
    """Commit the place of the stream."""
    consumer = AIOKafkaConsumer(**kafka.client_options(), group_id=kafka.group("stream"), enable_auto_commit=False)
    await consumer.start()
    try:
        place = TopicPartition(Topics(kafka.topic_prefix).raw, 1)
        consumer.assign([place])
        await consumer.commit({place: offset})
    finally:
        await consumer.stop()


def test_what_a_catch_up_fed_is_no_webhook(kafka_settings: KafkaSettings) -> None:
    async def scenario() -> None:
        hour_ago = NOW - timedelta(hours=1)
        await post(kafka_settings, 90, "webhook")
        await post(kafka_settings, 10, "catch-up")
        assert not await silence.heard(kafka_settings, hour_ago)
        await post(kafka_settings, 5, "webhook")
        assert await silence.heard(kafka_settings, hour_ago)

    asyncio.run(scenario())


def test_a_stream_that_is_behind_is_waited_for(kafka_settings: KafkaSettings) -> None:
    async def scenario() -> None:
        async def delay() -> float:
            found = await catch_up_delay.delay(kafka_settings, timedelta(minutes=15), (), NOW)
            return found.total_seconds() / 60

        first = await post(kafka_settings, 40, "webhook")
        second = await post(kafka_settings, 30, "webhook")
        assert await delay() == 15  # a stream that never ran has no place to be behind of
        await finish(kafka_settings, first)
        assert await delay() == pytest.approx(45)
        await finish(kafka_settings, second)
        assert await delay() == pytest.approx(35)
        await finish(kafka_settings, second + 1)
        assert await delay() == 15

    asyncio.run(scenario())
