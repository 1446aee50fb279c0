"""How far each consumer group is behind, in records and in the age of the oldest one that waits."""

import time
from collections.abc import Collection
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import OffsetOutOfRangeError

from events.settings import KafkaSettings
from events.topics import Topics

FEW = 16
"""Offsets; a gap of so few is counted record by record, because transaction markers take offsets too."""

PATIENCE = 400
"""Milliseconds to wait for the records of one group's gaps."""


@dataclass(frozen=True)
class Lag:
    """What one group has still to do."""

    group: str
    records: int
    oldest: float | None
    """Age in seconds of the oldest record that waits; None where none was seen to wait."""
    lost: int = 0
    """Offsets that left Kafka before the group read them."""


class Lags:
    """Ask the cluster for the lag of every group of ours; `async with` it."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._topics = Topics(kafka.topic_prefix)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            options = self._kafka.client_options()
            self._admin = AIOKafkaAdminClient(**options)
            stack.push_async_callback(self._admin.close)
            await self._admin.start()
            self._consumer = AIOKafkaConsumer(
                **options, isolation_level="read_committed", enable_auto_commit=False, auto_offset_reset="none"
            )
            stack.push_async_callback(self._consumer.stop)
            await self._consumer.start()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def read(self, of: Collection[str] | None = None) -> list[Lag]:
        """Return the lag of each group, by its name without the prefix.

        With `of`, a group of another name is left out unless somebody reads for it: a target that was renamed or taken out of
        the rules leaves its group behind, for as long as Kafka keeps offsets. Raises KafkaError when the cluster does not
        answer.
        """
        prefix = self._kafka.topic_prefix
        groups = sorted(name for name, *_ in await self._admin.list_consumer_groups() if name.startswith(prefix))
        if of is not None:
            others = [group for group in groups if group.removeprefix(prefix) not in of]
            groups = sorted({*groups}.difference(others) | await self._read_for(others))
        found = [await self._of(group) for group in groups]
        return [lag for lag in found if lag is not None]

    async def _read_for(self, groups: list[str]) -> set[str]:
        """Return those of the groups that have members."""
        read_for = set()
        for group in (
            groups
        ):  # one at a time: aiokafka (0.14) reads version 3 of an answer about several as if it were version 2
            (answer,) = await self._admin.describe_consumer_groups([group])
            read_for |= {each["group"] for each in answer.to_object()["groups"] if each["members"]}
        return read_for

    async def _of(self, group: str) -> Lag | None:
        name = group.removeprefix(self._kafka.topic_prefix)
        topic = self._topics.raw if name == "stream" else self._topics.enriched
        offsets = await self._admin.list_consumer_group_offsets(group)
        committed = {tp: known.offset for tp, known in offsets.items() if tp.topic == topic and known.offset >= 0}
        if not committed:
            return None
        begins = await self._consumer.beginning_offsets(list(committed))
        ends = await self._consumer.end_offsets(list(committed))
        lost = sum(max(0, begins[tp] - offset) for tp, offset in committed.items())
        committed = {tp: max(begins[tp], offset) for tp, offset in committed.items()}
        gaps = {tp: ends[tp] - offset for tp, offset in committed.items() if ends[tp] > offset}
        waiting = sum(gaps.values())
        oldest = None
        if gaps:
            seen = await self._look({tp: committed[tp] for tp in gaps})
            waiting -= sum(gap - seen[tp][0] for tp, gap in gaps.items() if tp in seen and gap <= FEW)
            times = [first for _, first in seen.values() if first is not None]
            oldest = max(0.0, time.time() - min(times)) if times else None
        return Lag(name, waiting, oldest, lost)

    async def _look(self, starts: dict[TopicPartition, int]) -> dict[TopicPartition, tuple[int, float | None]]:
        """Return how many records a fetch found from each offset on, and the first one's time."""
        self._consumer.assign(list(starts))
        for partition, offset in starts.items():
            self._consumer.seek(partition, offset)
        try:
            found = await self._consumer.getmany(timeout_ms=PATIENCE)
        except OffsetOutOfRangeError:  # retention moved on meanwhile: this group's next look counts what it lost
            return {}
        finally:
            # Fetch no more. Not `unsubscribe`: a client that is closed right after it never ends.
            self._consumer.pause(*starts)
        seen: dict[TopicPartition, tuple[int, float | None]] = {}
        for partition, start in starts.items():
            records = found.get(partition, [])
            if records or await self._consumer.position(partition) > start:
                seen[partition] = (len(records), records[0].timestamp / 1000 if records else None)
        return seen
