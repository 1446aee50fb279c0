"""Publish raw records to Kafka, each acknowledged by all in-sync replicas."""

import asyncio
import contextlib
import functools
from collections.abc import Coroutine, Sequence
from types import TracebackType
from typing import Any, Self

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError

from events.errors import NotReady
from events.settings import KafkaSettings
from events.topics import Topics
from ingest import cluster
from ingest.accept import RawRecord
from ingest.partitioner import partition_of
from ingest.patience import Patience
from ingest.publisher import NotPublished
from ingest.readiness import Readiness

ACK_WITHIN = 1.0
"""Seconds an event may wait for the acknowledgement: with the spool's own time a sender is answered within two."""

RESTART_WITHIN = 2.0
"""Seconds to wait for the cluster before the door opens without it, where there is a spool."""

STOP_WITHIN = 1.5
"""Seconds to flush when stopping; whatever is unacknowledged after that is in the spool, or was answered 503."""

PROBE_EVERY = 2.0
"""Seconds between looks at the cluster, so that readiness tells the truth when nobody posts."""

RECONNECT_EVERY = 1.0
"""Seconds between attempts to start a new producer."""

CLOSED = "the raw topic is closed (max.message.bytes): `tocsin topics migrate` opens it again when it has ended"

MAX_HELD = 32 * 1024 * 1024
"""Bytes of events waiting for acknowledgement; beyond it Kafka takes no more."""

_PER_RECORD = 8 * 1024  # what a waiting request costs besides its body, roughly

log = structlog.get_logger()


class KafkaPublisher:
    """Publish to the raw topic; recovers by itself when the brokers come back.

    aiokafka retries for as long as it takes, so a record refused here may still arrive. When it does give a batch up
    (no leader for longer than its request timeout, for one) that partition's sequence numbers have a gap and the broker
    refuses all that follows: then a new producer takes over, and the old one flushes what it can.
    """

    def __init__(self, kafka: KafkaSettings, *, ack_within: float = ACK_WITHIN, must_reach: bool = True) -> None:
        """Take how to reach the cluster, and whether it must be reachable from the start."""
        self._kafka = kafka
        self._topic = Topics(kafka.topic_prefix).raw
        self._patience = Patience(ack_within)
        self._must_reach = must_reach
        self._producer: Any = None
        self._connected = asyncio.Event()
        self._readiness = Readiness()
        self._tasks: set[asyncio.Task[None]] = set()
        self._held = 0
        self._closed = False

    async def __aenter__(self) -> Self:
        """Connect and check the topic.

        Raises NotReady.
        """
        self._loop = asyncio.get_running_loop()  # asking for it is a system call
        try:
            async with asyncio.timeout(None if self._must_reach else RESTART_WITHIN):
                await self._connect()
        except (cluster.Unreachable, cluster.OtherSize, TimeoutError) as error:
            if self._must_reach:
                raise
            self._readiness.cluster(str(error) or f"no Kafka broker answers at {self._kafka.bootstrap_servers}")
            self._spawn(self._reconnect())
        self._spawn(self._probe())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._connected.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._producer.stop(), STOP_WITHIN)

    @property
    def trouble(self) -> str | None:
        """Why events are not being acknowledged just now, in one line; None when all is well."""
        return self._readiness.trouble or (None if self.connected else "connecting to Kafka")

    @property
    def connected(self) -> bool:
        """Whether there is a producer to send with."""
        return self._connected.is_set()

    def takes(self, partition: int) -> bool:
        """Tell whether the partition has a leader and nothing sent to it long ago is still unacknowledged."""
        if not self.connected or self._readiness.waits(partition):
            return False
        leader = self._producer.client.cluster.leader_for_partition(TopicPartition(self._topic, partition))
        return leader is not None and leader != -1

    async def publish(self, record: RawRecord) -> None:
        """Return once all in-sync replicas have the record.

        Raises NotPublished when they do not say so in time, or when too many events wait already.
        """
        if self._held + (size := len(record.value) + _PER_RECORD) > MAX_HELD:
            raise NotPublished("too many events are waiting for Kafka")
        self._held += size
        sent: list[asyncio.Future[Any]] = []
        try:
            with self._patience.wait():
                await self._deliver(record, partition_of(record.key, self._kafka.partitions), sent)
        except TimeoutError:
            raise NotPublished("Kafka did not acknowledge in time", sent[-1] if sent else None) from None
        finally:
            self._held -= size

    async def publish_together(self, partition: int, records: Sequence[RawRecord]) -> int:
        """Write the first of these records, as many as fit into one batch, all or none; return how many, once acked.

        Raises NotPublished when the batch is given up; waits as long as the cluster takes.
        """
        await self._connected.wait()
        producer = self._producer
        try:
            batch = producer.create_batch()
            for record in records:
                if not batch.append(key=record.key, value=record.value, timestamp=None, headers=record.headers):
                    break
            batch.close()  # nobody else's records in it
            await (await producer.send_batch(batch, self._topic, partition=partition))
        except KafkaTimeoutError as error:  # never handed in: others of this partition still wait
            raise NotPublished(repr(error)) from error
        except (KafkaError, AssertionError) as error:
            self._replace(producer, error)
            raise NotPublished(repr(error)) from error
        self._taken()
        number: int = batch.record_count()
        return number

    async def _deliver(self, record: RawRecord, partition: int, sent: list[asyncio.Future[Any]]) -> None:
        for _ in range(2):
            if not self._connected.is_set():
                await self._connected.wait()
            producer = self._producer
            try:
                ack = await producer.send(
                    self._topic, record.value, record.key, partition=partition, headers=record.headers
                )
                sent.append(ack)
                await self._acknowledged(ack, partition, producer)
            # aiokafka asserts that the partition exists, and it does not when the topic was made anew, smaller.
            except (KafkaError, AssertionError) as error:
                self._replace(producer, error)
                sent.clear()
            else:
                self._taken()
                return
        raise NotPublished("Kafka refused the event")

    async def _acknowledged(self, ack: asyncio.Future[Any], partition: int, producer: Any) -> None:
        acked = self._loop.create_future()
        ack.add_done_callback(functools.partial(_wake, acked))  # a shield, at a third of its cost
        try:
            await acked
        except asyncio.CancelledError:
            self._readiness.unacked(partition)
            ack.add_done_callback(functools.partial(self._late, partition=partition, producer=producer))
            raise
        ack.result()
        self._readiness.settled(partition)

    def _late(self, ack: asyncio.Future[Any], *, partition: int, producer: Any) -> None:
        """Take note of an acknowledgement nobody waits for any more."""
        self._readiness.settled(partition)
        if not ack.cancelled() and (error := ack.exception()):
            self._replace(producer, error)

    def _replace(self, producer: Any, error: BaseException) -> None:
        """Let a new producer take over from one that gave up a batch."""
        if producer is not self._producer or not self._connected.is_set():
            return
        closed = isinstance(error, MessageSizeTooLargeError)  # no event is, for the topic as it must be
        if not (closed and self._closed):
            log.warning("producer_replaced", reason=repr(error))
        self._closed = closed
        if closed:
            self._readiness.cluster(CLOSED)
        self._connected.clear()
        self._spawn(producer.stop())  # flushes: what other partitions still wait for is not lost
        self._spawn(self._reconnect(RECONNECT_EVERY if self._closed else 0.0))

    def _taken(self) -> None:
        """Know that the topic is open: it took something."""
        if self._closed:
            self._closed = False
            self._readiness.cluster(None)

    async def _connect(self) -> None:
        self._producer = await cluster.connect(self._kafka)
        self._connected.set()

    async def _reconnect(self, after: float = 0.0) -> None:
        await asyncio.sleep(after)
        while True:
            try:
                await self._connect()
                break
            except NotReady as error:
                self._readiness.cluster(str(error))
                await asyncio.sleep(RECONNECT_EVERY)
        self._readiness.cluster(CLOSED if self._closed else None)

    async def _probe(self) -> None:
        while True:
            await asyncio.sleep(PROBE_EVERY)
            if self._connected.is_set():
                await self._look(self._producer)

    async def _look(self, producer: Any) -> None:
        try:
            trouble = await cluster.look(producer.client, self._kafka, PROBE_EVERY)
        except cluster.OtherSize as error:
            self._replace(producer, error)
        else:
            self._readiness.cluster(trouble or (CLOSED if self._closed else None))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _wake(waiter: "asyncio.Future[None]", _: "asyncio.Future[Any]") -> None:
    if not waiter.done():
        waiter.set_result(None)
