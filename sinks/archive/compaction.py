"""Compaction: the small files of a day become one, by an entry that lists the new file and the ones it replaces."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from sinks.archive import layout
from sinks.archive.manifest import DataFile, Manifest, Superseded, live
from sinks.archive.shapes import DELIVERIES, ENRICHED, RAW, Shape
from sinks.archive.signing import Signer
from sinks.archive.storage import Store
from sinks.archive.writer import parquet

SMALL = 32 * 1024 * 1024
"""Bytes of a file that is worth merging."""

LARGE = 64 * 1024 * 1024
"""Bytes of small files that make one large one: what has to fit in memory, some ten times over."""

SMALL_ROWS, LARGE_ROWS = 50_000, 100_000
"""The same in rows: records that are much alike take a hundredth of their size in a file, and a column of more than 2 GB of
text cannot be sorted. Small is at most half of large, or a file could be merged with itself for ever."""

_SHAPES = {shape.folder: shape for shape in (ENRICHED, RAW, DELIVERIES)}


class Merged(NamedTuple):
    """A file that counts once an entry lists it, and the paths of those it was made of."""

    file: DataFile
    replaced: tuple[str, ...]


def merge_first(store: Store, topic: str, partition: int, seq: int, *, at_least: int) -> Merged | None:
    """Merge small files of the first day that has so many, for the entry of this number; None where no day has.

    Raises BrokenManifest, FileNotFoundError for a listed file that is gone.
    """
    for group in _groups(live(list(Manifest(store, topic, partition).entries())), at_least):
        return Merged(_merge(store, topic, partition, seq, group), tuple(file.path for file in group))
    return None


def compact(store: Store, topic: str, partition: int, writer: str, signer: Signer | None, *, at_least: int) -> int:
    """Merge the small files of every day that has so many, and return how many were replaced.

    For an archive that no sink writes to; one that does ends uncommitted, and goes on when it is started again. Raises Superseded when it
    was faster: nothing has changed then. Raises BrokenManifest.
    """
    manifest = Manifest(store, topic, partition, signer)
    entries = list(manifest.entries())
    last = manifest.last()
    if last is None or last[0] != entries[-1]:
        raise Superseded(f"Partition {partition} of {topic} is being written to: stop the archive's sink first.")
    made, replaced = list[DataFile](), list[str]()
    for group in _groups(live(entries), at_least):
        made.append(_merge(store, topic, partition, last[0].seq + 1, group))
        replaced += [file.path for file in group]
    if not made:
        return 0
    here = last[0].next_offset
    try:
        manifest.append(
            "compaction", after=last, offsets=(here, here), writer=writer, files=tuple(made), replaces=tuple(replaced)
        )
    except Superseded:
        for file in made:
            store.delete(file.path)
        raise
    return len(replaced)


def clear(store: Store, topic: str, partition: int, older_than: timedelta) -> int:
    """Delete the files that were replaced so long ago that nobody reads them any more, and return how many."""
    until, deleted = datetime.now(UTC) - older_than, 0
    there = {path for folder in _SHAPES for path in store.walk(folder)}
    for entry in Manifest(store, topic, partition).entries():
        for path in entry.replaces if entry.created_at <= until else ():
            deleted += path in there
            store.delete(path)
    return deleted


def _groups(files: Sequence[DataFile], at_least: int) -> Iterator[list[DataFile]]:
    """Yield small files of one day that fit into one, the oldest offsets first."""
    days: defaultdict[str, list[DataFile]] = defaultdict(list)
    for file in files:
        if file.bytes < SMALL and file.rows < SMALL_ROWS:
            days[file.path.rpartition("/")[0]].append(file)
    for day in days.values():
        if len(day) < at_least:
            continue
        group, size, rows = list[DataFile](), 0, 0
        for file in day:
            if size + file.bytes > LARGE or rows + file.rows > LARGE_ROWS:
                yield group
                group, size, rows = [], 0, 0
            group.append(file)
            size, rows = size + file.bytes, rows + file.rows
        if len(group) > 1:
            yield group


def _merge(store: Store, topic: str, partition: int, seq: int, group: Sequence[DataFile]) -> DataFile:
    folder = group[0].path.rpartition("/")[0]
    shape = _SHAPES[folder.partition("/")[0]]
    table = pa.concat_tables([_table(store, file.path, shape) for file in group]).sort_by("kafka_offset")
    data = parquet(table, shape.distinct)
    path = f"{folder}/{layout.data_name(topic, partition, table['kafka_offset'][0].as_py(), seq)}"
    store.put(path, data)
    return DataFile(path=path, rows=table.num_rows, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def _table(store: Store, path: str, shape: Shape) -> pa.Table:
    """Read a file with the columns of today: those it has not are null."""
    with pq.ParquetFile(store.source(path)) as file:
        table = file.read()
    for field in shape.schema:
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    return table.select(shape.schema.names).cast(shape.schema)
