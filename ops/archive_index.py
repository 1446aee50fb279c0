"""The archive as an index of the enriched topic: in which record, and in which file, something about an alert is."""

import time
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from events.headers import KafkaHeaders
from sinks.archive import layout
from sinks.archive.manifest import Entry, Manifest
from sinks.archive.storage import Root, opened

AT_ONCE = 8
"""Files that are read at the same time."""
COLUMNS = ["event_id", "revision", "alert_uuid", "short_id", "received_at", "kafka_offset"]


class Row(NamedTuple):
    """Where an enriched record is, in the topic and in the archive."""

    event_id: str
    revision: int
    alert_uuid: str | None
    short_id: str | None
    received_at: datetime
    offset: int
    partition: int
    path: str


@dataclass
class Found:
    """What the archive told, and how far back it was asked."""

    rows: list[Row] = field(default_factory=list)
    next_offsets: dict[int, int] = field(default_factory=dict)
    """By partition, the first offset that is not archived yet."""
    back_to: datetime | None = None
    """Older entries were not looked into: the time was up."""
    gone: list[str] = field(default_factory=list)
    """Files that the manifest lists and that are not there."""
    unread: list[str] = field(default_factory=list)
    """Files that are there and cannot be read."""


def partitions(root: Root, topic: str) -> list[int]:
    """Return the partitions the archive knows of a topic; none where there is no archive."""
    names = opened(root).names(f"{layout.MANIFEST}/{topic}")
    return sorted(int(name) for name in names if name.isdigit())


def search(
    root: Root,
    topic: str,
    numbers: Collection[int],
    column: Collection[str],
    value: str,
    seconds: float,
    *,
    first: bool,
) -> Found:
    """Find rows in which one of the columns has a value, the newest files first, for so many seconds.

    With `first` the first file with such a row is enough. Raises BrokenManifest.
    """
    found, until = Found(), time.monotonic() + seconds
    replaced = set[str]()
    with ThreadPoolExecutor(AT_ONCE) as pool:  # a bucket answers many at once, and unpacking takes all cores there are
        for entries in _newest_first(root, topic, numbers, found):
            replaced.update(path for entry in entries for path in entry.replaces)
            files = [(entry, file.path) for entry in entries for file in entry.files if file.path not in replaced]
            for rows in pool.map(lambda each: _rows(root, each[1], each[0].partition, column, value, found), files):
                found.rows += rows
            if first and found.rows:
                break
            if time.monotonic() > until:
                found.back_to = min(entry.created_at for entry in entries)
                break
    found.rows.sort(key=lambda row: (row.partition, row.offset))
    return found


@dataclass
class Archived:
    """A record that Kafka may have no more, with as much of it as the archive keeps."""

    topic: str
    partition: int
    offset: int
    value: bytes | None
    key: bytes | None = None
    timestamp: int = -1
    headers: KafkaHeaders = ()


def records(root: Root, found: Found, known: Collection[int]) -> list[Archived]:
    """Return the records of rows that are not among the known offsets."""
    records = []
    for path in sorted({row.path for row in found.rows if row.offset not in known}):
        wanted = [row.offset for row in found.rows if row.path == path and row.offset not in known]
        table = pq.ParquetFile(opened(root).source(path)).read(
            columns=["kafka_topic", "kafka_partition", "kafka_offset", "record"]
        )
        rows = table.filter(pc.is_in(table["kafka_offset"], pa.array(wanted, pa.int64()))).to_pylist()
        records += [
            Archived(row["kafka_topic"], row["kafka_partition"], row["kafka_offset"], row["record"].encode())
            for row in rows
        ]
    return records


def _newest_first(root: Root, topic: str, numbers: Collection[int], found: Found) -> Iterator[list[Entry]]:
    """Yield entries from the end of each partition, one of each at a time."""
    folder = opened(root)
    manifests = {number: Manifest(folder, topic, number) for number in numbers}
    left = {number: sequences for number, each in manifests.items() if (sequences := each.sequences())}
    while left:
        entries = [manifests[number].read(sequences.pop())[0] for number, sequences in left.items()]
        for entry in entries:
            found.next_offsets.setdefault(entry.partition, entry.next_offset)
        yield entries
        left = {number: sequences for number, sequences in left.items() if sequences}


def _rows(root: Root, path: str, partition: int, columns: Collection[str], value: str, found: Found) -> list[Row]:
    try:
        with pq.ParquetFile(opened(root).source(path)) as file:
            return _matching(file, path, partition, columns, value)
    except FileNotFoundError:
        found.gone.append(path)
    except (OSError, pa.ArrowInvalid):
        found.unread.append(path)
    return []


def _matching(file: pq.ParquetFile, path: str, partition: int, columns: Collection[str], value: str) -> list[Row]:
    keys = file.read(columns=list(columns))
    mask = None
    for column in columns:
        same = pc.fill_null(pc.equal(keys[column], value), False)
        mask = same if mask is None else pc.or_(mask, same)
    if not pc.any(mask).as_py():
        return []
    rows = file.read(columns=COLUMNS).filter(mask).to_pylist()
    return [
        Row(
            row["event_id"], row["revision"], row["alert_uuid"], row["short_id"], row["received_at"],
            row["kafka_offset"], partition, path,
        )
        for row in rows
    ]  # fmt: skip
