"""One thread, whole: its timeline, its deliveries, and the record of its newest event."""

import sqlite3
import zlib
from dataclasses import dataclass
from typing import Any

import orjson

TIMELINE = 200
"""Entries shown, the newest; the count says how many there were."""


@dataclass(frozen=True)
class Detail:
    """What the drawer shows."""

    thread: sqlite3.Row
    timeline: list[sqlite3.Row]
    """Newest first by when it happened."""
    deliveries: list[sqlite3.Row]
    """Newest first."""
    record: dict[str, Any]
    """The newest enriched record; {} when it cannot be read."""


def find(connection: sqlite3.Connection, thread: int) -> Detail | None:
    """Return a thread; None when it is not, or no longer, here."""
    row = connection.execute("SELECT * FROM threads WHERE id = ?", (thread,)).fetchone()
    if row is None:
        return None
    timeline = connection.execute(
        "SELECT * FROM (SELECT * FROM notifications WHERE thread = ? ORDER BY id DESC LIMIT ?) "
        "ORDER BY happened_at DESC, id DESC",
        (thread, TIMELINE),
    ).fetchall()
    deliveries = connection.execute(
        "SELECT d.*, n.headline FROM notifications n JOIN deliveries d ON d.event_id = n.event_id "
        "WHERE n.thread = ? ORDER BY d.at DESC, d.id DESC LIMIT ?",
        (thread, TIMELINE),
    ).fetchall()
    newest = max((entry["id"] for entry in timeline), default=0)
    return Detail(row, timeline, deliveries, record(connection, newest))


def record(connection: sqlite3.Connection, notification: int) -> dict[str, Any]:
    """Return the enriched record of one notification; {} when it is not here."""
    row = connection.execute("SELECT record FROM bodies WHERE notification = ?", (notification,)).fetchone()
    found = orjson.loads(zlib.decompress(row["record"])) if row else {}
    return found if isinstance(found, dict) else {}
