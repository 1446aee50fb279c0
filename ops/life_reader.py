"""Read what Kafka, the archive and this host's spool hold about one entity key, from a few places and not from all."""

import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Any

from aiokafka import ConsumerRecord

from events.headers import as_text, parse_time
from events.settings import KafkaSettings
from events.topics import Topics
from ingest.partitioner import partition_of
from ops import archive_index, spool_look
from ops.life_archive import Looked
from ops.life_material import Material
from ops.life_partition import Partition, written_at
from ops.scan import reading
from sinks.archive.storage import Root

ARCHIVE_SECONDS, ARCHIVE_SECONDS_SINCE = 1.2, 120.0
"""How long enriched records are looked for in the archive; a --since asks for more and gets it."""


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
            seconds = ARCHIVE_SECONDS_SINCE if since else ARCHIVE_SECONDS
            material.archived = archive_index.search(
                root, topics.enriched, [material.partition], ["alert_uuid"], key, seconds, first=False
            )
        if spool:
            _look_into_spool(material, spool, topics.raw)
        one = Partition(reader, material, since)
        material.enriched = await one.enriched(topics.enriched)
        came = [_received(record) for record in material.enriched] + [row.received_at for row in material.archived.rows]
        written = [written_at(record) for record in material.enriched]
        aside = await one.aside(root, topics, came) if root else None
        # Not only around its arrival: what waited in a spool came to the topic just before it was enriched.
        material.raw = await one.around(topics.raw, {*came, *written})
        material.redeliveries = await one.last(topics.redeliveries)
        material.letters = await one.last(topics.dead_letters, every=True)
        webhooks, receipts = await aside if aside else (Looked(), Looked())
        again = [written_at(record) for record in material.redeliveries]
        gone = [row.received_at for row in material.archived.rows if row.offset < one.kept]
        material.receipts = await one.receipts(topics.deliveries, {*written, *again, *gone}, receipts)
    for looked, what in ((webhooks, "webhooks"), (receipts, "receipts")):
        _note(material, looked, what)
    material.raw = _with_archived(material.raw, webhooks)
    material.receipts = _with_archived(material.receipts, receipts)
    return material


def _with_archived(records: list[Any], looked: Looked) -> list[Any]:
    """Put what is only in the archive between the records of Kafka."""
    there = {record.offset for record in records}
    return sorted(
        [*records, *(each for each in looked.records if each.offset not in there)], key=lambda each: each.offset
    )


def _note(material: Material, looked: Looked, what: str) -> None:
    if looked.problem:
        material.notes.append(f"{what} were not all looked for in the archive: {looked.problem}")
    elif looked.unread:
        material.notes.append(
            f"{what} were looked for in {looked.folders - looked.unread} of {looked.folders} days of the archive; "
            "--since takes the time for all"
        )


def _look_into_spool(material: Material, spool: Path, topic: str) -> None:
    try:
        material.spooled = spool_look.holding(spool, topic, material.key.encode())
    except sqlite3.Error as error:
        material.notes.append(f"the spool in {spool} cannot be read just now ({error})")


def _received(record: ConsumerRecord) -> datetime:
    return parse_time(as_text(record.headers).get("received-at")) or written_at(record)
