"""The second cursor: look ahead of what is read, by ids and urgency alone, for urgent records that would wait long."""

import asyncio
from collections import deque
from collections.abc import Mapping

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from events.settings import KafkaSettings
from sinks.window import Key, is_urgent, key_of

MOST = 300_000
"""Records looked at ahead of what is read; beyond, the scout waits until reading has come nearer."""

FOUND = 200
"""Records lifted and not fetched yet, at which the scout waits."""

AT_A_TIME = 500

log = structlog.get_logger()

Group = list[ConsumerRecord]
"""Records of one key in their order, the last of them urgent."""


class Trail:
    """Which offsets of which keys were seen ahead, in order; pure."""

    def __init__(self) -> None:
        self._order: dict[int, deque[tuple[int, Key]]] = {}
        self._offsets: dict[Key, deque[int]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def see(self, partition: int, offset: int, key: Key) -> None:
        """Note a record; offsets of a partition come in rising order."""
        self._order.setdefault(partition, deque()).append((offset, key))
        self._offsets.setdefault(key, deque()).append(offset)
        self._count += 1

    def pass_to(self, partition: int, position: int) -> None:
        """Forget what reading has reached."""
        order = self._order.get(partition, deque())
        while order and order[0][0] < position:
            offset, key = order.popleft()
            offsets = self._offsets.get(key)
            if offsets and offsets[0] == offset:
                offsets.popleft()
            if not offsets:
                self._offsets.pop(key, None)
            self._count -= 1

    def lift(self, key: Key) -> list[int]:
        """Return the offsets of a key that were seen and not lifted before."""
        return list(self._offsets.pop(key, ()))


class Scout:
    """Scan ahead with a consumer of no group while there is a backlog; `found` is for the runner to take."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self._trail = Trail()
        self._reached: dict[TopicPartition, int] = {}
        self._wanted = asyncio.Event()
        self._anew = True
        self._stopping = False
        self.found: deque[Group] = deque()

    def forget(self) -> None:
        """Let all go: the partitions are handed out anew."""
        self.rest()
        self._anew = True
        self._trail = Trail()
        self._reached = {}
        self.found.clear()

    def rest(self) -> None:
        """Look no further for now: what is left is read at once."""
        if not self._stopping:
            self._wanted.clear()

    def follow(self, reached: Mapping[TopicPartition, int]) -> None:
        """Look ahead of these positions of the reading side."""
        self._reached = dict(reached)
        for partition, position in reached.items():
            self._trail.pass_to(partition.partition, position)
        self._wanted.set()

    def stop(self) -> None:
        """Return from `run` soon."""
        self._stopping = True
        self._wanted.set()

    async def run(self) -> None:
        """Scan until `stop`."""
        while not self._stopping:
            await self._wanted.wait()
            try:
                await self._look()
            except OffsetOutOfRangeError:
                self.forget()  # retention has taken what lies ahead; the reading side says what that means
            await asyncio.sleep(0.2 if self._full else 0)

    @property
    def _full(self) -> bool:
        return len(self._trail) >= MOST or sum(map(len, self.found)) >= FOUND

    async def _look(self) -> None:
        reached = self._reached
        if self._full or not reached:
            return
        if self._anew or set(reached) != set(self._consumer.assignment()):
            self._anew, self._trail = False, Trail()
            self._consumer.assign(list(reached))
            for partition, position in reached.items():
                self._consumer.seek(partition, position)
        for partition, position in reached.items():
            if await self._consumer.position(partition) < position:
                self._consumer.seek(partition, position)
        batch = await self._consumer.getmany(timeout_ms=200, max_records=AT_A_TIME)
        for partition, records in batch.items():
            for record in records:
                if self._anew:
                    return  # handed out anew meanwhile
                if record.offset >= self._reached.get(partition, 0):
                    await self._see(partition, record)

    async def _see(self, partition: TopicPartition, record: ConsumerRecord) -> None:
        key = key_of(record)
        if not is_urgent(record):
            self._trail.see(record.partition, record.offset, key)
            return
        before = [await self._fetch(partition, offset) for offset in self._trail.lift(key)]
        if not self._anew:
            self.found.append([*(one for one in before if one is not None), record])

    async def _fetch(self, partition: TopicPartition, offset: int) -> ConsumerRecord | None:
        """Fetch one record that was passed, and come back; None where reading has reached it meanwhile."""
        if offset < self._reached.get(partition, offset + 1):
            return None
        back = await self._consumer.position(partition)
        self._consumer.seek(partition, offset)
        record = await self._consumer.getone(partition)
        self._consumer.seek(partition, back)
        return record


def scouting(kafka: KafkaSettings) -> AIOKafkaConsumer:
    """Make the consumer of a scout: of no group, so it takes no partitions from anybody."""
    return AIOKafkaConsumer(
        **kafka.client_options(),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
    )
