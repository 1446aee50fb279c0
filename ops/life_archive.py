"""What the archive tells of one key besides its enriched records: webhooks and receipts, on the days where they must be."""

import time
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ops.archive_days import FEW, DayFile, files, is_listed
from ops.archive_errors import UNREADABLE, sentence
from ops.archive_index import AT_ONCE, Archived
from sinks.archive import layout
from sinks.archive.manifest import Manifest
from sinks.archive.storage import Root, Store, opened

A_DAY = timedelta(days=1)
RECEIPTS_OF = "default"
"""The tenant in whose folders receipts are: they name none."""


class Place(NamedTuple):
    """A partition of an archived topic, and the folder of its kind of rows."""

    topic: str
    partition: int
    folder: str


@dataclass
class Looked:
    """What was found of a partition, and whether the folders where it must be were read to their end."""

    records: list[Archived] = field(default_factory=list)
    next_offset: int | None = None
    """Everything below it is archived; None where nothing of the topic is."""
    folders: int = 0
    unread: int = 0
    """Folders for which the time was up."""
    problem: str = ""

    @property
    def whole(self) -> bool:
        """Say whether what is not found is not archived."""
        return self.next_offset is not None and not self.unread and not self.problem


def webhooks(
    root: Root, place: Place, key: bytes, tenants: Collection[str], moments: Collection[datetime], seconds: float
) -> Looked:
    """Find the raw records of a key that came on the days of these moments, or the day after: copies do.

    `tenants` as they stand in paths.
    """
    days = {moment.astimezone(UTC).date() + late for moment in moments for late in (timedelta(0), A_DAY)}
    folders = [f"{place.folder}/tenant={tenant}/date={day}" for day in sorted(days) for tenant in sorted(tenants)]
    return _look(root, place, ("key", pa.array([key], pa.binary())), folders, seconds)


def receipts(
    root: Root, place: Place, events: Collection[str], moments: Collection[datetime], seconds: float
) -> Looked:
    """Find the receipts of events from the first of these moments on, the days next to one of them first."""
    near = sorted({moment.astimezone(UTC).date() for moment in moments})
    days = sorted(_until_today(near[0]) if near else [], key=lambda day: min(abs(day - each) for each in near))
    folders = [layout.data_folder(RECEIPTS_OF, day, place.folder) for day in days]
    return _look(root, place, ("event_id", pa.array(sorted(events), pa.string())), folders, seconds)


def _until_today(first: date) -> Iterable[date]:
    return (first + timedelta(days=number) for number in range((datetime.now(UTC).date() - first).days + 1))


def _look(root: Root, place: Place, wanted: tuple[str, pa.Array], folders: list[str], seconds: float) -> Looked:
    looked, store, until = Looked(folders=len(folders)), opened(root), time.monotonic() + seconds
    found: dict[int, Archived] = {}
    try:
        last = Manifest(store, place.topic, place.partition).last()
        if last is None:
            return looked
        looked.next_offset = last[0].next_offset
        with ThreadPoolExecutor(AT_ONCE) as pool:
            days = list(pool.map(lambda folder: _files(store, place, folder, until), folders))
            # Merged days first: each is as much as a thousand small files, and read in the time of one.
            ordered = sorted((day for day in days if day is not None), key=lambda day: len(day) > FEW)
            looked.unread = days.count(None)
            for rows in pool.map(lambda day: _of_day(store, place, wanted, day, until), ordered):
                looked.unread += rows is None
                # A file that was merged into another may still be there: the same records twice.
                found.update({record.offset: record for record in rows or ()})
    except UNREADABLE as error:
        looked.problem = sentence(root, error)
    looked.records = [found[offset] for offset in sorted(found)]
    return looked


def _files(store: Store, place: Place, folder: str, until: float) -> list[DayFile] | None:
    return files(store, folder, place.topic, [place.partition]) if time.monotonic() <= until else None


def _of_day(
    store: Store, place: Place, wanted: tuple[str, pa.Array], day: list[DayFile], until: float
) -> list[Archived] | None:
    """Return the records of a day's files that an entry lists; None where there was no time to read them all."""
    records: list[Archived] = []
    for file in day:
        if time.monotonic() > until:
            return None
        rows = _rows(store, file.path, wanted)
        if rows and is_listed(store, place.topic, file):
            records += [_record(row) for row in rows]
    return records


def _rows(store: Store, path: str, wanted: tuple[str, pa.Array]) -> list[dict[str, Any]]:
    column, values = wanted
    with pq.ParquetFile(store.source(path)) as file:
        mask = pc.is_in(file.read(columns=[column])[column], values)
        return file.read().filter(mask).to_pylist() if pc.any(mask).as_py() else []


def _record(row: dict[str, Any]) -> Archived:
    at = row["receipt_at"] if "receipt_at" in row else row["appended_at"]
    value = row["record"].encode() if "record" in row else row["value"]
    headers = [(each["name"], each["value"]) for each in row.get("headers") or ()]
    return Archived(
        row["kafka_topic"], row["kafka_partition"], row["kafka_offset"], value, row.get("key"),
        round(at.timestamp() * 1000), headers,
    )  # fmt: skip
