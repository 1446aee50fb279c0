"""`tocsin reprocess`: what came in goes through the current stream once more, under a prefix of its own, and is compared."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer, TopicPartition

from events.headers import RawHeaders, as_text
from events.settings import KafkaSettings
from events.topics import Topics
from ops.archive_files import listed
from ops.archive_rows import Wanted, rows
from ops.scan import Progress, Reader, Span, reading
from sinks.archive.storage import Root
from stream.restore import SLACK

AT_ONCE = 500
"""Records under way to the brokers."""


class Raw(NamedTuple):
    """A raw record, from Kafka or the archive; the time in milliseconds."""

    at: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


@dataclass(frozen=True)
class Asked:
    """What is gone through again, and where to."""

    since: datetime
    until: datetime
    prefix: str
    root: Root | None = None
    """The archive, for what Kafka has no more."""


@dataclass
class Compared:
    """What was made of the raw records then, and what is made of them now."""

    raw: int = 0
    events: set[str] = field(default_factory=set)
    """Ids of the raw records; those that ingest did not write have none."""
    before: dict[str, str] = field(default_factory=dict)
    """Status by event, of what the stream made then."""
    now: dict[str, str] = field(default_factory=dict)
    letters: int = 0
    """Dead letters of now."""
    known_since: datetime | None = None
    """What was made before has left Kafka, and the archive has not all of it; None where all is known."""

    def statuses(self) -> list[tuple[str, str, int]]:
        """Return how many events went from which status to which."""
        pairs = Counter((self.before.get(event, "nothing"), self.now.get(event, "nothing")) for event in self._all())
        return sorted((before, now, count) for (before, now), count in pairs.items())

    def only_now(self) -> list[str]:
        """Return events of which nothing was made then."""
        return sorted(self.now.keys() - self.before.keys())

    def only_before(self) -> list[str]:
        """Return events of which nothing is made now."""
        return sorted((self.before.keys() & self.events) - self.now.keys())

    def _all(self) -> set[str]:
        return (self.before.keys() & self.events) | self.now.keys()


async def copy(kafka: KafkaSettings, asked: Asked, progress: Progress) -> Compared:
    """Put the raw records of a span under the prefix, each where it was: partition, key, time and headers.

    Its topics must be there. Raises NotReady, BrokenManifest.
    """
    target, found = Topics(asked.prefix).raw, Compared()
    async with (
        reading(kafka) as reader,
        AIOKafkaProducer(**kafka.client_options(), acks="all", enable_idempotence=True, linger_ms=5) as producer,
    ):
        places = await reader.partitions(Topics(kafka.topic_prefix).raw)
        for place in places:
            waiting: list[asyncio.Future[Any]] = []
            async for record in _raw(reader, place, asked):
                waiting.append(
                    await producer.send(
                        target,
                        record.value,
                        record.key,
                        place.partition,
                        timestamp_ms=record.at,
                        headers=record.headers,
                    )
                )
                if len(waiting) == AT_ONCE:
                    await asyncio.gather(*waiting)
                    waiting = []
                found.raw += 1
                if headers := RawHeaders.from_kafka(record.headers):
                    found.events.add(headers.event_id)
            await asyncio.gather(*waiting)
            progress(place.partition + 1, len(places))
    return found


async def count(kafka: KafkaSettings, asked: Asked, progress: Progress) -> int:
    """Return how many raw records there are in the span. Raises as `copy` does."""
    found = 0
    async with reading(kafka) as reader:
        places = await reader.partitions(Topics(kafka.topic_prefix).raw)
        for place in places:
            async for _ in _raw(reader, place, asked):
                found += 1
            progress(place.partition + 1, len(places))
    return found


async def compare(kafka: KafkaSettings, asked: Asked, copied: Compared) -> Compared:
    """Read what the stream made then and now of what was copied. Raises NotReady, BrokenManifest."""
    home, own = Topics(kafka.topic_prefix), Topics(asked.prefix)
    found = Compared(copied.raw, copied.events)
    async with reading(kafka) as reader:
        for place in await reader.partitions(own.enriched):
            await _statuses(reader, place, None, found.now)
        for place in await reader.partitions(home.enriched):
            await _then(reader, place, asked, found)
        for place in await reader.partitions(own.dead_letters):
            found.letters += len([1 async for _ in reader.records(await reader.spans([place]))])
    return found


async def _then(reader: Reader, place: TopicPartition, asked: Asked, found: Compared) -> None:
    """Read what the stream made then: what left Kafka from the archive, and since when all is known."""
    kept, since = (await reader.spans([place]))[place], asked.since - SLACK
    start = (await reader.places({place: kept}, since))[place]
    known = True
    if 0 < start == kept.start:
        left, wanted = Span(0, kept.start), Wanted("received_at", since)
        known = False
        if asked.root:
            columns = ["event_id", "enrichment_status"]
            for row in rows(asked.root, place.topic, place.partition, left, columns, wanted):
                found.before[row["event_id"]] = row["enrichment_status"] or ""
            archive = listed(asked.root, place.topic, place.partition, left, since)
            known = archive.next_offset >= kept.start and not archive.begin
    first = await _statuses(reader, place, start, found.before)
    if not known:
        at = datetime.fromtimestamp(first / 1000, UTC) if first else datetime.now(UTC)
        found.known_since = max(at, found.known_since or at)


async def _statuses(reader: Reader, place: TopicPartition, start: int | None, found: dict[str, str]) -> int | None:
    """Note the status of each event's last revision, and return the time of the first record, in milliseconds."""
    first = None
    kept = (await reader.spans([place]))[place]
    async for record in reader.records({place: Span(kept.start if start is None else start, kept.end)}):
        first = first or record.timestamp
        headers = as_text(record.headers)
        if "event-id" in headers:
            found[headers["event-id"]] = headers.get("status", "")
    return first


async def _raw(reader: Reader, place: TopicPartition, asked: Asked) -> AsyncIterator[Raw]:
    """Yield the records of the span in order: what left Kafka from the archive, the rest from Kafka."""
    kept = (await reader.spans([place]))[place]
    if asked.root and kept.start:
        for record in archived(asked.root, place, kept.start, asked.since, asked.until):
            yield record
    start = (await reader.places({place: kept}, asked.since))[place]
    async for record in reader.records({place: Span(start, kept.end)}):
        if record.timestamp < asked.until.timestamp() * 1000:
            yield Raw(record.timestamp, record.key, record.value, list(record.headers))


def archived(root: Root, place: TopicPartition, below: int, since: datetime, until: datetime) -> Iterator[Raw]:
    """Yield what the archive has of the raw topic in a span of time below an offset. Raises BrokenManifest, Unreadable."""
    columns, wanted = ["appended_at", "key", "value", "headers"], Wanted("appended_at", since, until)
    for row in rows(root, place.topic, place.partition, Span(0, below), columns, wanted):
        headers = [(header["name"], header["value"]) for header in row["headers"]]
        yield Raw(round(row["appended_at"].timestamp() * 1000), row["key"], row["value"], headers)
