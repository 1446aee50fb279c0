"""Where the stream starts to read: always an explicit committed offset, never a client's default."""

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalGenerationError, KafkaConnectionError, RebalanceInProgressError, UnknownMemberIdError

from events.errors import NotReady
from events.settings import KafkaSettings
from events.topics import Topics

log = structlog.get_logger()


async def prepare(kafka: KafkaSettings) -> None:
    """Check the topics, and commit the first offset of every raw partition that has no committed one.

    Starting at the first offset doubles nothing: marks are restored from the time of the record read first. Offsets
    that retention has passed are said loudly, for those records are lost. Raises NotReady.
    """
    topics = Topics(kafka.topic_prefix)
    consumer = AIOKafkaConsumer(
        **kafka.client_options(), group_id=kafka.group("stream"), enable_auto_commit=False, auto_offset_reset="none"
    )
    try:
        await consumer.start()
    except KafkaConnectionError as error:
        await consumer.stop()
        raise NotReady(f"Kafka does not answer at {kafka.bootstrap_servers}.") from error
    try:
        await _commit_missing(consumer, await _partitions(consumer, topics, kafka.partitions))
    finally:
        await consumer.stop()


async def _partitions(consumer: AIOKafkaConsumer, topics: Topics, expected: int) -> list[TopicPartition]:
    known = await consumer.topics()
    for topic in (topics.raw, topics.enriched, topics.dead_letters):
        if topic not in known:
            raise NotReady(f"Topic {topic} does not exist; run `tocsin topics create`.")
    counts = {topic: len(consumer.partitions_for_topic(topic)) for topic in (topics.raw, topics.enriched)}
    if len(set(counts.values())) > 1:
        raise NotReady(f"Raw and enriched must have the same number of partitions, but have {counts}.")
    if counts[topics.raw] != expected:
        raise NotReady(f"{topics.raw} has {counts[topics.raw]} partitions, KAFKA_PARTITIONS says {expected}.")
    return [TopicPartition(topics.raw, number) for number in range(expected)]


async def _commit_missing(consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
    consumer.assign(partitions)
    first = await consumer.beginning_offsets(partitions)
    start: dict[TopicPartition, int] = {}
    for partition in partitions:
        committed = await consumer.committed(partition)
        if committed is None:
            start[partition] = first[partition]
        elif committed < first[partition]:
            log.error("lost_to_retention", partition=partition.partition, records=first[partition] - committed)
            start[partition] = first[partition]
    if start:
        try:
            await consumer.commit(start)
        except (UnknownMemberIdError, IllegalGenerationError, RebalanceInProgressError):
            log.info("positions_left_to_the_group")  # another worker is a member already, and has done this
