"""Where a target starts to read: always an explicit committed offset, never a client's default."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from events.errors import NotReady
from events.settings import KafkaSettings
from sinks.rules import Start

PATIENCE = 60
"""Seconds a coordinator that is loading is waited for."""

log = structlog.get_logger()


def client(kafka: KafkaSettings, target: str, **options: Any) -> AIOKafkaConsumer:
    """Make the consumer of a target's group."""
    return AIOKafkaConsumer(
        **kafka.client_options(),
        group_id=kafka.group(target),
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        **options,
    )


async def prepare(kafka: KafkaSettings, target: str, topic: str, start: Start) -> None:
    """Give a target that never ran a position on every partition of the topic, in one commit.

    All in one request, so that a partition without a position later means one that was added later.
    """
    consumer = client(kafka, target)
    await consumer.start()
    try:
        partitions = await partitions_of(kafka, topic)
        consumer.assign(partitions)
        consumer.pause(*partitions)
        if await committed(kafka, target, partitions):
            return
        positions = await starts(consumer, partitions, start)
        # Looked at again, so that of two workers starting together the later one sees what the first has done. Should
        # both still commit, neither has read yet: this commit is made outside the group, and the broker refuses it
        # as soon as the group has a member.
        if not await committed(kafka, target, partitions):
            count = str(len(partitions))
            await consumer.commit({partition: (offset, count) for partition, offset in positions.items()})
            log.info("first_start", target=target, start=str(start))
    except CommitFailedError:
        log.info("positions_left_to_the_group", target=target)
    finally:
        await consumer.stop()


class Positions:
    """The committed positions of one worker of a target's group.

    Each carries, as its metadata, how many partitions the topic had when the target first started, and after a space
    the finished records above the position, where there are any.
    """

    def __init__(self, consumer: AIOKafkaConsumer, kafka: KafkaSettings, target: str, topic: str) -> None:
        self._consumer = consumer
        self._kafka = kafka
        self._target = target
        self._topic = topic
        self._made_for = 0
        self._committed: dict[TopicPartition, tuple[int, str]] = {}

    async def adopt(self) -> None:
        """Start partitions added since the first start at 0; called after each assignment.

        Raises NotReady when positions that were there are gone: starting anywhere would lose or repeat a backlog.
        """
        numbers = sorted(self._consumer.partitions_for_topic(self._topic) or ())
        known = await committed(self._kafka, self._target, [TopicPartition(self._topic, n) for n in numbers])
        told = {partition: metadata.partition(" ") for partition, (_, metadata) in known.items()}
        counts = [int(count) for count, _, _ in told.values() if count.isdecimal()]
        # Positions set by Kafka's own tools carry no count; they are set on all partitions at once.
        self._made_for = max(counts, default=max((partition.partition + 1 for partition in known), default=0))
        self._committed = {partition: (offset, told[partition][2]) for partition, (offset, _) in known.items()}
        missing = [partition for partition in self._consumer.assignment() if partition not in known]
        if any(partition.partition < self._made_for for partition in missing) or not known:
            raise self.vanished()
        if missing and await self.commit(dict.fromkeys(missing, 0)):
            for partition in missing:
                self._consumer.seek(partition, 0)
            log.info("partitions_added", target=self._target, partitions=sorted(p.partition for p in missing))

    def place(self, partition: TopicPartition) -> tuple[int, str] | None:
        """Return the position and the finished records above it, as `adopt` found or `commit` left them."""
        return self._committed.get(partition)

    async def commit(
        self,
        offsets: dict[TopicPartition, int],
        finished: Mapping[TopicPartition, str] = MappingProxyType({}),
        *,
        confirm: bool = False,
    ) -> bool:
        """Commit the offsets that are news, or with `confirm` all of them; False when the group has gone on without us.

        A commit that is no news confirms that the partition is still ours: the broker refuses it when it is not.
        """
        places = {partition: (n, finished.get(partition, "")) for partition, n in offsets.items()}
        news = {
            partition: place
            for partition, place in places.items()
            if confirm or self._committed.get(partition) != place
        }
        if not news:
            return True
        try:
            await self._consumer.commit(
                {partition: (n, f"{self._made_for} {done}".rstrip()) for partition, (n, done) in news.items()}
            )
        except (CommitFailedError, IllegalStateError):
            log.warning("commit_refused", target=self._target, reason="the group has rebalanced")
            return False
        self._committed.update(news)
        return True

    def vanished(self) -> NotReady:
        """Say that positions are gone, or point at records that are, and which command chooses new ones."""
        return NotReady(
            f"Target {self._target} has lost its place in {self._topic} (its committed offsets, or the records there, "
            f"are gone); choose where it goes on: `tocsin targets reset {self._target} --to now` (or earliest, 24h, a time), "
            "then start it again."
        )


async def partitions_of(kafka: KafkaSettings, topic: str) -> list[TopicPartition]:
    """Return the topic's partitions; a consumer knows them only of topics it subscribes to."""
    admin = AIOKafkaAdminClient(**kafka.client_options())
    await admin.start()
    try:
        described = await admin.describe_topics([topic])
    finally:
        await admin.close()
    return [TopicPartition(topic, number) for number in range(len(described[0]["partitions"]))]


async def committed(
    kafka: KafkaSettings, target: str, partitions: list[TopicPartition]
) -> dict[TopicPartition, tuple[int, str]]:
    """Return offset and metadata of the partitions that have a position.

    Raises NotReady when the coordinator cannot say within PATIENCE.
    """
    admin = AIOKafkaAdminClient(**kafka.client_options())
    await admin.start()
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                found = await _ask(admin, kafka.group(target), partitions)
                if found is not None:
                    return found
                await asyncio.sleep(0.2)
    except TimeoutError:
        raise NotReady(f"Kafka did not tell the offsets of group {kafka.group(target)} within {PATIENCE} s.") from None
    finally:
        await admin.close()


async def _ask(
    admin: AIOKafkaAdminClient, group: str, partitions: list[TopicPartition]
) -> dict[TopicPartition, tuple[int, str]] | None:
    try:
        answer = await admin.list_consumer_group_offsets(group, partitions=partitions)
    except KafkaError as error:
        if not error.retriable:
            raise
        return None
    # A coordinator that is still loading answers an error with no partitions in it; aiokafka drops the error, here
    # as in consumer.committed(), where it looks as if nothing was ever committed. A partition without a position is
    # in the answer, with -1.
    if any(partition not in answer for partition in partitions):
        return None
    return {tp: (known.offset, known.metadata or "") for tp, known in answer.items() if known.offset >= 0}


async def starts(
    consumer: AIOKafkaConsumer, partitions: list[TopicPartition], start: Start
) -> dict[TopicPartition, int]:
    """Return the offset of each partition at which a start begins."""
    if start == "earliest":
        offsets: dict[TopicPartition, int] = await consumer.beginning_offsets(partitions)
        return offsets
    # With read_committed the end is the last stable offset: what a transaction still holds open comes after the start.
    ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
    if isinstance(start, datetime):
        found = await consumer.offsets_for_times(dict.fromkeys(partitions, int(start.timestamp() * 1000)))
        return {partition: found[partition].offset if found[partition] else ends[partition] for partition in partitions}
    return ends
