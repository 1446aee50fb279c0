"""The cluster as ingest meets it: a producer that is ready to write the raw topic, and a look at what is wrong."""

import asyncio
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from events.errors import NotReady
from events.settings import KafkaSettings
from events.topics import Topics

START_WITHIN = 10.0
"""Seconds to reach the cluster."""

TUNING = {
    "acks": "all",
    "enable_idempotence": True,
    "linger_ms": 0,  # batches form by themselves while the request before is on its way
    "max_batch_size": 128 * 1024,  # well below the topic's max.message.bytes; also bounds what is kept per partition
    "request_timeout_ms": 10_000,
}


class Unreachable(NotReady):
    """No broker answers, which may pass."""


class OtherSize(NotReady):
    """The raw topic has other partitions than we write for: keys would go where nobody looks for them."""


async def connect(kafka: KafkaSettings) -> Any:
    """Return a producer that knows the raw topic.

    Raises Unreachable, or NotReady when the topic is not as the contract says.
    """
    topic = Topics(kafka.topic_prefix).raw
    producer = AIOKafkaProducer(**kafka.client_options(), **TUNING)
    try:
        async with asyncio.timeout(START_WITHIN):
            await producer.start()
            await _verify(producer, topic, kafka.partitions)
            await producer.partitions_for(topic)  # from here on it asks for this topic only
    except (KafkaError, OSError) as error:  # a time-out is an OSError
        raise Unreachable(
            f"Kafka cannot be reached at {kafka.bootstrap_servers}: check KAFKA_BOOTSTRAP_SERVERS "
            "and the KAFKA_ security settings, or start one here with `tocsin broker`."
        ) from error
    else:
        started, producer = producer, None
        return started
    finally:
        if producer is not None:
            await producer.stop()


async def _verify(producer: Any, topic: str, partitions: int) -> None:
    """Raise NotReady unless the raw topic is as the contract says; asks for all topics, which creates none."""
    metadata = await producer.client.fetch_all_metadata()
    found = len(metadata.partitions_for_topic(topic) or ())
    if not found:
        raise NotReady(f"The topic {topic} does not exist: run `tocsin topics create`.")
    if found != partitions:
        raise OtherSize(_other_size(topic, found, partitions))


def _other_size(topic: str, found: int, partitions: int) -> str:
    grow = f"run `tocsin topics migrate --partitions {partitions}`" if partitions > found else "use another prefix"
    return (
        f"The topic {topic} has {found} partitions and KAFKA_PARTITIONS is {partitions}: "
        f"start again with KAFKA_PARTITIONS={found}, or {grow}."
    )


async def look(client: Any, kafka: KafkaSettings, within: float) -> str | None:
    """Say what is wrong with the cluster, in one line, or None.

    Raises OtherSize once the topic has grown.
    """
    topic = Topics(kafka.topic_prefix).raw
    try:
        async with asyncio.timeout(within):
            answered = await client.force_metadata_update()
    except TimeoutError:
        answered = False
    if not answered:
        return f"no Kafka broker answers at {kafka.bootstrap_servers}"
    found = len(client.cluster.partitions_for_topic(topic) or ())
    if found not in {0, kafka.partitions}:
        raise OtherSize(_other_size(topic, found, kafka.partitions))
    leaderless = kafka.partitions - len(client.cluster.available_partitions_for_topic(topic) or ())
    if leaderless > 0:
        return f"{leaderless} of {kafka.partitions} partitions of {topic} have no leader"
    return None
