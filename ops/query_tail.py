"""What lies in Kafka and is not archived yet, as Parquet in a folder of its own: memory stays bounded."""

import sys
from collections.abc import Mapping
from datetime import datetime
from itertools import count
from pathlib import Path

import pyarrow.parquet as pq
from aiokafka import TopicPartition

from events.errors import MalformedRecord
from events.settings import KafkaSettings
from ops.scan import Progress, Reader, Span, reading
from sinks.archive.shapes import Row, Shape

BATCH = 20_000
"""Rows of a file; about 80 MB in memory."""


async def fetch(
    kafka: KafkaSettings,
    topic: str,
    folder: Path,
    *,
    shape: Shape,
    begin: Mapping[int, int],
    since: datetime | None,
    progress: Progress,
) -> list[Path]:
    """Write the records from `begin` on (partition to offset) to files and return them.

    What cannot be a row is in no archive either: it is counted and left out. Raises NotReady.
    """
    files, rows, malformed, numbers = list[Path](), list[Row](), 0, count()

    def close() -> None:
        path = folder / f"{topic}-{next(numbers)}.parquet"
        pq.write_table(shape.table(rows), path, compression="zstd")
        files.append(path)
        rows.clear()

    async with reading(kafka) as reader:
        async for record in reader.records(await _behind(reader, topic, begin, since), progress):
            try:
                rows.append(shape.row(record.topic, record.partition, record))
            except MalformedRecord:
                malformed += 1
            if len(rows) >= BATCH:
                close()
    if rows:
        close()
    if malformed:
        print(f"{malformed:,} records of {topic} are malformed and left out.", file=sys.stderr)
    return files


async def _behind(
    reader: Reader, topic: str, begin: Mapping[int, int], since: datetime | None
) -> dict[TopicPartition, Span]:
    spans = await reader.spans(await reader.partitions(topic))
    starts = {each: max(span.start, begin.get(each.partition, 0)) for each, span in spans.items()}
    if since is not None:
        starts = {each: max(starts[each], at) for each, at in (await reader.places(spans, since)).items()}
    return {each: Span(starts[each], span.end) for each, span in spans.items()}
