"""The loop of one target: read ahead, have what was read delivered, commit what has come to its end."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import NoOffsetForPartitionError, OffsetOutOfRangeError

from sinks.finished import Progress
from sinks.handling import Ended, Handler, LetGo
from sinks.partitions import Partitions
from sinks.positions import Positions
from sinks.reading import Reading
from sinks.receipts import Placed, Receipts
from sinks.scout import Scout

FINISH = 20.0
"""Seconds what is in flight gets when its partition is taken away; below the group's rebalance time-out of 30 s."""

FRESH = 3.0
"""Seconds for which a confirmed membership is believed; a process frozen for longer asks first."""

COMMIT_EVERY = 0.1
"""Seconds between two commits while there is work."""

LOOK = 0.5
"""Seconds the topic is waited for before it is looked whether something else has changed."""

log = structlog.get_logger()


class Runner(ConsumerRebalanceListener):  # type: ignore[misc]
    """Run one target until told to stop.

    A record is committed only after its receipt; nothing is sent while it is uncertain whose the partition is.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        positions: Positions,
        receipts: Receipts,
        *,
        scout: Scout | None = None,
        share: Callable[[int], None] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take a scout where urgent records are to be found beyond what is read, and what is told how many partitions are ours."""
        self._consumer = consumer
        self._positions = positions
        self._share = share
        self._monotonic = monotonic
        self._confirmed = 0.0
        self._partitions = Partitions(positions)
        self._reading = Reading(consumer, self._partitions, receipts, scout)
        self._window = self._reading.window
        self._told: dict[TopicPartition, Progress] = {}
        self._handler: Handler | None = None
        self._stopping = False
        self._new = True
        self._let_go = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.assigned = asyncio.Event()

    @property
    def busy(self) -> bool:
        """Whether anything waits to be delivered."""
        return bool(len(self._window)) or not (self._handler is None or self._handler.idle)

    def stop(self) -> None:
        """Finish what is in flight, commit, and return from `run`."""
        self._stopping = True
        self._let_go.set()

    async def run(self, handler: Handler) -> None:
        """Deliver until `stop`.

        Raises NotReady when positions have vanished or too many records in a row were refused.
        """
        self._handler = handler
        try:
            while not self._stopping:
                self._let_go.clear()
                try:
                    await self._round(handler)
                except NoOffsetForPartitionError:
                    self._new = True  # a partition was added, or the coordinator was still loading: `adopt` tells
                except OffsetOutOfRangeError:
                    raise self._positions.vanished() from None
        finally:
            await handler.cancel()

    async def _round(self, handler: Handler) -> None:
        if self._new and self.assigned.is_set():
            self._new = False
            await self._positions.adopt()
            self._partitions.begin(self._consumer.assignment())
        self._idle.clear()
        await asyncio.sleep(0)  # folding needs no wait of its own, and the group must hear of us
        try:
            try:
                await self._work(handler)
            except LetGo:
                self._let_go.set()
            if self._let_go.is_set():
                await self._give_away(handler)
        finally:
            self._idle.set()

    async def _give_away(self, handler: Handler) -> None:
        """Let go what is in hand: it comes again, to whoever owns the partition next, from the committed offset."""
        self._window.clear()
        self._partitions.note(await handler.finish())
        handler.forget()
        await self._commit(self._partitions.all)

    async def _work(self, handler: Handler) -> None:
        if not await self._top_up(0 if self.busy else LOOK) and not self.busy:
            handler.rest()
            if not self._let_go.is_set() and not self._new:
                await self._settle_idle()
            return
        backlog = self._reading.backlog
        await self._reading.lift(backlog)
        await self._end(await handler.step(self._window, backlog, crowded=self._partitions.crowded))
        if not self.busy:
            await self._commit(self._partitions.all)  # what no rule wants: seeing it again costs nothing

    async def _top_up(self, seconds: float) -> bool:
        return await self._reading.top_up(seconds, self._let_go, lambda: self._let_go.is_set() or self._new)

    async def _end(self, ended: list[Ended]) -> None:
        """Note what came to its end, and commit where something was told."""
        if told := self._partitions.note(ended):
            self._told |= told
            if self._handler:
                self._handler.check()
            # Receipts speak for what is not committed yet: a commit for each record would halve the pace.
            if self._monotonic() - self._confirmed >= COMMIT_EVERY:
                await self._commit(self._told)
                self._told = {}

    async def pause(self, seconds: float) -> None:
        """Wait, and read ahead meanwhile; return as soon as something new has arrived.

        Raises LetGo when what is in hand is no longer ours.
        """
        # The group hears of us meanwhile: aiokafka's heartbeats come from a task of their own.
        end, found = self._monotonic() + seconds, False
        while not found and (left := end - self._monotonic()) > 0 and not self._let_go.is_set():
            found = await self._top_up(min(left, LOOK)) or self._reading.found
        if self._let_go.is_set() or self._new:
            raise LetGo

    async def confirm(self, records: Sequence[Placed], *, mark: bool = False) -> None:
        """Make sure these are still ours when the broker has not been asked for a while, before something is posted.

        A process that was frozen goes on where it was, long after the group gave its partitions away. With `mark` the
        commit says that they are being posted, so that after a crash it is known. Raises LetGo.
        """
        if self._let_go.is_set() or self._new:
            raise LetGo
        partitions = {record.partition for record in records}
        if mark and not await self._commit(self._partitions.post(records)):
            raise LetGo
        if self._monotonic() - self._confirmed <= FRESH:
            return
        found = self._partitions.of_numbers(partitions)
        if len(found) < len(partitions) or not await self._commit(found, confirm=True):
            raise LetGo

    async def _commit(self, progress: Mapping[TopicPartition, Progress], *, confirm: bool = False) -> bool:
        offsets = {partition: one.base for partition, one in progress.items()}
        finished = {partition: one.encode() for partition, one in progress.items()}
        if await self._positions.commit(offsets, finished, confirm=confirm):
            self._confirmed = self._monotonic()
            return True
        # The group gives us new partitions soon; until then nothing of the old ones may come out of the buffer.
        self._consumer.pause(*self._consumer.assignment())
        self._let_go.set()
        return False

    async def _settle_idle(self) -> None:
        """Commit the positions themselves: transaction markers occupy offsets, and lag would never become zero."""
        places = await self._reading.places()
        if places is None:
            return
        for partition, place in places.items():
            self._partitions.of(partition, place).read_to(place)
        await self._commit(self._partitions.all)

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Let what is in flight come to its end, then let the partitions go."""
        self._let_go.set()
        self.assigned.clear()
        try:
            await asyncio.wait_for(self._idle.wait(), FINISH)
        except TimeoutError:
            log.warning("handed_over_in_flight", partitions=sorted(tp.partition for tp in revoked))

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Begin anew with what the group gave us."""
        self._reading.forget()
        self._told = {}
        if self._share:
            self._share(len(assigned))
        if self._handler:
            self._handler.forget()
        self._new = True
        self._confirmed = self._monotonic()
        self.assigned.set()
        log.info("assigned", partitions=sorted(tp.partition for tp in assigned))
