"""Rows of the archive in the order of their offsets, as the topic had them, whatever was merged meanwhile."""

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ops.archive_files import File, Unreadable, listed
from ops.scan import Span
from sinks.archive.storage import Root, opened

AT_A_TIME = 256
"""Rows in memory of one file; a record has up to a megabyte."""

Row = dict[str, Any]


class Wanted(NamedTuple):
    """Which rows: of a span of time, and with these values."""

    column: str
    """The one with the time."""
    since: datetime
    until: datetime | None = None
    values: Mapping[str, str] = {}

    @property
    def columns(self) -> list[str]:
        """What has to be read to know."""
        return [self.column, *self.values]

    def among(self, table: pa.Table, span: Span) -> pa.Array:
        """Say of each row whether it is meant."""
        offsets, times = table["kafka_offset"], table[self.column]
        masks = [pc.greater_equal(offsets, span.start), pc.less(offsets, span.end)]
        masks.append(pc.greater_equal(times, self.since))
        masks += [pc.less(times, self.until)] if self.until else []
        masks += [pc.fill_null(pc.equal(table[name], value), False) for name, value in self.values.items()]
        found = masks[0]
        for mask in masks[1:]:
            found = pc.and_(found, mask)
        return found


def rows(
    root: Root,
    topic: str,
    partition: int,
    span: Span,
    columns: Sequence[str],
    wanted: Wanted,
) -> Iterator[Row]:
    """Yield rows of the span in the order of their offsets, each with these columns and `kafka_offset`.

    Files that are merged and deleted while a slow reader is at it are read in what they were merged to. Raises
    BrokenManifest, Unreadable.
    """
    at = span.start
    while True:
        left = Span(at, span.end)
        files = listed(root, topic, partition, left, wanted.since).files
        try:
            for row in _in_order(files, lambda file, left=left: _rows(root, file, left, columns, wanted)):  # type: ignore[misc]
                at = row["kafka_offset"] + 1
                yield row
        except _Gone as gone:
            if gone.path in {file.path for file in listed(root, topic, partition, left, wanted.since).files}:
                raise Unreadable(f"The archive's file {gone.path} is listed and gone.") from gone
        else:
            return


class _Gone(Exception):
    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


def _in_order(files: Sequence[File], read: Callable[[File], Iterator[Row]]) -> Iterator[Row]:
    """Merge what is in the files, each in order; one is opened when its offsets begin."""
    waiting: list[tuple[int, int, Row, Iterator[Row]]] = []
    for number, file in enumerate(files):
        while waiting and waiting[0][0] < file.span.start:
            yield _first(waiting)
        _wait(waiting, number, read(file))
    while waiting:
        yield _first(waiting)


def _first(waiting: list[tuple[int, int, Row, Iterator[Row]]]) -> Row:
    _, number, row, more = heapq.heappop(waiting)
    _wait(waiting, number, more)
    return row


def _wait(waiting: list[tuple[int, int, Row, Iterator[Row]]], number: int, more: Iterator[Row]) -> None:
    if (row := next(more, None)) is not None:
        heapq.heappush(waiting, (row["kafka_offset"], number, row, more))


def _rows(root: Root, file: File, span: Span, columns: Sequence[str], wanted: Wanted) -> Iterator[Row]:
    try:
        with pq.ParquetFile(opened(root).source(file.path)) as parquet:
            mask = wanted.among(parquet.read(columns=["kafka_offset", *wanted.columns]), span)
            if not pc.any(mask).as_py():
                return  # the records themselves are most of a file
            at = 0
            for batch in parquet.iter_batches(AT_A_TIME, columns=["kafka_offset", *columns]):
                some = mask.slice(at, batch.num_rows)
                at += batch.num_rows
                yield from pa.Table.from_batches([batch]).filter(some).to_pylist()
    except FileNotFoundError as error:
        raise _Gone(file.path) from error
    except (OSError, pa.ArrowInvalid) as error:
        raise Unreadable(f"The archive's file {file.path} cannot be read: {error}") from error
