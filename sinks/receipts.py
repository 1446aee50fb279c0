"""What a sink writes: a receipt per event, and dead letters; and which events have a receipt already."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from events.codec import decode_receipt, encode
from events.errors import MalformedRecord
from events.headers import DeadLetter
from events.records import Receipt
from events.settings import KafkaSettings
from events.topics import Topics
from sinks.memory import Memory

REMEMBERED = 50_000
"""Receipts kept per partition: those of a whole digest may lie beyond the committed offset."""

SKEW = timedelta(minutes=10)
"""Enriched records carry the broker's time and receipts ours; clocks further apart may repeat what was in flight."""

_NOT_YET = timedelta(-1), 0


class Placed(Protocol):
    """Where a record lies, and its key."""

    @property
    def topic(self) -> str:
        """Its topic."""

    @property
    def partition(self) -> int:
        """Its partition in its topic."""

    @property
    def offset(self) -> int:
        """Its place in the partition."""

    @property
    def key(self) -> bytes | None:
        """What keeps records of one alert together."""


class Record(Protocol):
    """What Kafka hands over, as far as a sink looks at it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class Ledger(Protocol):
    """Where outcomes are written; both return after the broker has them."""

    async def write(self, record: Record, receipt: Receipt) -> None:
        """Write what became of the record at the target."""

    async def write_all(self, receipts: Sequence[tuple[Placed, Receipt]]) -> None:
        """Write what became of several records."""

    async def bury(self, record: Record, letter: DeadLetter) -> None:
        """Write the record, byte for byte, to the dead letters."""

    def holds(self, record: Record, event_id: str, revision: int, replay_id: str | None = None) -> bool:
        """Say whether the event has a receipt of this target, and of this job where one sends it again."""


class Receipts:
    """The ledger of one target, in Kafka."""

    def __init__(
        self,
        kafka: KafkaSettings,
        target: str,
        producer: AIOKafkaProducer,
        memory: Memory | None = None,
        remembers: Callable[[], timedelta] = timedelta,
    ) -> None:
        """Take a memory to keep, and what says how far back it must reach."""
        self._memory = Memory() if memory is None else memory
        self._remembers = remembers
        self._kafka = kafka
        self._topics = Topics(kafka.topic_prefix)
        self._target = target
        self._producer = producer
        self._restored: dict[int, tuple[timedelta, int]] = {}
        self._known: dict[int, dict[bytes, None]] = {}
        self._partitions = 0

    async def open(self) -> None:
        """Learn how many partitions the receipts have."""
        self._partitions = len(await self._producer.partitions_for(self._topics.deliveries))

    async def write(self, record: Record, receipt: Receipt) -> None:
        """Write a receipt; it lies in the partition of the record's number, where `restore` looks for it."""
        place = self._place(record.partition)
        await self._producer.send_and_wait(self._topics.deliveries, encode(receipt), key=record.key, partition=place)
        # An event can be sent again twice by one job: a sink that is killed may have buried it twice.
        self._written(place, record, receipt)

    async def write_all(self, receipts: Sequence[tuple[Placed, Receipt]]) -> None:
        """Write the receipts of a digest, each partition's in batches: one by one they would cost several times as much."""
        by_place: dict[int, list[tuple[bytes | None, bytes]]] = {}
        for record, receipt in receipts:
            place = self._place(record.partition)
            by_place.setdefault(place, []).append((record.key, encode(receipt)))
            self._written(place, record, receipt)
        await asyncio.gather(*(self._send(place, rows) for place, rows in by_place.items()))

    async def _send(self, place: int, rows: Sequence[tuple[bytes | None, bytes]]) -> None:
        waiting, batch = [], self._producer.create_batch()
        for key, value in rows:
            if batch.append(timestamp=None, key=key, value=value) is None:  # it is full
                waiting.append(await self._producer.send_batch(batch, self._topics.deliveries, partition=place))
                batch = self._producer.create_batch()
                batch.append(timestamp=None, key=key, value=value)  # an empty one takes what is larger, too
        waiting.append(await self._producer.send_batch(batch, self._topics.deliveries, partition=place))
        await asyncio.gather(*waiting)

    async def bury(self, record: Record, letter: DeadLetter) -> None:
        """Write the record, byte for byte, to the dead letters."""
        await self._producer.send_and_wait(
            self._topics.dead_letters, record.value, key=record.key, headers=letter.to_kafka()
        )

    def holds(self, record: Record, event_id: str, revision: int, replay_id: str | None = None) -> bool:
        """Say whether `restore` found, or `write` wrote, a receipt of this event."""
        return _mark(event_id, revision, replay_id) in self._known.get(self._place(record.partition), ())

    def forget(self) -> None:
        """Drop what is known: the partitions are being handed over."""
        self._restored.clear()
        self._known.clear()
        self._memory.clear()

    async def restore(self, firsts: Mapping[int, Record]) -> None:
        """Read the receipts that may lie beyond the committed offset of partitions new to this worker.

        `firsts` holds, by partition number, the first record read there: its receipt cannot be older than itself. One that
        was taken out of turn may come before the first of its partition.
        """
        back = self._remembers()
        since: dict[TopicPartition, int] = {}
        for number, first in firsts.items():
            reach, begun = self._restored.get(number, _NOT_YET)
            time = max(first.timestamp - int((SKEW + back).total_seconds() * 1000), 0)
            # Rules that changed may remember longer than those for which a partition was read.
            if reach >= back and begun <= time:
                continue
            place = TopicPartition(self._topics.deliveries, self._place(number))
            since[place] = min(time, since.get(place, time))
            self._restored[number] = back, time
        if since:
            await self._read(since)

    async def _read(self, since: dict[TopicPartition, int]) -> None:
        consumer = AIOKafkaConsumer(
            **self._kafka.client_options(), group_id=None, enable_auto_commit=False, auto_offset_reset="none"
        )
        await consumer.start()
        try:
            consumer.assign(list(since))
            ends = await consumer.end_offsets(list(since))
            starts = await consumer.offsets_for_times(since)
            for partition, end in ends.items():
                consumer.seek(partition, starts[partition].offset if starts[partition] else end)
            while behind := [tp for tp, end in ends.items() if await consumer.position(tp) < end]:
                for partition, records in (await consumer.getmany(*behind, timeout_ms=200)).items():
                    self._remember(partition.partition, records)
        finally:
            await consumer.stop()

    def _remember(self, place: int, records: Sequence[Record]) -> None:
        mark = f'"target":"{self._target}"'.encode()
        for record in records:
            value = record.value
            if value is None or mark not in value:  # most are other targets': spare the decoding
                continue
            try:
                receipt = decode_receipt(value)
            except MalformedRecord:
                continue  # not ours: what we write can be read
            if receipt.target == self._target:
                self._note(place, receipt)
                self._memory.note(record.key, receipt)

    def _written(self, place: int, record: Placed, receipt: Receipt) -> None:
        if self._remembers():
            self._memory.note(record.key, receipt)
        self._note(place, receipt)

    def _note(self, place: int, receipt: Receipt) -> None:
        known = self._known.setdefault(place, {})
        known[_mark(receipt.event_id, receipt.revision, receipt.replay_id)] = None
        if len(known) > REMEMBERED:
            del known[next(iter(known))]

    def _place(self, number: int) -> int:
        """Return where receipts for an enriched partition lie: the same number, while the counts agree."""
        return number % self._partitions if self._partitions else number


def _mark(event_id: str, revision: int, replay_id: str | None) -> bytes:
    text = f"{event_id}\0{revision}\0{'' if replay_id is None else replay_id + '.'}"
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).digest()
