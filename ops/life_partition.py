"""Reads of one partition of several topics what there is about a key: a few places of it, and the archive beside."""

import asyncio
from asyncio import Future
from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta

from aiokafka import ConsumerRecord, TopicPartition

from events.topics import Topics
from ops import life, life_archive
from ops.life_archive import Looked
from ops.life_material import Bound, Material
from ops.scan import Reader, Span
from sinks.archive import layout
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
OTHERS_SECONDS, OTHERS_SECONDS_SINCE = 0.8, 120.0
"""How long webhooks and receipts are looked for in the archive, at once and while Kafka is read; a --since takes more."""


class Partition:
    """One partition of several topics."""

    def __init__(self, reader: Reader, material: Material, since: datetime | None) -> None:
        self._reader = reader
        self._material = material
        self._since = since
        self._from: dict[str, int] = {}
        """By topic, the offset from which on everything was read, up to the end."""
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

    async def around(
        self, topic: str, moments: Collection[datetime], *, begin: int | None = None
    ) -> list[ConsumerRecord]:
        """Read a while before and after each moment, and the newest, those from `begin` on among them."""
        if self._since or not moments:
            return await self.last(topic, limit=LIMIT)
        place, span = await self._span(topic)
        chosen = sorted(moments)
        if len(chosen) > MOMENTS:
            chosen = [*chosen[: MOMENTS // 2], *chosen[-MOMENTS // 2 :]]
        spans = [await self._near(place, span, moment) for moment in chosen]
        newest = span.end - TAIL if begin is None else min(span.end - TAIL, begin)
        spans.append(Span(max(span.start, newest), span.end))
        return await self._read(place, spans, span, f"around {len(chosen)} known moments, and the newest")

    async def aside(self, root: Root, topics: Topics, came: Collection[datetime]) -> "Future[tuple[Looked, Looked]]":
        """Begin to look for webhooks and receipts in the archive, while Kafka is read."""
        material = self._material
        seconds = OTHERS_SECONDS_SINCE if self._since else OTHERS_SECONDS
        places = [
            life_archive.Place(topic, (await self._span(topic))[0].partition, folder)
            for topic, folder in ((topics.raw, layout.RAW), (topics.deliveries, layout.DELIVERIES))
        ]
        rows = material.archived.rows
        known = [one.event for record in material.enriched if (one := life.revision(record, None))]
        tenants = {row.path.split("/")[1].removeprefix("tenant=") for row in rows}
        tenants |= {layout.tenant_segment(event.tenant) for event in known}
        events = {row.event_id for row in rows} | {event.event_id for event in known}
        key = material.key.encode()
        return asyncio.gather(
            asyncio.to_thread(life_archive.webhooks, root, places[0], key, tenants, came, seconds),
            asyncio.to_thread(life_archive.receipts, root, places[1], events, came, seconds),
        )

    async def receipts(self, topic: str, moments: Collection[datetime], looked: Looked) -> list[ConsumerRecord]:
        """Read receipts as `around` does, and those the archive does not have yet; note whether these are all."""
        place, span = await self._span(topic)
        archived = looked.next_offset if looked.whole else None
        if not moments:
            return await self.around(topic, moments)
        first = (await self._reader.places({place: span}, min(moments) - BEFORE))[place]
        within = first if span.end - first <= LIMIT else None
        found = await self.around(topic, moments, begin=within if archived is None else archived)
        needed = first if first > span.start or span.start == 0 else -1  # older ones may have left Kafka
        if archived is not None and archived >= span.start:
            needed = max(needed, min(archived, span.end))
        self._material.receipts_whole = self._from[topic] <= needed
        return found

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
        chosen = merged(spans, None if self._since else LIMIT)
        self._from[place.topic] = chosen[-1].start if chosen and chosen[-1].end >= whole.end else whole.end
        for span in chosen:
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


def written_at(record: ConsumerRecord) -> datetime:
    """Return when a record was written."""
    return datetime.fromtimestamp(record.timestamp / 1000, UTC)
