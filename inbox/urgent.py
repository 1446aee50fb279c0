"""What a desktop rings for: alerts that came in urgent, or became so, whatever a page's filters show."""

import sqlite3
from typing import Any

LISTED = 20
"""Alerts named in one message, the newest; the count says how many there were."""

COUNTED = 1000


def risen(connection: sqlite3.Connection, after: int) -> dict[str, Any] | None:
    """Return the alerts that became urgent since the clock stood at `after`, newest first; None for none."""
    # That urgent_at is above 0 is said once more, for SQLite to see that its index serves.
    rows = connection.execute(
        "SELECT id, urgent_at, title, headline, entity, rule FROM threads WHERE urgent_at > ? AND urgent_at > 0 "
        "ORDER BY urgent_at DESC LIMIT ?",
        (after, COUNTED),
    ).fetchall()
    if not rows:
        return None
    alerts = [
        {
            "thread": row["id"],
            "at": row["urgent_at"],
            "title": row["title"] or row["headline"],
            "about": " · ".join(dict.fromkeys(filter(None, (row["entity"], row["rule"])))),
        }
        for row in rows[:LISTED]
    ]
    return {"count": len(rows), "alerts": alerts}
