"""What lies in Kafka and is not archived yet, as Parquet in a folder of its own: memory stays bounded."""

import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from aiokafka import ConsumerRecord, TopicPartition

from events.errors import MalformedRecord
from events.settings import KafkaSettings
from ops.scan import Progress, Reader, Span, reading

BATCH = 20_000
"""Rows of a file; about 80 MB in memory."""

Row = Callable[[ConsumerRecord], tuple[Any, ...]]
"""Makes the row of a record, or raises MalformedRecord."""


async def fetch(
    kafka: KafkaSettings,
    topic: str,
    folder: Path,
    *,
    schema: pa.Schema,
    row: Row,
    begin: Mapping[int, int],
    since: datetime | None,
    progress: Progress,
) -> list[Path]:
    """Write the records from `begin` on (partition to offset) to files and return them.

    What cannot be a row is in no archive either: it is counted and left out. Raises NotReady.
    """
    files, rows, malformed, numbers = list[Path](), list[tuple[Any, ...]](), 0, count()

    def close() -> None:
        path = folder / f"{topic}-{next(numbers)}.parquet"
        columns = zip(*rows, strict=True)
        arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
        pq.write_table(pa.Table.from_arrays(arrays, schema=schema), path, compression="zstd")
        files.append(path)
        rows.clear()

    async with reading(kafka) as reader:
        async for record in reader.records(await _behind(reader, topic, begin, since), progress):
            try:
                rows.append(row(record))
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
