"""What was found afterwards: every record of every topic, every card at the receiver, every row of the archive."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from events.codec import decode_enriched, decode_receipt
from events.headers import as_text
from events.records import EnrichedEvent
from events.settings import KafkaSettings
from events.topics import Topics


@dataclass(frozen=True)
class Raw:
    """A record of the raw topic."""

    partition: int
    offset: int
    event_id: str
    kind: str
    value: bytes | None
    key: bytes | None = None


@dataclass(frozen=True)
class Enriched:
    """A record of the enriched topic."""

    partition: int
    offset: int
    event: EnrichedEvent
    key: bytes | None = None


@dataclass(frozen=True)
class Letter:
    """A dead letter: where it came from, and the original bytes."""

    stage: str
    source: tuple[str, int, int]
    value: bytes | None


@dataclass(frozen=True)
class Posted:
    """A card that the receiver accepted; `at` in Unix seconds."""

    event_id: str
    at: float


@dataclass(frozen=True)
class Received:
    """A receipt; `at` is the broker's or producer's time in Unix seconds."""

    event_id: str
    outcome: str
    at: float


@dataclass(frozen=True)
class Kill:
    """A kill -9: of what, when, and when it was back; Unix seconds."""

    room: str
    at: float
    back: float


@dataclass
class Evidence:
    """Everything the oracle looks at."""

    raw: list[Raw] = field(default_factory=list)
    enriched: list[Enriched] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    receipts: list[Received] = field(default_factory=list)
    posts: list[Posted] = field(default_factory=list)
    rows: list[tuple[str, int]] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)


async def from_topics(kafka: KafkaSettings, *, whole: bool = True) -> Evidence:
    """Read all topics from their first offset, `read_committed`; unless `whole`, keep only the uuid of each alert."""
    names, evidence = Topics(kafka.topic_prefix), Evidence()
    async for record in _records(kafka, names.raw):
        headers = as_text(record.headers)
        event_id, kind = headers.get("event-id", ""), headers.get("event-id-kind", "")
        evidence.raw.append(Raw(record.partition, record.offset, event_id, kind, record.value, record.key))
    async for record in _records(kafka, names.enriched):
        event = decode_enriched(record.value)
        event = event if whole else _slim(event)
        evidence.enriched.append(Enriched(record.partition, record.offset, event, record.key))
    async for record in _records(kafka, names.dead_letters):
        headers = as_text(record.headers)
        source = (headers["source-topic"], int(headers["source-partition"]), int(headers["source-offset"]))
        evidence.letters.append(Letter(headers["stage"], source, record.value))
    async for record in _records(kafka, names.deliveries):
        receipt = decode_receipt(record.value)
        evidence.receipts.append(Received(receipt.event_id, receipt.outcome, record.timestamp / 1000))
    return evidence


def _slim(event: EnrichedEvent) -> EnrichedEvent:
    """Forget what makes a hundred thousand records fill the memory."""
    return event.model_copy(update={"alert": event.alert and {"uuid": event.alert.get("uuid")}})


async def _records(kafka: KafkaSettings, topic: str) -> AsyncIterator[ConsumerRecord]:
    consumer = AIOKafkaConsumer(
        **kafka.client_options(), isolation_level="read_committed", enable_auto_commit=False, auto_offset_reset="none"
    )
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(kafka.partitions)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    yield record
    finally:
        await consumer.stop()


def archived_rows(root: Path, topic: str) -> list[tuple[str, int]]:
    """Return (event id, revision) of every row that the archive's manifest lists."""
    rows: list[tuple[str, int]] = []
    entries: list[dict[str, Any]] = [
        orjson.loads(path.read_bytes()) for path in sorted((root / "manifest" / topic).glob("*/*.json"))
    ]
    replaced = {path for entry in entries for path in entry.get("replaces", ())}
    for entry in entries:
        for file in entry["files"]:
            if file["path"] in replaced:
                continue
            table = pq.read_table(root / file["path"], columns=["event_id", "revision"])
            rows += zip(table["event_id"].to_pylist(), table["revision"].to_pylist(), strict=True)
    return rows
