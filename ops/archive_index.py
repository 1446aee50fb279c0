"""The archive as an index of the enriched topic: in which record, and in which file, something about an alert is."""

import time
from collections import Counter
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from events.headers import KafkaHeaders
from ops.archive_days import FEW, files, folders, is_listed
from sinks.archive import layout
from sinks.archive.manifest import Entry, Manifest
from sinks.archive.storage import Root, opened

AT_ONCE = 8
"""Files that are read at the same time."""
NEWEST = 0.4
"""Share of the time that the newest entries get where one row is enough: that is mostly one of today."""
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
    """Older entries of days that were not merged yet were not looked into: the time was up."""
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
    """Find rows in which one of the columns has a value, for so many seconds.

    Days that were merged are looked through by their folders, for they are cheap; the others entry by entry, the newest
    first, as everything is where there is time. With `first` the first files with such a row are enough, and the newest
    entries come before the days. Raises BrokenManifest.
    """
    begin = time.monotonic()
    until = begin + seconds
    with ThreadPoolExecutor(AT_ONCE) as pool:  # a bucket answers many at once, and unpacking takes all cores there are
        look = _Search(root, topic, numbers, column, value, pool)
        if first:
            left = look.entries(begin + seconds * NEWEST, first=True)
            unread = None if look.found.rows or left is None else look.days(until)
        else:
            unread = look.days(until)
            left = look.entries(until, first=False)
    found = look.found
    found.back_to = left if left and unread and left > unread else None
    # A file that was merged into another may still be there: the same rows twice.
    once = {(row.partition, row.offset): row for row in found.rows}
    found.rows = [once[place] for place in sorted(once)]
    return found


class _Search:
    """One value looked for."""

    def __init__(
        self,
        root: Root,
        topic: str,
        numbers: Collection[int],
        columns: Collection[str],
        value: str,
        pool: ThreadPoolExecutor,
    ) -> None:
        self.found = Found()
        self._root = root
        self._topic = topic
        self._numbers = numbers
        self._columns = columns
        self._value = value
        self._pool = pool
        self._read = set[str]()

    def entries(self, until: float, *, first: bool) -> datetime | None:
        """Look through the entries' files; return when the last entry was made that there was time for, None for all."""
        found, replaced = self.found, set[str]()
        for entries in _newest_first(self._root, self._topic, self._numbers, found):
            replaced.update(path for entry in entries for path in entry.replaces)
            files = [
                (file.path, entry.partition)
                for entry in entries
                for file in entry.files
                if file.path not in replaced and file.path not in self._read
            ]
            for rows in self._pool.map(lambda each: self._rows(*each), files):
                found.rows += rows
            if first and found.rows:
                return None
            if time.monotonic() > until:
                return min(entry.created_at for entry in entries)
        return None

    def days(self, until: float) -> datetime | None:
        """Look through the days that have few files; return the first day that was not, None where all were.

        An entry that lists a file of a day was made on that day or later.
        """
        store, left = opened(self._root), list[str]()
        for folder in folders(store, layout.DATA):
            there = files(store, folder, self._topic, self._numbers) if time.monotonic() <= until else []
            most = max(Counter(file.partition for file in there).values(), default=0)
            if most > FEW or time.monotonic() > until:
                left.append(folder)
                continue
            fresh = [file for file in there if file.path not in self._read]
            for file, rows in zip(
                fresh, self._pool.map(lambda each: self._rows(each.path, each.partition), fresh), strict=True
            ):
                if rows and is_listed(store, self._topic, file):
                    self.found.rows += rows
            self._read.update(file.path for file in fresh)
        first = min((folder.rpartition("/date=")[2] for folder in left), default=None)
        return datetime.fromisoformat(first).replace(tzinfo=UTC) if first else None

    def _rows(self, path: str, partition: int) -> list[Row]:
        try:
            with pq.ParquetFile(opened(self._root).source(path)) as file:
                return _matching(file, path, partition, self._columns, self._value)
        except FileNotFoundError:
            self.found.gone.append(path)
        except (OSError, pa.ArrowInvalid):
            self.found.unread.append(path)
        return []


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
