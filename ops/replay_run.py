"""Count what a replay would send, and send it: each record once, however often the job is stopped and gone on with."""

import asyncio
import time
from asyncio import Future
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import IllegalOperation, ProducerFenced

from events.codec import decode_enriched
from events.errors import MalformedRecord, NotReady
from events.headers import KafkaHeaders, as_text, enriched_headers, parse_time
from events.identity import identify
from events.settings import KafkaSettings
from events.topics import MAX_ENRICHED, Topics
from ops import replay_got, replay_topic
from ops.archive_rows import Wanted, rows
from ops.letters import JOB
from ops.replay import CAUSE, Counts, Got, Picking, Plan, Wants, doubt, marked, names
from ops.scan import Progress, Reader, Span, reading
from ops.visible import nothing_hidden
from sinks.archive.storage import Root
from stream.restore import SLACK

AT_A_TIME = 100
"""Records in one transaction."""
OPEN_FOR = 60.0
"""Seconds to wait for transactions of others on the redeliveries."""
SOURCE = "source-offset"
"""Header: where in the enriched topic the record lies; with the job's id it says what is done."""


class Found(NamedTuple):
    """An enriched record, from Kafka or the archive."""

    offset: int
    key: bytes | None
    value: bytes


class Replay:
    """One job against one cluster."""

    def __init__(self, kafka: KafkaSettings, plan: Plan, wants: Wants, root: Root | None) -> None:
        """Take the archive's folder too: what Kafka has no more is read there."""
        self._kafka, self._plan, self._wants, self._root = kafka, plan, wants, root
        self._topics = Topics(kafka.topic_prefix)
        self._out = plan.topic or self._topics.redeliveries
        self._empty = False

    async def count(self, progress: Progress) -> Counts:
        """Look at everything in the span. Raises NotReady, BrokenManifest."""
        counts = Counts()
        async with reading(self._kafka) as reader:
            places = await reader.partitions(self._topics.enriched)
            numbers = [each.partition for each in places]
            self._empty = bool(self._plan.topic) and not await replay_topic.is_there(self._kafka, reader, self._out)
            for done, number in enumerate(numbers, 1):
                picking = Picking(
                    self._plan, self._wants, await self._got(reader, number), await self._sent(reader, number)
                )
                async for record in self._records(reader, number):
                    if not names(self._plan.alert, record.value):
                        continue
                    try:
                        picking.take(decode_enriched(record.value), record.offset)
                    except MalformedRecord:
                        continue  # no target could take it either
                picking.add_to(counts, number)
                progress(done, len(numbers))
        return counts

    async def send(self, rate: float, progress: Progress, looking: Progress = lambda _n, _all: None) -> int:
        """Write what is to be sent, no faster than so many records a second; return how many.

        It looks once more first, when nobody else can be at the same job. Raises NotReady, also when the same job runs
        elsewhere, or some of it left Kafka before its turn came.
        """
        if self._plan.topic:
            await replay_topic.ensure(self._kafka, self._plan.topic)
        async with AIOKafkaProducer(
            **self._kafka.client_options(),
            transactional_id=f"{self._kafka.topic_prefix}replay-{self._plan.job}",  # fences off who is at this job
            acks="all",
            max_request_size=4 * MAX_ENRICHED,
        ) as producer:
            await nothing_hidden(self._kafka, self._out, OPEN_FOR)
            counts = await self.count(looking)
            if counts.doubtful:  # more receipts have left Kafka since it was counted for whoever said yes
                raise NotReady(doubt(self._plan, counts))
            pace = _Pace(rate)
            done = 0
            async for number, batch in self._batches(counts, int(max(1, min(AT_A_TIME, rate)))):
                await self._write(producer, number, batch)
                done += len(batch)
                progress(done, counts.left)
                await asyncio.sleep(pace.take(len(batch)))
        if done < counts.left:
            raise NotReady(
                f"{counts.left - done:,} records left Kafka before their turn came; where the archive has them, "
                f"tocsin replay --job {self._plan.job} sends them."
            )
        return done

    async def _batches(self, counts: Counts, size: int) -> AsyncIterator[tuple[int, list[Found]]]:
        async with reading(self._kafka) as reader:
            for number, picks in counts.picks.items():
                batch: list[Found] = []
                if not picks:
                    continue
                async for record in self._records(reader, number, Span(min(picks), max(picks) + 1)):
                    if record.offset in picks:
                        batch.append(record)
                    if len(batch) == size:
                        yield number, batch
                        batch = []
                if batch:
                    yield number, batch

    async def _write(self, producer: AIOKafkaProducer, number: int, batch: list[Found]) -> None:
        sent: list[Future[Any]] = []
        now = datetime.now(UTC)
        try:
            async with producer.transaction():
                for record in batch:
                    value, headers = marked(record.value, self._plan.job, now), self._headers(record)
                    sent.append(await producer.send(self._out, value, record.key, partition=number, headers=headers))
                await asyncio.gather(*sent)
        except (ProducerFenced, IllegalOperation):
            await asyncio.gather(*sent, return_exceptions=True)
            raise NotReady(f"Somebody else goes on with replay {self._plan.job}, so this stops.") from None

    def _headers(self, record: Found) -> list[tuple[str, bytes]]:
        """Return what says where the record is from; in a topic of one's own it has an enriched record's headers too."""
        marks = {"cause": CAUSE, JOB: self._plan.job, SOURCE: str(record.offset)}
        if self._plan.topic is None:
            marks["target"] = self._plan.target
        own = enriched_headers(decode_enriched(record.value)) if self._plan.topic else []
        return [*own, *((name, text.encode()) for name, text in marks.items())]

    async def _got(self, reader: Reader, number: int) -> Got:
        """Return the events that the target, or the topic, has."""
        if self._plan.topic:
            return Got(set() if self._empty else await replay_topic.events(reader, self._out, number))
        place = TopicPartition(self._topics.deliveries, number)
        return await replay_got.by_target(reader, place, self._plan.target, self._plan.span[0], self._root)

    async def _sent(self, reader: Reader, number: int) -> set[int]:
        """Return the offsets that this job has written already."""
        if self._empty:
            return set()
        sent = set()
        async for record in reader.records(await reader.spans([TopicPartition(self._out, number)])):
            headers = as_text(record.headers)
            if headers.get(JOB) == self._plan.job and headers.get("cause") == CAUSE:
                sent.add(int(headers[SOURCE]))
        return sent

    async def _records(self, reader: Reader, number: int, within: Span | None = None) -> AsyncIterator[Found]:
        """Yield the records of the span, or some of them: what left Kafka from the archive, the rest from Kafka.

        It goes on to the end of the topic: what came in long ago may have been enriched, or completed, just now.
        """
        since, until = self._plan.span
        place = TopicPartition(self._topics.enriched, number)
        kept = (await reader.spans([place]))[place]
        start = (await reader.places({place: kept}, since - SLACK))[place]
        within = within or Span(0, kept.end)
        if self._root and start == kept.start:  # else Kafka has what is older, too
            left = Span(within.start, min(kept.start, within.end))
            for record in archived(self._root, place, left, since, until) if left.size else ():
                yield record
        span = Span(max(start, within.start), min(kept.end, within.end))
        async for record in reader.records({place: span}):
            if record.value and _came(record.headers, since, until):
                yield Found(record.offset, record.key, record.value)


def _came(headers: KafkaHeaders, since: datetime, until: datetime) -> bool:
    """Say whether a record came in then, as far as its headers tell: there may be millions that did not."""
    at = parse_time(as_text(headers).get("received-at"))
    return at is None or since <= at < until


def archived(root: Root, place: TopicPartition, span: Span, since: datetime, until: datetime) -> Iterator[Found]:
    """Yield what the archive has of a span of time and offsets. Raises BrokenManifest, Unreadable."""
    wanted = Wanted("received_at", since, until)
    for row in rows(root, place.topic, place.partition, span, ["record"], wanted):
        value = row["record"].encode()
        yield Found(row["kafka_offset"], _key(value), value)


def _key(value: bytes) -> bytes:
    """Return the key the record had: the archive does not keep it, and ingest made it of the event."""
    event = decode_enriched(value)
    return identify(event.event.model_dump(), b"", event.event_id).key


class _Pace:
    """So many a second; what was not used while something else took long is not made up for in a burst."""

    def __init__(self, rate: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._monotonic, self._next = rate, monotonic, monotonic()

    def take(self, count: int) -> float:
        """Note so many, and return the seconds until the next may go."""
        now = self._monotonic()
        self._next = max(self._next, now) + count / self._rate
        return self._next - now
