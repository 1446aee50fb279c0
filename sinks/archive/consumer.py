"""The loop of the archive: read everything, write files, list them in the manifest, then commit."""

import asyncio
import os
import socket
import time
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, NoOffsetForPartitionError, OffsetOutOfRangeError

from events.topics import Topics
from sinks.archive import metrics
from sinks.archive.burying import bury
from sinks.archive.compactor import Compactor
from sinks.archive.settings import ArchiveSettings
from sinks.archive.shapes import archived
from sinks.archive.signing import Signer
from sinks.archive.storage import Store
from sinks.archive.sweep import sweep
from sinks.archive.vouching import Voucher
from sinks.archive.writer import PartitionWriter

log = structlog.get_logger()


@dataclass
class _Buffer:
    """What was read of a partition and is not archived yet."""

    writer: PartitionWriter
    records: list[ConsumerRecord] = field(default_factory=list)
    bytes: int = 0
    since: float = field(default_factory=time.monotonic)
    """When the oldest record was read; without one, when something was last archived."""


class Archive(ConsumerRebalanceListener):  # type: ignore[misc]
    """Own partitions as the group gives them; where each goes on is the manifest's word, never the group's."""

    def __init__(
        self,
        settings: ArchiveSettings,
        topics: Topics,
        folder: Store,
        consumer: AIOKafkaConsumer,
        producer: AIOKafkaProducer,
        signer: Signer | None = None,
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._folder = folder
        self._shapes = archived(topics, settings.topics.split(","))
        self._consumer = consumer
        self._producer = producer
        self._name = f"{socket.gethostname()}/{os.getpid()}"
        self._signer = signer
        self._voucher = Voucher(folder, settings.head_every, self._name, signer, producer, topics.archive_heads)
        self._compactor = Compactor(folder, settings.compact_every)
        self._buffers: dict[TopicPartition, _Buffer] = {}
        self._turn = asyncio.Lock()
        self._assignments = 0
        self._failed: Exception | None = None
        self._stopping = False

    def stop(self) -> None:
        """Archive what was read, commit, and return from `run`."""
        self._stopping = True

    def health(self) -> tuple[bool, dict[str, Any]]:
        """Return whether partitions are assigned, and which."""
        return bool(self._buffers), {"partitions": self._owned()}

    async def run(self) -> None:
        """Read and archive until `stop`."""
        while not self._stopping:
            before = self._assignments
            batch = await self._read()
            async with self._turn:
                if self._failed is not None:
                    raise self._failed
                if before == self._assignments:
                    self._take(batch)
                else:
                    self._read_again()
                await self._compactor.step(self._writers())
                await self._flush(everything=False)
                await self._voucher.vouch(each.writer for each in self._buffers.values())
        async with self._turn:
            await self._compactor.finish(self._writers())
            await self._flush(everything=True)

    def _writers(self) -> dict[TopicPartition, PartitionWriter]:
        return {partition: buffer.writer for partition, buffer in self._buffers.items()}

    async def _read(self) -> dict[TopicPartition, list[ConsumerRecord]]:
        """Read what comes; from its assignment to its claim a partition is where the group has it, which means nothing.

        Raises OffsetOutOfRangeError when records left Kafka in front of a claimed partition.
        """
        try:
            batch: dict[TopicPartition, list[ConsumerRecord]] = await self._consumer.getmany(
                timeout_ms=200, max_records=2_000
            )
        except NoOffsetForPartitionError:
            return {}
        except OffsetOutOfRangeError as error:
            for partition, offset in error.args[0].items():
                if partition in self._buffers and await self._consumer.position(partition) == offset:
                    raise
            return {}
        return batch

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Drop what is not archived: the next owner reads it again."""
        async with self._turn:
            for partition in revoked:
                self._buffers.pop(partition, None)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Claim each partition in its manifest and go on where that ends."""
        async with self._turn:
            try:
                await self._claim(assigned)
            except Exception as error:  # noqa: BLE001 - aiokafka would log it and go on; `run` raises it
                self._failed = error

    async def _claim(self, assigned: set[TopicPartition]) -> None:
        if not assigned:
            return
        starts = await self._consumer.beginning_offsets(list(assigned))
        ends = await self._consumer.end_offsets(list(assigned))
        self._assignments += 1
        self._buffers = {}
        try:
            for partition in sorted(assigned):
                shape = self._shapes[partition.topic]
                place = (partition.topic, partition.partition)
                writer = PartitionWriter(self._folder, *place, self._name, shape, self._signer)
                start = writer.claim(
                    log_start=starts[partition], log_end=ends[partition], accept_gap=self._settings.accept_gap
                )
                self._consumer.seek(partition, start)
                self._buffers[partition] = _Buffer(writer)
        finally:
            # Also where a later one cannot be claimed: with each restart a leftover is harder to find.
            for topic, shape in self._shapes.items():
                owned = {
                    each.partition: buffer.writer.next_seq
                    for each, buffer in self._buffers.items()
                    if each.topic == topic
                }
                if owned:
                    await asyncio.to_thread(sweep, self._folder, topic, owned, shape.folder)
        log.info("assigned", partitions=self._owned())

    def _owned(self) -> dict[str, list[int]]:
        owned = {
            topic: sorted(each.partition for each in self._buffers if each.topic == topic) for topic in self._shapes
        }
        return {topic: partitions for topic, partitions in owned.items() if partitions}

    def _read_again(self) -> None:
        """Drop a batch that came while partitions changed hands: it may be of before the claim, or of after it."""
        for partition, buffer in self._buffers.items():
            self._consumer.seek(partition, buffer.writer.next_offset)

    def _take(self, batch: dict[TopicPartition, list[ConsumerRecord]]) -> None:
        for partition, records in batch.items():
            buffer = self._buffers.get(partition)
            if buffer is None:
                continue
            known = buffer.writer.next_offset or 0
            fresh = [record for record in records if record.offset >= known]
            if fresh and not buffer.records:
                buffer.since = time.monotonic()
            buffer.records += fresh
            buffer.bytes += sum(len(record.value or b"") for record in fresh)
        metrics.BUFFERED.set(sum(buffer.bytes for buffer in self._buffers.values()))
        oldest = [time.monotonic() - buffer.since for buffer in self._buffers.values() if buffer.records]
        metrics.OLDEST.set(max(oldest, default=0.0))

    async def _flush(self, *, everything: bool) -> None:
        # The largest first: memory is freed with the fewest files.
        for partition, buffer in sorted(self._buffers.items(), key=lambda item: item[1].bytes, reverse=True):
            if everything or (self._due(buffer) and not self._compactor.holds(partition)):
                await self._archive(partition, buffer)
        await self._commit()

    def _due(self, buffer: _Buffer) -> bool:
        return time.monotonic() - buffer.since >= self._settings.flush_every.total_seconds() or (
            bool(buffer.records)
            and (
                len(buffer.records) >= self._settings.flush_records
                or sum(each.bytes for each in self._buffers.values()) >= self._settings.flush_bytes
            )
        )

    async def _archive(self, partition: TopicPartition, buffer: _Buffer) -> None:
        """Write the files, bury what cannot be a row, then list the files: that is the commit point."""
        written = await asyncio.to_thread(buffer.writer.write, buffer.records)
        for record, reason in written.malformed:
            # Before the entry that settles its offset; a crash in between buries it twice, never not at all.
            await bury(self._producer, self._topics, partition, record, reason)
        settled = await self._settled(partition, buffer)
        if settled > (buffer.writer.next_offset or 0):
            buffer.writer.commit(settled, written.files)
        if partition.topic == self._topics.enriched:
            metrics.ROWS.inc(written.rows)
        else:
            metrics.OTHER_ROWS.labels(self._shapes[partition.topic].folder).inc(written.rows)
        metrics.FILES.inc(len(written.files))
        buffer.records, buffer.bytes, buffer.since = [], 0, time.monotonic()

    async def _settled(self, partition: TopicPartition, buffer: _Buffer) -> int:
        """Return the offset below which nothing is missing once the buffer is archived.

        Behind the last record lies the marker of its transaction, and perhaps transactions that were aborted. They are
        read and give no record; unless they are settled too they would look like lost records when Kafka drops them.
        """
        following = buffer.records[-1].offset + 1 if buffer.records else buffer.writer.next_offset or 0
        if partition not in self._consumer.assignment():
            return following
        return max(following, int(await self._consumer.position(partition)))

    async def _commit(self) -> None:
        """Tell the group, so that lag can be seen; transaction markers are passed where nothing waits."""
        offsets = {}
        for partition, buffer in self._buffers.items():
            if not buffer.records and partition in self._consumer.assignment():
                offsets[partition] = await self._consumer.position(partition)
        if offsets and offsets != getattr(self, "_told", None):
            try:
                await self._consumer.commit(offsets)
            except (CommitFailedError, IllegalStateError):
                log.info("commit_refused", reason="the group has rebalanced")  # the manifest knows anyway
                return
            self._told = offsets
