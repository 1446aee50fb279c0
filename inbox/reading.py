"""Read and unread, per reader."""

import sqlite3

from inbox.listing import clock

SHOWN = 1000
"""An unread count is exact below this; above it the page says 999+."""

FIRST_DAY = 24 * 3600.0
"""For somebody new, what is older than this many seconds counts as read."""


def welcome(connection: sqlite3.Connection, reader: str, now: float) -> None:
    """Begin a reader's marks at the first visit; `now` in Unix seconds."""
    connection.execute(
        "INSERT OR IGNORE INTO readers SELECT ?, coalesce(max(newest), 0) FROM threads WHERE last_at < ?",
        (reader, now - FIRST_DAY),
    )


def known(connection: sqlite3.Connection, reader: str) -> bool:
    """Tell whether the reader was here before."""
    return connection.execute("SELECT 1 FROM readers WHERE name = ?", (reader,)).fetchone() is not None


def mark(connection: sqlite3.Connection, reader: str, threads: list[int], *, read: bool, up_to: int = 0) -> None:
    """Mark threads read as they were when the clock stood at `up_to`, or unread: what came since was not seen."""
    # A page that is behind the others, or behind "mark all", must not make unread again what was read there.
    connection.executemany(
        "INSERT INTO seen SELECT ?1, id, CASE WHEN ?2 THEN "
        "max(1, min(newest, ?3), coalesce((SELECT read_up_to FROM readers WHERE name = ?1), 0)) ELSE 0 END "
        "FROM threads WHERE id = ?4 ON CONFLICT (reader, thread) DO UPDATE SET "
        "newest = CASE WHEN excluded.newest = 0 THEN 0 ELSE max(seen.newest, excluded.newest) END",
        [(reader, read, up_to, thread) for thread in threads],
    )


def mark_all(connection: sqlite3.Connection, reader: str, up_to: int) -> None:
    """Mark everything read that was there when the clock stood at `up_to`: what came since was not seen."""
    up_to = min(up_to, clock(connection))
    connection.execute(
        "INSERT INTO readers VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET read_up_to = max(read_up_to, ?)",
        (reader, up_to, up_to),
    )
    connection.execute("DELETE FROM seen WHERE reader = ? AND newest <= ?", (reader, up_to))


def unread(connection: sqlite3.Connection, reader: str) -> int:
    """Return how many threads the reader has not read, at most SHOWN."""
    row = connection.execute("SELECT read_up_to FROM readers WHERE name = ?", (reader,)).fetchone()
    up_to = row["read_up_to"] if row else 0
    # Two ranges an index finds, instead of every thread there is: what came since, and what was marked one by one.
    (since,) = connection.execute(
        "SELECT count(*) FROM (SELECT 1 FROM threads t LEFT JOIN seen s ON s.reader = ? AND s.thread = t.id "
        "WHERE t.newest > ? AND t.newest > coalesce(s.newest, 0) ORDER BY t.newest DESC LIMIT ?)",
        (reader, up_to, SHOWN),
    ).fetchone()
    (before,) = connection.execute(
        "SELECT count(*) FROM (SELECT 1 FROM seen s JOIN threads t ON t.id = s.thread "
        "WHERE s.reader = ? AND s.newest < t.newest AND t.newest <= ? LIMIT ?)",
        (reader, up_to, SHOWN),
    ).fetchone()
    return min(SHOWN, int(since) + int(before))
