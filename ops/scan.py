"""Read what a topic holds between two moments, once, and stop at its end."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError

from events.errors import NotReady
from events.settings import KafkaSettings

AT_A_TIME = 2_000
FETCH = 8 * 1024 * 1024
"""Bytes of one partition in an answer of a broker."""
AT_THE_END = 20
"""Milliseconds a broker waits for more where there is none: it holds up the next span, and we read what is there."""

Progress = Callable[[int, int], None]
"""Takes how many offsets have been passed, and of how many."""


class Unreachable(NotReady):
    """The cluster does not answer just now."""


@dataclass(frozen=True)
class Span:
    """Offsets of a partition, the end not included."""

    start: int
    end: int

    @property
    def size(self) -> int:
        """How many offsets these are."""
        return max(0, self.end - self.start)


async def scan(
    kafka: KafkaSettings,
    topic: str,
    *,
    since: datetime | None = None,
    partitions: Collection[int] | None = None,
    progress: Progress = lambda _passed, _all: None,
) -> AsyncGenerator[ConsumerRecord, None]:
    """Yield the records appended since a moment, up to the end as it is now; of a partition in their order.

    Only what is committed is seen. Whoever stops before the end closes it (`contextlib.aclosing`). Raises Unreachable,
    and NotReady when there is no such topic.
    """
    async with reading(kafka) as reader:
        there = await reader.partitions(topic)
        spans = await reader.spans([each for each in there if partitions is None or each.partition in partitions])
        if since is not None:
            starts = await reader.places(spans, since)
            spans = {each: Span(starts[each], span.end) for each, span in spans.items()}
        async for record in reader.records(spans, progress):
            yield record


@asynccontextmanager
async def reading(kafka: KafkaSettings) -> "AsyncIterator[Reader]":
    """Connect, for several reads. Raises Unreachable, also later when the cluster goes away."""
    consumer = AIOKafkaConsumer(
        **kafka.client_options(),
        group_id=None,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",  # what retention takes while we read is gone, and nothing else can be said of it
        max_partition_fetch_bytes=FETCH,
        fetch_max_wait_ms=AT_THE_END,
    )
    try:
        await consumer.start()
        await asyncio.sleep(0)  # stopped before its own task has begun, aiokafka raises CancelledError
        yield Reader(kafka, consumer)
    except KafkaConnectionError as error:
        raise Unreachable(f"Kafka does not answer at {kafka.bootstrap_servers}.") from error
    finally:
        await consumer.stop()


class Reader:
    """Reads spans of partitions, one call after the other; only what is committed is seen."""

    def __init__(self, kafka: KafkaSettings, consumer: AIOKafkaConsumer) -> None:
        self._kafka = kafka
        self._consumer = consumer
        self._topics: dict[str, int] = {}

    async def partitions(self, topic: str) -> list[TopicPartition]:
        """Return the topic's partitions; a consumer knows them only of topics it subscribes to.

        Raises NotReady when there is no such topic.
        """
        if topic not in self._topics:
            self._topics = await self._sizes()
        if topic not in self._topics:
            raise NotReady(f"Topic {topic} does not exist; run `tocsin topics create`.")
        return [TopicPartition(topic, number) for number in range(self._topics[topic])]

    async def topics(self) -> Collection[str]:
        """Return the names of all topics that there are, asked anew; those that this user may not see are left out."""
        self._topics = await self._sizes()
        return self._topics.keys()

    async def _sizes(self) -> dict[str, int]:
        # All topics: a question about one that is missing would create it where the cluster does so by itself.
        admin = AIOKafkaAdminClient(**self._kafka.client_options())
        try:
            await admin.start()
            described = await admin.describe_topics()
        finally:
            await admin.close()
        return {each["topic"]: len(each["partitions"]) for each in described if not each["error_code"]}

    async def spans(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, Span]:
        """Return what the partitions hold: from the first record kept to the last that is committed."""
        starts = await self._consumer.beginning_offsets(partitions)
        ends = await self._consumer.end_offsets(partitions)
        return {each: Span(starts[each], ends[each]) for each in partitions}

    async def places(self, spans: Mapping[TopicPartition, Span], moment: datetime) -> dict[TopicPartition, int]:
        """Return the first offset appended at a moment or later, the span's end where there is none."""
        found = await self._consumer.offsets_for_times(dict.fromkeys(spans, max(0, int(moment.timestamp() * 1000))))
        return {each: found[each].offset if found[each] else span.end for each, span in spans.items()}

    async def records(
        self, spans: Mapping[TopicPartition, Span], progress: Progress = lambda _passed, _all: None
    ) -> AsyncGenerator[ConsumerRecord, None]:
        """Yield the records of the spans; of a partition in their order."""
        left = {each for each, span in spans.items() if span.size}
        if not left:
            return
        self._consumer.assign(list(left))
        for each in left:
            self._consumer.seek(each, spans[each].start)
        total = sum(span.size for span in spans.values())
        while left:
            batch = await self._consumer.getmany(*left, timeout_ms=500, max_records=AT_A_TIME)
            for partition, records in batch.items():
                for record in records:
                    if record.offset < spans[partition].end:
                        yield record
            places = {each: await self._consumer.position(each) for each in left}
            left = {each for each, place in places.items() if place < spans[each].end}
            progress(total - sum(spans[each].end - places[each] for each in left), total)
