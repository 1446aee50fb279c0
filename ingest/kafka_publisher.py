"""Publish raw records to Kafka, each acknowledged by all in-sync replicas."""

import asyncio
import contextlib
import functools
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2

from events.errors import NotReady
from events.settings import KafkaSettings
from events.topics import Topics
from ingest.accept import RawRecord
from ingest.publisher import NotPublished
from ingest.readiness import Readiness

ACK_WITHIN = 1.5
"""Seconds an event may wait for the acknowledgement: the sender is answered within two, whatever Kafka does."""

START_WITHIN = 10.0
"""Seconds to reach the cluster when starting."""

STOP_WITHIN = 1.5
"""Seconds to flush when stopping; whatever is unacknowledged after that was answered 503 long before."""

PROBE_EVERY = 2.0
"""Seconds between looks at the cluster, so that readiness tells the truth when nobody posts."""

RECONNECT_EVERY = 1.0
"""Seconds between attempts to start a new producer."""

MAX_HELD = 32 * 1024 * 1024
"""Bytes of events waiting for acknowledgement; beyond it an event is refused at once."""

_PER_RECORD = 8 * 1024  # what a waiting request costs besides its body, roughly
_TUNING = {
    "acks": "all",
    "enable_idempotence": True,
    "linger_ms": 0,  # batches form by themselves while the request before is on its way
    "max_batch_size": 128 * 1024,  # well below the topic's max.message.bytes; also bounds what is kept per partition
    "request_timeout_ms": 10_000,
}

log = structlog.get_logger()


@functools.lru_cache(maxsize=8192)
def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition Kafka's Java clients choose for the key."""
    partition: int = (murmur2(key) & 0x7FFFFFFF) % partitions
    return partition


class KafkaPublisher:
    """Publish to the raw topic; recovers by itself when the brokers come back.

    aiokafka retries for as long as it takes, so a record refused here may still arrive. When it does give a batch up
    (no leader for longer than its request timeout, for one) that partition's sequence numbers have a gap and the broker
    refuses all that follows: then a new producer takes over, and the old one flushes what it can.
    """

    def __init__(self, kafka: KafkaSettings, *, ack_within: float = ACK_WITHIN) -> None:
        self._kafka = kafka
        self._topic = Topics(kafka.topic_prefix).raw
        self._ack_within = ack_within
        self._producer: Any = None
        self._connected = asyncio.Event()
        self._readiness = Readiness()
        self._tasks: set[asyncio.Task[None]] = set()
        self._held = 0

    async def __aenter__(self) -> Self:
        """Connect and check the topic.

        Raises NotReady.
        """
        self._producer = await self._connect()
        self._connected.set()
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
        return self._readiness.trouble

    async def publish(self, record: RawRecord) -> None:
        """Return once all in-sync replicas have the record.

        Raises NotPublished when they do not say so in time, or when too many events wait already.
        """
        size = len(record.value) + _PER_RECORD
        if self._held + size > MAX_HELD:
            self._readiness.refused()
            raise NotPublished("too many events are waiting for Kafka")
        self._held += size
        try:
            async with asyncio.timeout(self._ack_within):
                await self._deliver(record, partition_of(record.key, self._kafka.partitions))
        except TimeoutError:
            self._readiness.refused()
            raise NotPublished("Kafka did not acknowledge in time") from None
        finally:
            self._held -= size

    async def _deliver(self, record: RawRecord, partition: int) -> None:
        for _ in range(2):
            if not self._connected.is_set():
                await self._connected.wait()
            producer = self._producer
            try:
                ack = await producer.send(
                    self._topic, record.value, record.key, partition=partition, headers=record.headers
                )
                await self._acknowledged(ack, partition, producer)
            # aiokafka asserts that the partition exists, and it does not when the topic was made anew, smaller.
            except (KafkaError, AssertionError) as error:
                self._replace(producer, error)
            else:
                return
        self._readiness.refused()
        raise NotPublished("Kafka refused the event")

    async def _acknowledged(self, ack: asyncio.Future[Any], partition: int, producer: Any) -> None:
        try:
            await asyncio.shield(ack)
        except asyncio.CancelledError:
            self._readiness.unacked(partition)
            ack.add_done_callback(functools.partial(self._late, partition=partition, producer=producer))
            raise
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
        log.warning("producer_replaced", reason=repr(error))
        self._connected.clear()
        self._spawn(producer.stop())  # flushes: what other partitions still wait for is not lost
        self._spawn(self._reconnect())

    async def _reconnect(self) -> None:
        while True:
            try:
                self._producer = await self._connect()
            except NotReady as error:
                self._readiness.cluster(str(error))
                await asyncio.sleep(RECONNECT_EVERY)
            else:
                self._connected.set()
                return

    async def _probe(self) -> None:
        while True:
            await asyncio.sleep(PROBE_EVERY)
            if self._connected.is_set():
                self._readiness.cluster(await self._look(self._producer.client))

    async def _look(self, client: Any) -> str | None:
        """Say what is wrong with the cluster, in one line, or None."""
        try:
            async with asyncio.timeout(PROBE_EVERY):
                answered = await client.force_metadata_update()
        except TimeoutError:
            answered = False
        if not answered:
            return f"no Kafka broker answers at {self._kafka.bootstrap_servers}"
        leaderless = self._kafka.partitions - len(client.cluster.available_partitions_for_topic(self._topic) or ())
        if leaderless > 0:
            return f"{leaderless} of {self._kafka.partitions} partitions of {self._topic} have no leader"
        return None

    async def _connect(self) -> Any:
        producer = AIOKafkaProducer(**self._kafka.client_options(), **_TUNING)
        try:
            async with asyncio.timeout(START_WITHIN):
                await producer.start()
                await self._verify(producer)
                await producer.partitions_for(self._topic)  # from here on it asks for this topic only
        except (KafkaError, OSError) as error:  # a time-out is an OSError
            raise NotReady(
                f"Kafka cannot be reached at {self._kafka.bootstrap_servers}: check KAFKA_BOOTSTRAP_SERVERS "
                "and the KAFKA_ security settings, or start one here with `tocsin broker`."
            ) from error
        else:
            started, producer = producer, None
            return started
        finally:
            if producer is not None:
                await producer.stop()

    async def _verify(self, producer: Any) -> None:
        """Raise NotReady unless the raw topic is as the contract says; asks for all topics, which creates none."""
        metadata = await producer.client.fetch_all_metadata()
        found = len(metadata.partitions_for_topic(self._topic) or ())
        if not found:
            raise NotReady(f"The topic {self._topic} does not exist: run `tocsin topics create`.")
        if found != self._kafka.partitions:
            raise NotReady(
                f"The topic {self._topic} has {found} partitions and KAFKA_PARTITIONS is {self._kafka.partitions}: "
                f"set KAFKA_PARTITIONS={found}, or use another KAFKA_TOPIC_PREFIX and run `tocsin topics create`."
            )

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
