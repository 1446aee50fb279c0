"""How many records a consumer group has still to handle, exact to the last one where it is few."""

import asyncio
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError
from aiokafka.structs import TopicPartition

from events.settings import KafkaSettings

LOOKED_AT = 16
"""A partition with at most this many offsets left is looked into: transaction markers take offsets too."""

ANSWER = 10.0
"""Seconds for one answer."""

_PATIENCE = 500
"""Milliseconds to wait for those records."""

Gap = tuple[int, int]
"""The offset a group has committed, and the end: the last stable offset."""


class Lag:
    """Ask one cluster for the lag of groups; `async with` it."""

    def __init__(self, kafka: KafkaSettings) -> None:
        # Of a topic that was just made a client may have heard that a partition has no leader, and asks again in five minutes.
        self._options = kafka.client_options() | {"metadata_max_age_ms": 2_000}
        self._known: dict[str, dict[TopicPartition, tuple[Gap, int]]] = {}

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self._admin = AIOKafkaAdminClient(**self._options)
            stack.push_async_callback(self._admin.close)
            await self._admin.start()
            self._consumer = AIOKafkaConsumer(
                **self._options, isolation_level="read_committed", enable_auto_commit=False, auto_offset_reset="none"
            )
            stack.push_async_callback(self._consumer.stop)
            await self._consumer.start()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        closing = asyncio.create_task(self._stack.aclose())  # a client may wait for ever for its own tasks
        await asyncio.wait([closing], timeout=ANSWER)
        closing.cancel()

    async def of(self, group: str, topic: str) -> int | None:
        """Return how many records of the topic the group has not finished; None while it never committed, or nobody says.

        Raises KafkaError when the cluster does not answer.
        """
        try:
            async with asyncio.timeout(ANSWER):
                return await self._of(group, topic)
        except TimeoutError:  # a consumer that lost its broker at the wrong moment waits for ever
            return None

    async def _of(self, group: str, topic: str) -> int | None:
        committed = await self._committed(group, topic)
        if not committed:
            return None
        described = await self._admin.describe_topics([topic])
        partitions = [TopicPartition(topic, number) for number in range(len(described[0]["partitions"]))]
        ends = await self._consumer.end_offsets(partitions)
        missing = [each for each in partitions if each not in committed]
        starts = await self._consumer.beginning_offsets(missing) if missing else {}
        gaps = {each: (committed.get(each, starts.get(each, 0)), ends[each]) for each in partitions}
        small = {each: gap for each, gap in gaps.items() if 0 < gap[1] - gap[0] <= LOOKED_AT}
        counted = await self._look(group, small)
        total: int = sum(counted.get(each, max(0, end - start)) for each, (start, end) in gaps.items())
        return total

    async def _committed(self, group: str, topic: str) -> dict[TopicPartition, int]:
        try:
            offsets = await self._admin.list_consumer_group_offsets(group)
        except GroupCoordinatorNotAvailableError:  # no group has ever committed on this cluster
            return {}
        return {each: found.offset for each, found in offsets.items() if each.topic == topic and found.offset >= 0}

    async def _look(self, group: str, gaps: dict[TopicPartition, Gap]) -> dict[TopicPartition, int]:
        """Count the records in small gaps; a gap that has not moved since is not read again."""
        known = self._known[group] = {
            each: (gap, count) for each, (gap, count) in self._known.get(group, {}).items() if gaps.get(each) == gap
        }
        new = {each: gap for each, gap in gaps.items() if each not in known}
        if new:
            self._consumer.assign(list(new))
            for each, (start, _) in new.items():
                self._consumer.seek(each, start)
            found = await self._consumer.getmany(timeout_ms=_PATIENCE)
            for each, gap in new.items():
                if await self._consumer.position(each) >= gap[1]:
                    known[each] = gap, len([record for record in found.get(each, ()) if record.offset < gap[1]])
            self._consumer.unsubscribe()
        return {each: count for each, (_, count) in known.items()}
