"""The feeder: read the enriched topic and the receipts, write them to the store, go on where the store says."""

import asyncio
import time
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import CommitFailedError, IllegalStateError, OffsetOutOfRangeError

from events.codec import decode_enriched, decode_receipt
from events.errors import MalformedRecord, NotReady
from events.settings import KafkaSettings
from events.topics import Topics
from inbox import metrics, notification
from inbox.store import Batch, Store

LOOK_FOR_PARTITIONS = 30.0
"""Seconds between two looks at the topics: for new partitions, and whether the cluster answers at all."""

TELL_GROUP = 2.0
"""Seconds between two commits to the group: only so that its lag can be seen, the store's word counts."""

FAREWELL = 2.0
"""Seconds the group's coordinator has for the last of them."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Step:
    """What one look at the topics brought."""

    records: int = 0
    delivered: frozenset[int] = frozenset()
    """Threads that got receipts."""


class Feeder:
    """Read both topics into the store; `async with` it, then `run`."""

    def __init__(self, kafka: KafkaSettings, store: Store, *, history: timedelta, accept_gap: bool) -> None:
        self._kafka = kafka
        self._store = store
        self._history = history
        self._accept_gap = accept_gap
        names = Topics(kafka.topic_prefix)
        self._enriched, self._receipts = names.enriched, names.deliveries
        self._positions: dict[TopicPartition, int] = {}
        self._looked_at = 0.0
        self._looking: asyncio.Task[list[TopicPartition]] | None = None
        self._told_at = 0.0
        self._telling: asyncio.Task[None] | None = None
        self._told: dict[TopicPartition, int] = {}
        self.read_at = 0.0
        """When records, or the news that there are none, were last read; monotonic seconds."""

    async def __aenter__(self) -> Self:
        """Connect and find the place to go on.

        Raises NotReady for missing topics and vanished records, KafkaError when the cluster does not answer.
        """
        self._consumer = AIOKafkaConsumer(
            **self._kafka.client_options(),
            group_id=self._kafka.group("inbox"),
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_partition_fetch_bytes=4 << 20,
            # While a batch takes long to write, the client asks for the other partitions alone, and this one waits for
            # the answer: half a second where those are quiet.
            fetch_max_wait_ms=200,
        )
        await self._consumer.start()
        try:
            await self._place()
        except BaseException:
            await self._consumer.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        errands: list[asyncio.Task[Any]] = [each for each in (self._telling, self._looking) if each]
        for errand in errands:
            errand.cancel()
        if error is None or isinstance(error, asyncio.CancelledError):
            # The group's lag is looked at while nobody reads, too; what is not surely written is not told.
            errands.append(asyncio.create_task(self._tell_group(self._positions)))
        if errands:
            # The client takes its time to hear that it is cancelled.
            done, pending = await asyncio.wait(errands, timeout=FAREWELL)
            untold = [repr(each.exception()) for each in done if not each.cancelled() and each.exception()]
            if untold or pending:
                log.info("farewell_untold", reasons=untold, unanswered=len(pending))
            for errand in pending:
                errand.cancel()
        await self._consumer.stop()

    async def step(self) -> Step:
        """Read once and write; tell what there was. Raises NotReady when records are gone."""
        await self._errands()
        try:
            batch = await self._consumer.getmany(timeout_ms=200, max_records=1000)
        except OffsetOutOfRangeError:
            await self._place()
            return Step()
        self.read_at = time.monotonic()
        return await asyncio.to_thread(self._take, batch) if batch else Step()

    def _take(self, records: dict[TopicPartition, list[ConsumerRecord]]) -> Step:
        batch = Batch()
        for partition, found in records.items():
            for record in found:
                self._read(batch, record)
            after = found[-1].offset + 1
            batch.positions[partition.topic, partition.partition] = (self._positions[partition], after)
        delivered = self._store.take(batch)
        self._positions |= {partition: found[-1].offset + 1 for partition, found in records.items()}
        for event, _ in batch.notifications:
            metrics.AGE.observe(max(0.0, time.time() - event.received_at))
        metrics.NOTIFICATIONS.inc(len(batch.notifications))
        metrics.RECEIPTS.inc(len(batch.receipts))
        return Step(len(batch.notifications) + len(batch.receipts), frozenset(delivered))

    def _read(self, batch: Batch, record: ConsumerRecord) -> None:
        try:
            if record.topic == self._enriched:
                batch.notifications.append((notification.read(decode_enriched(record.value)), record.value))
            else:
                batch.receipts.append((decode_receipt(record.value), record.timestamp / 1000))
        except MalformedRecord as error:
            # No dead letter: the archive reads the same topic and buries it, once.
            metrics.UNREADABLE.inc()
            log.warning(
                "unreadable", topic=record.topic, partition=record.partition, offset=record.offset, reason=str(error)
            )

    async def _errands(self) -> None:
        """Begin what is due, and take up what is done: nothing that came waits for the cluster's answer."""
        if self._looking and self._looking.done():
            found, self._looking = self._looking.result(), None
            # Only where there are new ones: what the consumer has fetched would be thrown away.
            if set(found) != set(self._positions):
                await self._place()
        if not self._looking and time.monotonic() - self._looked_at > LOOK_FOR_PARTITIONS:
            self._looked_at = time.monotonic()
            self._looking = asyncio.create_task(_partitions(self._kafka, self._enriched, self._receipts))
        if self._telling and self._telling.done():
            self._telling.result()
            self._telling = None
        if not self._telling and time.monotonic() - self._told_at > TELL_GROUP:
            self._told_at = time.monotonic()
            # The consumer's own position passes transaction markers, where nothing waits to be written.
            offsets = {each: await self._consumer.position(each) for each in self._positions}
            if offsets != self._told:
                self._telling = asyncio.create_task(self._tell_group(offsets))

    async def _place(self) -> None:
        """Assign every partition there is, at the store's position; those added later begin at their start."""
        self._looked_at = time.monotonic()
        partitions = await _partitions(self._kafka, self._enriched, self._receipts)
        known = self._store.positions()
        first_start = not known
        starts = await self._consumer.beginning_offsets(partitions)
        self._consumer.assign(partitions)
        ends = await self._consumer.end_offsets(partitions)
        positions = {p: known[p.topic, p.partition] for p in partitions if (p.topic, p.partition) in known}
        lost = {p: offset for p, offset in positions.items() if not starts[p] <= offset <= ends[p]}
        if lost and not self._accept_gap:
            raise NotReady(
                "Records left Kafka before the inbox read them, or the topics were made anew: "
                "set INBOX_ACCEPT_GAP=true to go on with what is there."
            )
        fresh = {p: starts[p] for p in partitions if p not in positions or p in lost}
        if first_start:
            fresh |= await self._since(partitions, ends)
        if fresh:
            await asyncio.to_thread(self._store.start_at, {(p.topic, p.partition): n for p, n in fresh.items()})
            log.info("positions_set", partitions=len(fresh), first_start=first_start, gap=sorted(map(str, lost)))
        self._positions = positions | fresh
        for partition, offset in self._positions.items():
            self._consumer.seek(partition, offset)

    async def _since(
        self, partitions: list[TopicPartition], ends: dict[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        """Return where the history begins that the first start reads."""
        since = int((time.time() - self._history.total_seconds()) * 1000)
        found = await self._consumer.offsets_for_times(dict.fromkeys(partitions, since))
        return {p: found[p].offset if found[p] else ends[p] for p in partitions}

    async def _tell_group(self, offsets: dict[TopicPartition, int]) -> None:
        try:
            await self._consumer.commit(offsets)
            self._told = offsets
        except (CommitFailedError, IllegalStateError) as error:
            log.info("commit_refused", reason=repr(error))


async def _partitions(kafka: KafkaSettings, *topics: str) -> list[TopicPartition]:
    """Return the partitions there are now; a consumer would notice new ones after minutes only."""
    admin = AIOKafkaAdminClient(**kafka.client_options())
    await admin.start()
    try:
        there = set(await admin.list_topics())
        for topic in topics:
            if topic not in there:
                raise NotReady(f"Topic {topic} does not exist; run `tocsin topics create`.")
        described = await admin.describe_topics(list(topics))
    finally:
        await admin.close()
    return [TopicPartition(each["topic"], number) for each in described for number in range(len(each["partitions"]))]
