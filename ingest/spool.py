"""The spool: events on this host's disk while Kafka does not take them, in order, shared by its workers."""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import orjson

from ingest.accept import RawRecord
from ingest.switch import CLOSED, OPEN, Switch

PAGE = 4096

RESERVE = 8 * 1024 * 1024
"""Bytes set aside on the disk: when it is full, giving them up lets what was spooled be drained all the same."""

_BUSY = 5.0  # seconds; only a reader's recovery or another tool ever holds SQLite's own lock
_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, partition INTEGER NOT NULL, late INTEGER NOT NULL,
    key BLOB NOT NULL, headers BLOB NOT NULL, value BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS in_order ON events (partition, id);
"""


def path_of(folder: Path, topic: str) -> Path:
    """Return the spool's file; each topic has its own, so that no event ends in another's."""
    return folder / f"{topic}.spool"


@dataclass(frozen=True, slots=True)
class Row:
    """One event in the spool."""

    id: int
    late: bool
    """Whether the worker that wrote it still hopes for Kafka's acknowledgement."""
    record: RawRecord


@dataclass(frozen=True, slots=True)
class Entry:
    """One event to be written."""

    partition: int
    late: bool
    record: RawRecord


class Spool:
    """The spool of one topic, as one thread of one process sees it.

    A file named after the topic; an event is on disk when `write` returns (WAL, synchronous=FULL). The switch is
    open from before the first event is readable until the last is gone, whatever process is killed in between.
    """

    def __init__(self, folder: Path, topic: str, *, max_bytes: int, switch: Switch) -> None:
        """Open it; raises sqlite3.Error and OSError."""
        self._switch = switch
        self._reserve = folder / f"{topic}.reserve"
        self._lock = os.open(folder / f"{topic}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._db = _open(path_of(folder, topic), max_bytes)
            with self._writing():
                if not self._empty():
                    switch.state = OPEN
        except BaseException:
            os.close(self._lock)
            raise

    def close(self) -> None:
        """Give the file back."""
        self._db.close()
        os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, entries: Sequence[Entry], *, remove: Iterable[int] = (), settle: Iterable[int] = ()) -> list[int]:
        """Remove and settle rows and append entries in one transaction; return the ids of the entries, in order.

        Raises sqlite3.Error or OSError when the disk or the spool is full, or the disk fails: then nothing was written.
        """
        if entries and not self._reserve.exists():
            reserve(self._reserve)
        with self._writing():
            self._db.executemany("DELETE FROM events WHERE id = ?", ((number,) for number in remove))
            self._db.executemany("UPDATE events SET late = 0 WHERE id = ?", ((number,) for number in settle))
            if entries:
                # Before the commit: from the moment a sender hears 200, no worker may overtake its event.
                self._switch.state = OPEN
            return [self._insert(entry) for entry in entries]

    def head(self, partition: int, limit: int, max_bytes: int) -> list[Row]:
        """Return the first rows of a partition: at most `limit`, and one or more within `max_bytes` of content."""
        rows: list[Row] = []
        cursor = self._db.execute(
            "SELECT id, late, key, headers, value FROM events WHERE partition = ? ORDER BY id LIMIT ?",
            (partition, limit),
        )
        with contextlib.closing(cursor):
            for number, late, key, headers, value in cursor:
                max_bytes -= len(key) + len(headers) + len(value)
                if rows and max_bytes < 0:
                    break
                pairs = [(name, text.encode()) for name, text in orjson.loads(headers)]
                rows.append(Row(number, bool(late), RawRecord(key, value, pairs)))
        return rows

    def make_room(self) -> None:
        """Give the reserve up and move what is in the log to its place, so that events can be removed."""
        self._reserve.unlink(missing_ok=True)
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def shut(self) -> bool:
        """Close the switch if nothing is left; return whether it is closed."""
        with self._writing():
            empty = self._empty()
            if empty:
                self._switch.state = CLOSED
            return empty

    def size(self) -> tuple[int, int]:
        """Return how many events it holds, and the bytes of disk they take."""
        (events,) = self._db.execute("SELECT count(*) FROM events").fetchone()
        used = self._pragma("page_count") - self._pragma("freelist_count")
        return events, used * PAGE

    def oldest(self) -> str | None:
        """Return when the first event that still waits was received, as its header has it; None when none waits."""
        row = self._db.execute("SELECT headers FROM events ORDER BY id LIMIT 1").fetchone()
        return dict(orjson.loads(row[0])).get("received-at") if row else None

    def partitioned(self, partitions: int, place: Callable[[bytes, int], int]) -> None:
        """Place the events anew when the topic has another number of partitions than they were written for."""
        with self._writing():
            if self._pragma("user_version") not in {0, partitions}:
                keys = self._db.execute("SELECT id, key FROM events").fetchall()
                self._db.executemany(
                    "UPDATE events SET partition = ? WHERE id = ?",
                    ((place(key, partitions), number) for number, key in keys),
                )
            self._db.execute(f"PRAGMA user_version = {partitions:d}")

    def _insert(self, entry: Entry) -> int:
        record = entry.record
        headers = orjson.dumps([(name, value.decode()) for name, value in record.headers])
        cursor = self._db.execute(
            "INSERT INTO events (partition, late, key, headers, value) VALUES (?, ?, ?, ?, ?)",
            (entry.partition, entry.late, record.key, headers, record.value),
        )
        return int(cursor.lastrowid or 0)

    def _empty(self) -> bool:
        return self._db.execute("SELECT 1 FROM events LIMIT 1").fetchone() is None

    def _pragma(self, name: str) -> int:
        return int(self._db.execute(f"PRAGMA {name}").fetchone()[0])

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Hold the write lock for one transaction; the kernel's lock, because SQLite's own is waited for by polling."""
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # SQLite ends it by itself after some errors
                self._db.execute("ROLLBACK")
            raise
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)


def reserve(path: Path) -> None:
    """Set bytes aside on the disk.

    Raises OSError when it has no room for them.
    """
    with path.open("wb") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, RESERVE)
        except OSError:
            path.unlink()
            raise


def _open(path: Path, max_bytes: int) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
    try:
        db.execute(f"PRAGMA page_size = {PAGE}")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA journal_size_limit = 67108864")
        db.execute(f"PRAGMA max_page_count = {max(16, max_bytes // PAGE):d}")
        db.executescript(_SCHEMA)
        path.chmod(0o600)  # bodies of alerts
    except BaseException:
        db.close()
        raise
    return db
