"""Writes one partition: data files first, then the manifest entry that makes them count."""

import gc
import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from events.errors import MalformedRecord, NotReady
from sinks.archive import layout
from sinks.archive.heads import Tip
from sinks.archive.manifest import DataFile, Kind, Manifest, Superseded
from sinks.archive.shapes import ENRICHED, Row, Shape
from sinks.archive.signing import Signer
from sinks.archive.storage import Store

_Place = tuple[str, date]
"""A tenant and a day."""


class Record(Protocol):
    """What the archive needs of a record of Kafka."""

    @property
    def offset(self) -> int:
        """Its place in the partition."""
        ...

    @property
    def value(self) -> bytes | None:
        """Its bytes; None is a tombstone."""
        ...


@dataclass(frozen=True)
class Written:
    """Files that are durable but do not count yet, and the records that could not become rows, with the reason."""

    files: tuple[DataFile, ...]
    malformed: tuple[tuple[Record, str], ...]

    @property
    def rows(self) -> int:
        """How many rows the files hold."""
        return sum(file.rows for file in self.files)


@contextmanager
def _no_cycles_looked_for() -> Iterator[None]:
    """Keep the collector away: it would walk fifty thousand rows again and again, and they hold no cycles."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


class PartitionWriter:
    """The one writer of a partition, from its claim until another one claims; not for two threads at once."""

    def __init__(
        self,
        folder: Store,
        topic: str,
        partition: int,
        writer: str,
        shape: Shape = ENRICHED,
        signer: Signer | None = None,
    ) -> None:
        self.topic = topic
        self.partition = partition
        self._folder = folder
        self._shape = shape
        self._writer = writer
        self._manifest = Manifest(folder, topic, partition, signer)
        self._last = self._manifest.last()

    @property
    def next_offset(self) -> int | None:
        """Everything below it is settled; None before the first claim."""
        return self._last[0].next_offset if self._last else None

    @property
    def next_seq(self) -> int:
        """The number of the entry to come."""
        return self._last[0].seq + 1 if self._last else 0

    @property
    def tip(self) -> Tip | None:
        """The newest entry; None before the first claim."""
        if self._last is None:
            return None
        return Tip(topic=self.topic, partition=self.partition, seq=self._last[0].seq, sha256=self._last[1])

    def claim(self, *, log_start: int, log_end: int, accept_gap: bool = False) -> int:
        """Take the partition over and return the offset to read from; whoever wrote before can commit no more.

        The former owner may only be slow. It would commit under the number this claim takes, so it cannot, and what it
        has written under that number may be swept. Raises NotReady when records left Kafka before they were archived,
        or when the topic is not the one the archive was made from; Superseded when another claim was faster.
        """
        start = log_start if self.next_offset is None else self.next_offset
        here = f"partition {self.partition} of {self.topic}"
        if start > log_end:
            raise NotReady(
                f"The archive holds {here} up to offset {start}, but the topic ends at {log_end}: it was made anew; "
                "set ARCHIVE_URL to a new folder."
            )
        if start < log_start:
            if not accept_gap:
                raise NotReady(
                    f"Offsets {start} to {log_start - 1} of {here} left Kafka before they were archived; set "
                    "ARCHIVE_ACCEPT_GAP=true to go on without them, the manifest will name the gap."
                )
            self._append("gap", start, log_start)
            start = log_start
        self._append("claim", start, start)
        return start

    def write(self, records: Sequence[Record]) -> Written:
        """Write the records to files, one per tenant and day; they count when `commit` has been called.

        A record that cannot be decoded is handed back. An OSError means that nothing may be committed; Superseded that
        a new owner has swept a file away; a ValueError that the records are not what follows the last entry, each once:
        a fault of the caller.
        """
        offsets = [record.offset for record in records]
        if any(offset >= following for offset, following in pairwise([(self.next_offset or 0) - 1, *offsets])):
            raise ValueError(f"partition {self.partition}: offsets after {self.next_offset} are not in order")
        with _no_cycles_looked_for():
            groups, first_offsets, malformed = self._grouped(records)
            files = [self._put(place, first_offsets[place], group) for place, group in groups.items()]
            return Written(tuple(files), tuple(malformed))

    def _grouped(
        self, records: Sequence[Record]
    ) -> tuple[dict[_Place, list[Row]], dict[_Place, int], list[tuple[Record, str]]]:
        """Return the rows and first offset of each tenant's day, and what can be no row."""
        groups: defaultdict[_Place, list[Row]] = defaultdict(list)
        first_offsets: dict[_Place, int] = {}
        malformed: list[tuple[Record, str]] = []
        for record in records:
            try:
                row = self._shape.row(self.topic, self.partition, record)
            except MalformedRecord as error:
                malformed.append((record, str(error)))
                continue
            place = self._shape.place(row)
            first_offsets.setdefault(place, record.offset)
            groups[place].append(row)
        return groups, first_offsets, malformed

    def commit(self, next_offset: int, files: tuple[DataFile, ...] = ()) -> None:
        """Make the files count: everything below `next_offset` is settled from now on.

        Raises Superseded when the partition has another writer.
        """
        if self.next_offset is None or next_offset < self.next_offset:
            raise ValueError(f"cannot commit {next_offset} after {self.next_offset}")
        try:
            self._append("rows", self.next_offset, next_offset, files)
        except Superseded:
            # The number went to a claim, which lists nothing: nobody will ever count these.
            for file in files:
                self._folder.delete(file.path)
            raise

    def compact(self, file: DataFile, replaced: tuple[str, ...]) -> None:
        """Make a file count instead of those it was made of; it bears the number of the next entry.

        Raises Superseded when the partition has another writer.
        """
        here = self.next_offset or 0
        try:
            self._append("compaction", here, here, (file,), replaced)
        except Superseded:
            self._folder.delete(file.path)
            raise

    def _append(
        self,
        kind: Kind,
        first: int,
        following: int,
        files: tuple[DataFile, ...] = (),
        replaces: tuple[str, ...] = (),
    ) -> None:
        self._last = self._manifest.append(
            kind, after=self._last, offsets=(first, following), writer=self._writer, files=files, replaces=replaces
        )

    def _put(self, place: _Place, first_offset: int, group: list[Row]) -> DataFile:
        name = layout.data_name(self.topic, self.partition, first_offset, self.next_seq)
        path = f"{layout.data_folder(*place, self._shape.folder)}/{name}"
        data = parquet(self._shape.table(group), self._shape.distinct)
        try:
            self._folder.put(path, data)
        except FileNotFoundError:
            self._manifest.check_free(self.next_seq)
            raise
        return DataFile(path=path, rows=len(group), bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


GROUP = 8192
"""Rows of a file that are read at once: whoever reads a file in order has so many in memory."""


def parquet(table: pa.Table, distinct: Collection[str]) -> bytes:
    """Encode a table as a Parquet file."""
    sink = pa.BufferOutputStream()
    dictionaries = [name for name in table.column_names if name not in distinct]
    pq.write_table(table, sink, row_group_size=GROUP, compression="zstd", use_dictionary=dictionaries)
    data: bytes = sink.getvalue().to_pybytes()
    return data
