"""The bound: what is too old or too much leaves, a little at a time, so that nobody waits."""

import sqlite3

from inbox.database import Database

STEP = 500
"""Threads of one transaction."""

FEW = 50
"""Threads removed before it is seen whether that was enough."""

LONGEST_THREAD = 1000
"""Notifications kept of one thread; its count goes on counting."""


def sweep(database: Database, *, before: float, keep: int, keep_bytes: int) -> int:
    """Remove threads nothing happened to since `before` (Unix seconds), then the oldest beyond `keep` notifications.

    Then a few at a time until what is left takes `keep_bytes` of the file. Returns how many threads left.
    """
    left = 0
    while removed := _step(database, before, keep):
        left += removed
    while _bytes(database) > keep_bytes and (removed := _step(database, before, keep=0, step=FEW)):
        left += removed
    with database.writing() as connection:
        connection.execute("DELETE FROM deliveries WHERE at < ?", (before,))
        connection.execute("DELETE FROM facets WHERE at < ?", (before,))
        connection.execute("DELETE FROM bursts WHERE last_at < ?", (before,))
        for (thread,) in connection.execute("SELECT id FROM threads WHERE count > ?", (LONGEST_THREAD,)).fetchall():
            _shorten(connection, thread)
    return left


def _bytes(database: Database) -> int:
    """Return what the data takes; the room of what was deleted is used again, and given back to nobody."""
    with database.reading() as connection:
        pages, free, size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
    return int((pages - free) * size)


def _step(database: Database, before: float, keep: int, step: int = STEP) -> int:
    with database.writing() as connection:
        (count,) = connection.execute("SELECT count(*) FROM notifications").fetchone()
        oldest = connection.execute("SELECT id, last_at FROM threads ORDER BY newest LIMIT ?", (step,)).fetchall()
        threads = []
        for thread in oldest:
            if thread["last_at"] >= before and count <= keep:
                break
            (size,) = connection.execute(
                "SELECT count(*) FROM notifications WHERE thread = ?", (thread["id"],)
            ).fetchone()
            count -= size
            threads.append((thread["id"],))
        for table, column in (("bodies", "notification"), ("deliveries", "event_id")):
            of = "event_id" if column == "event_id" else "id"
            connection.executemany(
                f"DELETE FROM {table} WHERE {column} IN (SELECT {of} FROM notifications WHERE thread = ?)",  # noqa: S608
                threads,
            )
        connection.executemany("DELETE FROM notifications WHERE thread = ?", threads)
        connection.executemany("DELETE FROM seen WHERE thread = ?", threads)
        connection.executemany("DELETE FROM threads WHERE id = ?", threads)
    return len(threads)


def _shorten(connection: sqlite3.Connection, thread: int) -> None:
    row = connection.execute(
        "SELECT id FROM notifications WHERE thread = ? ORDER BY id DESC LIMIT 1 OFFSET ?", (thread, LONGEST_THREAD)
    ).fetchone()
    if row:
        connection.execute(
            "DELETE FROM bodies WHERE notification IN (SELECT id FROM notifications WHERE thread = ? AND id <= ?)",
            (thread, row["id"]),
        )
        connection.execute("DELETE FROM notifications WHERE thread = ? AND id <= ?", (thread, row["id"]))
