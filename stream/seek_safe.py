"""Faust's consumer with its start-up race closed, and records handed over in the batches they were fetched in."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from typing import Any

from aiokafka import ConsumerRecord
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from stream.heartbeats import listen


class Fetched:
    """Records of one partition as they were fetched; Faust knows the batch as one message to be acknowledged."""

    refcount = 1

    def __init__(self, tp: TP, records: Sequence[ConsumerRecord], generation: int) -> None:
        self.tp = tp
        self.records = records
        self.generation = generation
        self.acked = False


class HeartbeatThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    """Faust's consumer thread; tells its consumer's `heartbeat` when a heartbeat was sent that the group answered well."""

    async def on_start(self) -> None:
        """Start the consumer, and listen to its heartbeats."""
        await super().on_start()
        listen(self._consumer._coordinator, self._tell)  # noqa: SLF001 - no public way

    def _tell(self, at: float) -> None:
        self.consumer.heartbeat(at)


class SeekSafeConsumer(driver.Consumer):  # type: ignore[misc]
    """Park the drain task before seeking, hand over whole batches, and commit the last offset that is finished.

    Stock Faust 0.15.3 seeks to the committed offsets while its drain task may still hold records fetched before; those
    are then dropped with the stream's queue, or counted as gaps, and are never seen again. It also makes four tasks and
    several objects for each record, which takes longer than all we do with it.
    """

    source_queue: "asyncio.Queue[Fetched] | None" = None
    """The queue of the only agent, once it runs."""
    heartbeat: "Callable[[float], None]" = staticmethod(lambda _at: None)
    """Called from the consumer's thread: the group answered a heartbeat that was sent then (monotonic seconds)."""
    regrouping: "Callable[[], None]" = staticmethod(lambda: None)
    """Called when the group divides the partitions anew while the application stops."""
    _parked = False
    _drain_task: "asyncio.Task[Any] | None" = None

    def _new_consumer_thread(self) -> HeartbeatThread:
        return HeartbeatThread(self, loop=self.loop, beacon=self.beacon)

    async def _drain_messages(self, fetcher: Any) -> None:
        """Fetch and hand over until stopped; called by Faust's fetcher."""
        self._drain_task = asyncio.current_task()
        try:
            while not (self.should_stop or fetcher.should_stop):
                records, _ = await self._wait_next_records(1.0)
                if records and not self.app.flow_control.is_active():
                    # Whoever suspended the flow seeks before resuming it, and must not have to wait for us.
                    await self.wait_first(self.app.flow_control.acquire(), self.suspend_flow.wait())
                if self.source_queue is None or not self.flow_active:
                    await self.perform_seek()
                    continue
                for tp, found in (records or {}).items():
                    self._hand_over(self.source_queue, tp, found)
                await asyncio.sleep(0)
        except self.consumer_stopped_errors:
            if not self.app.should_stop:
                raise
        except asyncio.CancelledError:
            if not self.app.should_stop:
                raise

    def _hand_over(self, queue: "asyncio.Queue[Fetched]", tp: TP, records: Sequence[ConsumerRecord]) -> None:
        read = self._read_offset[tp]
        records = [record for record in records if read is None or record.offset >= read]
        if records:
            self._read_offset[tp] = records[-1].offset + 1
            queue.put_nowait(Fetched(tp, records, self.app.consumer_generation_id))

    def track(self, fetched: Fetched) -> None:
        """Note a batch that is being worked on; a clean stop and a rebalance wait for it."""
        self._under_way[fetched.tp].append(fetched)
        self._unacked_messages.add(fetched)

    def keep(self, assigned: set[TP]) -> None:
        """Forget batches of partitions that are not ours any more; nobody will finish them here."""
        for tp in self._under_way.keys() - assigned:
            for batch in self._under_way.pop(tp):
                self._unacked_messages.discard(batch)

    def finished(self, tp: TP, offset: int) -> None:
        """Note that everything up to an offset is finished; called in the order of offsets."""
        self._acked[tp] = [offset]
        under_way = self._under_way[tp]
        while under_way and under_way[0].records[-1].offset <= offset:
            batch = under_way.popleft()
            batch.acked = True
            self._unacked_messages.discard(batch)
        if self._waiting_for_ack is not None and not self._waiting_for_ack.done():
            self._waiting_for_ack.set_result(None)

    def _new_offset(self, tp: TP) -> int | None:
        acked = self._acked[tp]
        return acked.pop() + 1 if acked else None

    @property
    def _under_way(self) -> "defaultdict[TP, deque[Fetched]]":
        return self.__dict__.setdefault("_fetched", defaultdict(deque))  # type: ignore[no-any-return]

    async def _wait_next_records(self, timeout: float) -> Any:  # noqa: ASYNC109 - Faust's signature
        if not self.flow_active:
            self._parked = True
            try:
                await self.wait(self.can_resume_flow)
            finally:
                self._parked = False
        return await super()._wait_next_records(timeout)

    async def seek_to_committed(self) -> Any:
        """Set the read positions to the committed offsets, to 0 as well.

        aiokafka leaves a partition committed at 0 where it stands: behind what was fetched and dropped by then.
        """
        committed = await super().seek_to_committed()
        if fresh := {tp: 0 for tp, offset in committed.items() if offset == 0}:
            await self.seek_wait(fresh)
        return committed

    async def perform_seek(self) -> None:
        """Set the read positions to the committed offsets."""
        if asyncio.current_task() is not self._drain_task:
            self.stop_flow()
            while self._draining():
                await asyncio.sleep(0.01)
        await super().perform_seek()
        self.app.flow_control.clear()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Pass it on, and tell who must know of it while the application stops: Faust tells nobody then.

        A worker that finishes its last events is still a member: the group divides anew with it, and gives away what it has.
        """
        await super().on_partitions_revoked(revoked)
        if self.app.should_stop:
            self.regrouping()

    def _draining(self) -> bool:
        fetcher, task = self.app._fetcher, self._drain_task  # noqa: SLF001 - no public way to see it
        running = fetcher.started and not fetcher.should_stop and not self.should_stop
        return bool(running and task and not task.done() and not self._parked)


class Transport(driver.Transport):  # type: ignore[misc]
    """Faust's aiokafka transport with the consumer above."""

    Consumer = SeekSafeConsumer
