"""What the feeder writes: rows and the offsets they came from, in one transaction."""

import sqlite3
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from events.errors import NotReady
from events.records import Receipt
from inbox import facets, threads
from inbox.database import Database
from inbox.notification import Notification
from inbox.text import clean

Partition = tuple[str, int]
"""A topic's name and the partition's number."""


class Superseded(NotReady):
    """Another process writes into the same database; this one must end."""


@dataclass(frozen=True)
class Batch:
    """What was read from Kafka at once."""

    notifications: list[tuple[Notification, bytes]] = field(default_factory=list)
    """Each with its record's value."""
    receipts: list[tuple[Receipt, float]] = field(default_factory=list)
    """Each with its record's time in seconds."""
    positions: dict[Partition, tuple[int, int]] = field(default_factory=dict)
    """The offset each partition stood at before, and stands at after."""


class Store:
    """The one writer of notifications; thread-safe, and safe against a second process."""

    def __init__(self, database: Database, burst: float) -> None:
        """Take how many seconds apart alerts of one burst may be."""
        self._database = database
        self._burst = burst
        self._facets = facets.Writer()

    def positions(self) -> dict[Partition, int]:
        """Return where to go on reading."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT topic, partition, next_offset FROM positions").fetchall()
        return {(topic, partition): offset for topic, partition, offset in rows}

    def start_at(self, positions: Mapping[Partition, int]) -> None:
        """Set positions of partitions, whatever they were."""
        with self._database.writing() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO positions VALUES (?, ?, ?)",
                [(topic, partition, offset) for (topic, partition), offset in positions.items()],
            )

    def take(self, batch: Batch) -> set[int]:
        """Write a batch, all of it or nothing, and return the threads its receipts belong to.

        Raises Superseded when another process has moved the positions.
        """
        with self._database.writing() as connection:
            self._advance(connection, batch.positions)
            (now,) = connection.execute("SELECT now FROM clock").fetchone()
            for notification, record in batch.notifications:
                now += 1
                self._add(connection, notification, record, now)
            connection.execute("UPDATE clock SET now = ?", (now,))
            connection.executemany(
                "INSERT INTO deliveries (event_id, at, target, outcome, status, attempts, latency, rules) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [_delivery(receipt, at) for receipt, at in batch.receipts],
            )
            delivered = _threads(connection, {receipt.event_id for receipt, _ in batch.receipts})
        self._facets.keep()
        return delivered

    def _advance(self, connection: sqlite3.Connection, positions: Mapping[Partition, tuple[int, int]]) -> None:
        self._facets.forget()
        for (topic, partition), (before, after) in positions.items():
            moved = connection.execute(
                "UPDATE positions SET next_offset = ? WHERE topic = ? AND partition = ? AND next_offset = ?",
                (after, topic, partition, before),
            )
            if moved.rowcount != 1:
                raise Superseded(
                    f"Another process fills the inbox {self._database.path}: run one `tocsin inbox` per database."
                )

    def _add(self, connection: sqlite3.Connection, notification: Notification, record: bytes, now: int) -> None:
        known = connection.execute(
            "SELECT id, revision FROM notifications WHERE event_id = ?", (notification.event_id,)
        ).fetchone()
        if known and known["revision"] >= notification.revision:
            return
        self._facets.note(connection, notification)
        thread = threads.fold(connection, notification, now, self._burst, news=known is None)
        connection.execute(
            "INSERT INTO notifications VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (event_id) DO UPDATE SET "
            "revision = excluded.revision, headline = excluded.headline, text = excluded.text, author = excluded.author",
            (
                *(now, thread, notification.event_id, notification.revision, notification.type, notification.action),
                *(notification.received_at, notification.happened_at),
                *(notification.headline, notification.text, notification.author),
            ),
        )
        number = known["id"] if known else now
        connection.execute("INSERT OR REPLACE INTO bodies VALUES (?, ?)", (number, zlib.compress(record, 1)))


def _threads(connection: sqlite3.Connection, event_ids: set[str]) -> set[int]:
    query = "SELECT thread FROM notifications WHERE event_id = ?"
    found = (connection.execute(query, (each,)).fetchone() for each in event_ids)
    return {row["thread"] for row in found if row}


def _delivery(receipt: Receipt, at: float) -> tuple[object, ...]:
    rules = clean(", ".join(receipt.rules), 200)
    target, status = clean(receipt.target, 200), clean(receipt.status, 200)
    return receipt.event_id, at, target, receipt.outcome, status, receipt.attempts, receipt.latency, rules
