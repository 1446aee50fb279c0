"""The loop of one target: read its partitions, deliver the urgent first, and commit what has come to its end."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Protocol

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import NoOffsetForPartitionError, OffsetOutOfRangeError

from sinks.delivery import Handled
from sinks.finished import Progress
from sinks.positions import Positions
from sinks.receipts import Receipts
from sinks.window import Window, urgent

FINISH = 20.0
"""Seconds a record in flight gets when its partition is taken away; below the group's rebalance time-out of 30 s."""

FRESH = 3.0
"""Seconds for which a confirmed membership is believed; a process that was frozen longer asks the broker first."""

AT_A_TIME = 200
"""Records held at once: an urgent one among them comes first, one that arrives later waits for them."""

AT_A_TIME_BYTES = 64 * 1024 * 1024
"""What these may weigh together; the topic bounds a record, so this is only reached by many large ones."""

log = structlog.get_logger()


class LetGo(Exception):
    """The record in hand is no longer ours to deliver, or the sink is asked to stop."""


class Handler(Protocol):
    """What is done with a record."""

    async def handle(self, record: ConsumerRecord) -> Handled:
        """Bring it to its end; what `Runner.pause` raises is passed on."""

    def check(self) -> None:
        """Raise NotReady when it is better to stop."""


class Runner(ConsumerRebalanceListener):  # type: ignore[misc]
    """Run one target until told to stop.

    What keeps the promises: a record is committed only after its receipt is acknowledged; nothing is sent while it is
    uncertain whose the partition is; anything unexpected ends the process with the offset uncommitted.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        positions: Positions,
        receipts: Receipts,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._consumer = consumer
        self._positions = positions
        self._receipts = receipts
        self._monotonic = monotonic
        self._confirmed = 0.0
        self._in_hand: TopicPartition | None = None
        self._progress: dict[TopicPartition, Progress] = {}
        self._window = Window(AT_A_TIME, AT_A_TIME_BYTES)
        self._stopping = False
        self._new = True
        self._let_go = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.assigned = asyncio.Event()
        self.busy = False
        """Whether the last look into the topic found anything."""

    def stop(self) -> None:
        """Finish the record in flight, commit, and return from `run`."""
        self._stopping = True
        self._let_go.set()

    async def run(self, delivery: Handler) -> None:
        """Deliver until `stop`.

        Raises NotReady when positions have vanished or too many records in a row were refused.
        """
        while not self._stopping:
            self._let_go.clear()
            try:
                await self._round(delivery)
            except NoOffsetForPartitionError:
                self._new = True  # a partition was added, or the coordinator was still loading: `adopt` tells
            except OffsetOutOfRangeError:
                raise self._positions.vanished() from None
            if self._stopping:
                return

    async def _round(self, delivery: Handler) -> None:
        if self._new and self.assigned.is_set():
            self._new = False
            await self._positions.adopt()
        batch = await self._consumer.getmany(timeout_ms=500, max_records=AT_A_TIME)
        self.busy = bool(batch)
        if self._let_go.is_set() or self._new:
            # Partitions changed hands meanwhile: what came may be of before or after. Read it again.
            for partition, records in batch.items():
                if partition in self._consumer.assignment():
                    self._consumer.seek(partition, records[0].offset)
            return
        self._idle.clear()
        try:
            await self._handle(batch, delivery)
        finally:
            self._idle.set()

    async def _handle(self, batch: dict[TopicPartition, list[ConsumerRecord]], delivery: Handler) -> None:
        if not batch:
            await self._settle_idle()
            return
        await self._receipts.restore({partition.partition: records[0] for partition, records in batch.items()})
        progress = {partition: self._of(partition, records[0].offset) for partition, records in batch.items()}
        for partition, records in batch.items():
            for record in records:
                if progress[partition].read(record.offset):
                    self._window.add(record, urgent=urgent(record.value))
        try:
            await self._in_turn(progress, delivery)
        except LetGo:
            # What is left in hand comes again: to whoever owns the partition next, from the committed offset.
            self._window.clear()
        await self._commit(progress)

    def _of(self, partition: TopicPartition, first: int) -> Progress:
        if partition not in self._progress:
            self._progress[partition] = Progress(*(self._positions.place(partition) or (first, "")))
        return self._progress[partition]

    async def _in_turn(self, progress: Mapping[TopicPartition, Progress], delivery: Handler) -> None:
        while taken := self._window.take():
            if self._let_go.is_set():
                raise LetGo
            record = taken[0].record
            partition = TopicPartition(record.topic, record.partition)
            self._in_hand = partition
            await self._confirm()
            handled = await delivery.handle(record)
            progress[partition].finish(record.offset)
            # Records no rule wants wait for the end of the batch: seeing them again costs nothing.
            if handled == "settled":
                if not await self._commit({partition: progress[partition]}):
                    raise LetGo
                delivery.check()

    async def pause(self, seconds: float) -> None:
        """Wait before a record is tried again.

        Raises LetGo as soon as it is no longer ours.
        """
        # The group hears of us meanwhile: aiokafka's heartbeats come from a task of their own.
        try:
            await asyncio.wait_for(self._let_go.wait(), seconds)
        except TimeoutError:
            await self._confirm()
            return
        raise LetGo

    async def _confirm(self) -> None:
        """Make sure the record in hand is still ours when the broker has not been asked for a while.

        A process that was frozen goes on in the middle of its batch, long after the group gave its partitions away.
        """
        partition = self._in_hand
        if partition not in self._progress or self._monotonic() - self._confirmed <= FRESH:
            return
        if not await self._commit({partition: self._progress[partition]}, confirm=True):
            raise LetGo

    async def _commit(self, progress: Mapping[TopicPartition, Progress], *, confirm: bool = False) -> bool:
        offsets = {partition: one.base for partition, one in progress.items()}
        finished = {partition: one.encode() for partition, one in progress.items()}
        if await self._positions.commit(offsets, finished, confirm=confirm):
            self._confirmed = self._monotonic()
            return True
        # The group gives us new partitions soon; until then nothing more of the old ones may come out of the buffer.
        self._consumer.pause(*self._consumer.assignment())
        self._let_go.set()
        return False

    async def _settle_idle(self) -> None:
        """Commit the positions themselves: transaction markers occupy offsets, and lag would never become zero."""
        try:
            async with asyncio.timeout(1):
                places = {tp: await self._consumer.position(tp) for tp in self._consumer.assignment()}
        except TimeoutError:
            return  # a partition has no position yet
        for partition, place in places.items():
            self._of(partition, place).read_to(place)
        await self._commit({partition: self._progress[partition] for partition in places})

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Let the record in flight come to its end, then let the partitions go."""
        self._let_go.set()
        self.assigned.clear()
        try:
            await asyncio.wait_for(self._idle.wait(), FINISH)
        except TimeoutError:
            log.warning("handed_over_in_flight", partitions=sorted(tp.partition for tp in revoked))

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Begin anew with what the group gave us."""
        self._receipts.forget()
        self._in_hand = None
        self._progress = {}
        self._new = True
        self._confirmed = self._monotonic()
        self.assigned.set()
        log.info("assigned", partitions=sorted(tp.partition for tp in assigned))
