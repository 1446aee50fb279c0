"""Read back what a partition has written, so that a new owner knows what is done and what is still pending."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from events.headers import RawHeaders, as_text
from events.topics import Topics
from stream.checkpoint import Head, Ledger, Stored
from stream.completions import LIFETIME, Pending, pending_of
from stream.created import CREATED, marks_of
from stream.marks import MINUTE, Marks, digest

log = structlog.get_logger()

SLACK = timedelta(minutes=10)
"""Clocks of ingest hosts and brokers differ; this much more is read."""
TIME_LIMIT = 120.0
"""Seconds without a record read; how long it takes in all depends on how much was written."""
JUMP = 2_000
"""Records read over on the way to a pending one; further away it is sought."""


@dataclass
class Restored:
    """What the former owners of a partition have finished, what they left open, and their checkpoint to go on from."""

    marks: Marks
    pending: dict[str, Pending]
    ledger: Ledger
    checkpointed: int


def dead_letter_mark(topic: str, partition: int, offset: int) -> str:
    """Name an undecodable record, which has no event id."""
    return f"{topic}/{partition}/{offset}"


def apply_enriched(
    pending: dict[str, Pending],
    key: bytes | None,
    value: bytes,
    headers: Iterable[tuple[str, bytes]],
    offset: int,
) -> tuple[bytes, ...]:
    """Return the marks that a record of the enriched topic is, and note in `pending` what it opens or completes.

    Only headers are read, but for a pending event.
    """
    event_id = created = b""
    status, revision = b"", b"0"
    for name, content in headers:
        if name == "event-id":
            event_id = content
        elif name == "revision":
            revision = content
        elif name == "status":
            status = content
        elif name == CREATED:
            created = content
    if not event_id:
        return ()  # not written by us
    if revision == b"1":
        pending.pop(event_id.decode(), None)
        return ()
    if status == b"pending":
        pending[event_id.decode()] = pending_of(key, value, offset)
    return marks_of(event_id.decode(), created.decode())


async def restore(partition: int, group: str, topics: Topics, client: dict[str, Any], window: timedelta) -> Restored:
    """Return the marks and open pendings of a partition as its fenced former owners left them.

    Call it after fencing: then the last stable offset is behind everything a former owner has committed.
    """
    consumer = AIOKafkaConsumer(
        **client,
        group_id=group,  # to look up its committed offset; with assign() it never joins
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="none",
        max_partition_fetch_bytes=4 * 1024 * 1024,
    )
    async with asyncio.timeout(TIME_LIMIT) as bound:
        await consumer.start()
        try:
            return await _Reading(consumer, partition, topics, window, bound).read()
        finally:
            await consumer.stop()


class _Reading:
    """One partition being restored."""

    def __init__(
        self, consumer: AIOKafkaConsumer, partition: int, topics: Topics, window: timedelta, bound: asyncio.Timeout
    ) -> None:
        self._consumer = consumer
        self._bound = bound
        self._partition = partition
        self._window = window
        self._topics = topics
        self._raw = TopicPartition(topics.raw, partition)
        self._enriched = TopicPartition(topics.enriched, partition)
        self._letters = TopicPartition(topics.dead_letters, partition)
        self._kept = TopicPartition(topics.marks, partition)
        self._marks = Marks(window)
        self._pending: dict[str, Pending] = {}
        self._marks_since = 0.0
        """Records of before this time (seconds since 1970) are read for what is pending only."""

    async def read(self) -> Restored:
        """Read the checkpoint, where it is of use, and the topics from where it ends."""
        partitions = [self._raw, self._enriched, self._letters, self._kept]
        self._consumer.assign(partitions)
        ends = await self._consumer.end_offsets(partitions)
        needed = await self._next_received_at(ends[self._raw]) - self._window
        stored = await self._stored(ends[self._kept])
        head, old = stored.head(self._partition), stored.head(self._partition)
        if head and head.enriched > ends[self._enriched]:
            log.info("checkpoint_of_no_use", partition=self._partition, enriched=head.enriched)
            head = None
        if head:
            for segment in sorted(head.segments, key=lambda each: each.minute):
                self._marks.add(stored.marks(self._partition, segment), segment.minute * MINUTE)
            await self._read_pending(head.pending)
        checkpointed = len(self._marks)
        if head and head.since <= needed.timestamp():
            first, letters = head.enriched, head.letters
        else:
            since = needed - SLACK
            self._marks_since = since.timestamp()
            first, letters = [await self._offset(each, since) for each in (self._enriched, self._letters)]
            # Nobody but a checkpoint knows what is pending, and that may be older than any mark.
            first = min(first, head.enriched if head else await self._offset(self._enriched, _oldest_pending()))
            # What it holds stays all the same: marks that moved here when the topics grew stand nowhere else.
            number = old.next_segment if old else 0
            head = replace(head or Head(0, 0, 0.0, next_segment=number), since=max(0.0, needed.timestamp()))
            log.info("topics_read_again", partition=self._partition, since=head.since, checkpointed=checkpointed)
        if head.pending_since is not None:
            first = min(first, head.pending_since)
        stale = {int(key.rpartition(b"/")[2]) for key in stored.values if not key.endswith(b"/head")}
        ledger = Ledger(self._partition, self._topics, head, stale - {each.number for each in head.segments})
        await self._tail(first, letters, ends, ledger)
        ledger.reached(self._topics.enriched, ends[self._enriched])
        ledger.reached(self._topics.dead_letters, ends[self._letters])
        return Restored(self._marks, self._pending, ledger, checkpointed)

    async def _tail(self, first: int, letters: int, ends: dict[TopicPartition, int], ledger: Ledger) -> None:
        now = datetime.now(UTC).timestamp()
        async for records in self._records(self._enriched, first, ends[self._enriched]):
            found: list[bytes] = []
            for record in records:
                found += apply_enriched(self._pending, record.key, record.value, record.headers, record.offset)
            # All at once, by the time of the last: a batch is some seconds at most.
            if found and records[-1].timestamp / 1000 >= self._marks_since:
                self._marks.add(found, min(records[-1].timestamp / 1000, now))
                ledger.wrote(found, self._marks.newest)
        async for records in self._records(self._letters, letters, ends[self._letters]):
            for record in records:
                headers = as_text(record.headers)
                if headers.get("stage") == "stream" and headers.get("source-topic") == self._raw.topic:
                    mark = dead_letter_mark(self._raw.topic, self._partition, int(headers["source-offset"]))
                    marks = (digest(mark),)
                    self._marks.add(marks, min(record.timestamp / 1000, now))
                    ledger.wrote(marks, self._marks.newest)

    async def _read_pending(self, offsets: Iterable[int]) -> None:
        """Read the records that a checkpoint lists as pending."""
        wanted = sorted(offsets)
        first = (await self._consumer.beginning_offsets([self._enriched]))[self._enriched]
        runs: list[list[int]] = []
        for offset in wanted:
            if offset >= first and runs and offset - runs[-1][-1] < JUMP:
                runs[-1].append(offset)
            elif offset >= first:
                runs.append([offset])
        for run in runs:
            listed = set(run)
            async for records in self._records(self._enriched, run[0], run[-1] + 1):
                for record in records:
                    if record.offset in listed:
                        apply_enriched(self._pending, record.key, record.value, record.headers, record.offset)

    async def _next_received_at(self, end: int) -> datetime:
        """Return when the first record we shall read was received; after an outage that is long ago."""
        now = datetime.now(UTC)
        committed = await self._consumer.committed(self._raw)
        first = (await self._consumer.beginning_offsets([self._raw]))[self._raw]
        async for records in self._records(self._raw, max(first, committed or 0), end):
            if records:
                headers = RawHeaders.from_kafka(records[0].headers)
                at = headers.received_at if headers else datetime.fromtimestamp(records[0].timestamp / 1000, UTC)
                return min(now, at)
        return now

    async def _stored(self, end: int) -> Stored:
        first = (await self._consumer.beginning_offsets([self._kept]))[self._kept]
        stored = Stored()
        async for records in self._records(self._kept, first, end):
            for record in records:
                stored.put(record.key, record.value)
        return stored

    async def _offset(self, partition: TopicPartition, since: datetime) -> int:
        """Return the first offset appended at `since` or later; the end where there is none."""
        found = await self._consumer.offsets_for_times({partition: max(0, int(since.timestamp() * 1000))})
        if found[partition] is not None:
            return int(found[partition].offset)
        return int((await self._consumer.end_offsets([partition]))[partition])

    async def _records(self, partition: TopicPartition, first: int, end: int) -> AsyncIterator[list[ConsumerRecord]]:
        """Yield the committed records from one offset up to another."""
        if first >= end:
            return
        self._consumer.pause(*(self._consumer.assignment() - {partition}))
        self._consumer.resume(partition)
        self._consumer.seek(partition, first)
        # Transaction markers take offsets too: the position passes them, a count of records never would.
        while await self._consumer.position(partition) < end:
            if records := (await self._consumer.getmany(partition, timeout_ms=200)).get(partition):
                self._bound.reschedule(asyncio.get_running_loop().time() + TIME_LIMIT)
                yield records


def _oldest_pending() -> datetime:
    return datetime.now(UTC) - LIFETIME - SLACK
