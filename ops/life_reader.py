"""Read what Kafka, the archive and this host's spool hold about one entity key, from a few places and not from all."""

import asyncio
import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiokafka import ConsumerRecord, TopicPartition

from events.headers import RawHeaders, as_text, parse_time
from events.settings import KafkaSettings
from events.topics import Topics
from ingest.partitioner import partition_of
from ops import archive_index, spool_look
from ops.archive_index import Found
from ops.scan import Reader, Span, reading
from sinks.archive.storage import Root

LIMIT = 50_000
"""Offsets of one topic that are read at most, unless a --since asks for more."""
TAIL = 20_000
"""Offsets at the end of a partition that are read in any case: what is new may not be linked to anything yet."""
BEFORE, AFTER = timedelta(seconds=30), timedelta(hours=1)
"""Around a record that is known, how long before and after it others tell of it: copies, receipts."""
NEAR = 5_000
"""Offsets before and after it, at most: where much is going on, an hour is a long way."""
MOMENTS = 50
"""Known records that get spans of their own; of more, the first and the last do."""
ARCHIVE_SECONDS = 2.0


@dataclass
class Bound:
    """How much of a topic's partition was read, and chosen how."""

    topic: str
    partition: int
    read: int
    of: int
    how: str


@dataclass
class Material:
    """Everything found that carries the key."""

    key: str
    partition: int
    raw: list[ConsumerRecord] = field(default_factory=list)
    enriched: list[ConsumerRecord] = field(default_factory=list)
    receipts: list[ConsumerRecord] = field(default_factory=list)
    letters: list[ConsumerRecord] = field(default_factory=list)
    """Of the whole span: the ledger's entries carry no key of their own."""
    redeliveries: list[ConsumerRecord] = field(default_factory=list)
    archived: Found = field(default_factory=Found)
    spooled: list[RawHeaders] = field(default_factory=list)
    bounds: list[Bound] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


async def read(
    kafka: KafkaSettings,
    key: str,
    since: datetime | None,
    root: Root | None,
    spool: Path | None,
    partitions: int = 0,
) -> Material:
    """Read what there is about a key, or was when the topics had so many partitions. Raises NotReady, BrokenManifest."""
    topics = Topics(kafka.topic_prefix)
    async with reading(kafka) as reader:
        count = partitions or len(await reader.partitions(topics.raw))
        material = Material(key, partition_of(key.encode(), count))
        if root:
            material.archived = archive_index.search(
                root, topics.enriched, [material.partition], ["alert_uuid"], key, ARCHIVE_SECONDS, first=False
            )
        if spool:
            _look_into_spool(material, spool, topics.raw)
        one = _Partition(reader, material, since)
        material.enriched = await one.enriched(topics.enriched)
        came = [_received(record) for record in material.enriched] + [row.received_at for row in material.archived.rows]
        written = [_time(record) for record in material.enriched]
        # Not only around its arrival: what waited in a spool came to the topic just before it was enriched.
        material.raw = await one.around(topics.raw, {*came, *written})
        material.redeliveries = await one.last(topics.redeliveries)
        again = [_time(record) for record in material.redeliveries]
        gone = [row.received_at for row in material.archived.rows if row.offset < one.kept]
        material.receipts = await one.around(topics.deliveries, {*written, *again, *gone})
        material.letters = await one.last(topics.dead_letters, every=True)
    return material


class _Partition:
    """One partition of several topics."""

    def __init__(self, reader: Reader, material: Material, since: datetime | None) -> None:
        self._reader = reader
        self._material = material
        self._since = since
        self.kept = 0
        """First offset of the enriched topic that Kafka still has."""

    async def enriched(self, topic: str) -> list[ConsumerRecord]:
        """Read the places the archive names and what it does not have yet; without an archive, the newest."""
        place, span = await self._span(topic)
        self.kept = span.start
        found = self._material.archived
        number = self._material.partition
        if self._since or number not in found.next_offsets:
            return await self.last(topic, limit=LIMIT)
        tail = Span(max(span.start, found.next_offsets[number], span.end - LIMIT), span.end)
        known = [Span(row.offset, row.offset + 1) for row in found.rows if row.offset >= span.start]
        how = f"{len(known)} places the archive names, and what came after it"
        return await self._read(place, [*known, tail], span, how)

    async def around(self, topic: str, moments: Collection[datetime]) -> list[ConsumerRecord]:
        """Read a while before and after each moment, and the newest."""
        if self._since or not moments:
            return await self.last(topic, limit=LIMIT)
        place, span = await self._span(topic)
        chosen = sorted(moments)
        if len(chosen) > MOMENTS:
            chosen = [*chosen[: MOMENTS // 2], *chosen[-MOMENTS // 2 :]]
        spans = [await self._near(place, span, moment) for moment in chosen]
        spans.append(Span(max(span.start, span.end - TAIL), span.end))
        return await self._read(place, spans, span, f"around {len(chosen)} known moments, and the newest")

    async def last(self, topic: str, *, limit: int = TAIL, every: bool = False) -> list[ConsumerRecord]:
        """Read the newest, or all since the moment that was asked for."""
        place, span = await self._span(topic)
        if self._since:
            start = (await self._reader.places({place: span}, self._since))[place]
            return await self._read(place, [Span(start, span.end)], span, "since the time given", every=every)
        newest = Span(max(span.start, span.end - limit), span.end)
        how = "all of it" if newest == span else f"the newest {limit:,}"
        return await self._read(place, [newest], span, how, every=every)

    async def _span(self, topic: str) -> tuple[TopicPartition, Span]:
        numbers = await self._reader.partitions(topic)
        place = TopicPartition(topic, self._material.partition % len(numbers))
        return place, (await self._reader.spans([place]))[place]

    async def _near(self, place: TopicPartition, span: Span, moment: datetime) -> Span:
        times = (moment - BEFORE, moment, moment + AFTER)
        found = await asyncio.gather(*(self._reader.places({place: span}, time) for time in times))
        first, at, last = (each[place] for each in found)
        return Span(max(first, at - NEAR), min(last, at + NEAR))

    async def _read(
        self, place: TopicPartition, spans: Iterable[Span], whole: Span, how: str, *, every: bool = False
    ) -> list[ConsumerRecord]:
        found: list[ConsumerRecord] = []
        read = 0
        key = self._material.key.encode()
        limit = None if self._since else LIMIT
        for span in merged(spans, limit):
            read += span.size
            records = self._reader.records({place: span})
            found += [record async for record in records if every or record.key == key]
        self._material.bounds.append(Bound(place.topic, place.partition, read, whole.size, how))
        return found


def merged(spans: Iterable[Span], limit: int | None = None) -> list[Span]:
    """Return spans in order that touch nowhere, the newest of them within the limit."""
    joined: list[Span] = []
    for span in sorted((each for each in spans if each.size), key=lambda each: each.start):
        if joined and span.start <= joined[-1].end:
            joined[-1] = Span(joined[-1].start, max(joined[-1].end, span.end))
        else:
            joined.append(span)
    if limit is None:
        return joined
    kept: list[Span] = []
    for span in reversed(joined):
        cut = Span(max(span.start, span.end - limit), span.end)
        if cut.size:
            kept.append(cut)
        limit -= cut.size
    return kept[::-1]


def _look_into_spool(material: Material, spool: Path, topic: str) -> None:
    try:
        material.spooled = spool_look.holding(spool, topic, material.key.encode())
    except sqlite3.Error as error:
        material.notes.append(f"the spool in {spool} cannot be read just now ({error})")


def _received(record: ConsumerRecord) -> datetime:
    return parse_time(as_text(record.headers).get("received-at")) or _time(record)


def _time(record: ConsumerRecord) -> datetime:
    return datetime.fromtimestamp(record.timestamp / 1000, UTC)
