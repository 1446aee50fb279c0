"""Where the stream starts to read: always an explicit committed offset, never a client's default."""

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
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
    partitions = await _partitions(kafka, Topics(kafka.topic_prefix))
    consumer = AIOKafkaConsumer(
        **kafka.client_options(), group_id=kafka.group("stream"), enable_auto_commit=False, auto_offset_reset="none"
    )
    await consumer.start()
    try:
        await _commit_missing(consumer, partitions)
    finally:
        await consumer.stop()


async def _partitions(kafka: KafkaSettings, topics: Topics) -> list[TopicPartition]:
    wanted = [topics.raw, topics.enriched, topics.dead_letters, topics.marks]
    admin = AIOKafkaAdminClient(**kafka.client_options())
    try:
        await admin.start()
        described = await admin.describe_topics(wanted)
    except KafkaConnectionError as error:
        raise NotReady(f"Kafka does not answer at {kafka.bootstrap_servers}.") from error
    finally:
        await admin.close()
    counts = {topic["topic"]: len(topic["partitions"]) for topic in described}
    for topic in wanted:
        if not counts.get(topic):
            raise NotReady(f"Topic {topic} does not exist; run `tocsin topics create`.")
        if counts[topic] != kafka.partitions:
            raise NotReady(f"{topic} has {counts[topic]} partitions, but KAFKA_PARTITIONS is {kafka.partitions}.")
    return [TopicPartition(topics.raw, number) for number in range(kafka.partitions)]


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
