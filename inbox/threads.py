"""Threads: the events of one alert, case or report folded into one row, and bursts of such rows."""

import sqlite3
from typing import Any

from inbox.notification import URGENT, Notification, level

LARGEST_BURST = 200
"""Threads of one row; the next one opens another."""

_KNOWN_ONCE = ("title", "entity", "rule", "short_id", "source", "target", "link", "tenant", "community")
_SEARCHED = ("title", "entity", "rule", "status", "short_id", "source", "target", "community_name", "headline")
_COLUMNS = (
    *("key", "newest", "changed", "first_at", "last_at", "count", "types", "headline", "title", "entity", "rule"),
    *("status", "short_id", "source", "target", "link", "tenant", "community", "community_name", "pending"),
    *("urgency", "level", "search", "by_rule", "by_entity", "urgent_at"),
)
_INSERT = f"INSERT INTO threads (id, {', '.join(_COLUMNS)}) VALUES (?{', ?' * len(_COLUMNS)})"  # noqa: S608 - our names
_UPDATE = f"UPDATE threads SET {', '.join(f'{name} = ?' for name in _COLUMNS)} WHERE id = ?"  # noqa: S608 - as above


def fold(connection: sqlite3.Connection, event: Notification, now: int, gap: float, *, news: bool) -> int:
    """Add an event to its thread and return the thread's id; a completion (no news) changes what is known only.

    `now` is the clock's reading, `gap` how many seconds apart alerts of one burst may be.
    """
    row = connection.execute("SELECT * FROM threads WHERE key = ?", (event.thread,)).fetchone()
    before: dict[str, Any] = dict(row) if row else {}
    number: int = before.get("id", now)
    after = _known(before, event) | {
        "key": event.thread,
        "newest": now if news or not before else before["newest"],
        "changed": now,
        "first_at": before.get("first_at", event.received_at),
        "last_at": max(before.get("last_at", 0.0), event.received_at),
        "count": before.get("count", 0) + news,
        "types": _with(before.get("types", ","), event.type),
        "headline": event.headline,
    }
    after["level"] = level(after["urgency"])
    rises = after["level"] == URGENT != before.get("level")
    after["urgent_at"] = now if rises else before.get("urgent_at", 0)
    after["search"] = "\n".join(str(after[name]) for name in _SEARCHED).casefold()
    for kind in ("rule", "entity"):
        after[f"by_{kind}"] = _burst(connection, kind, number, before, after, gap)
    values = [after[name] for name in _COLUMNS]
    if before:
        connection.execute(_UPDATE, (*values, number))
    else:
        connection.execute(_INSERT, (number, *values))
    return number


def _known(before: dict[str, Any], event: Notification) -> dict[str, Any]:
    """Return what is known of the alert: the newest word where there is one, else what was known."""
    known = {name: getattr(event, name) or before.get(name, "") for name in _KNOWN_ONCE}
    known["status"] = event.status or before.get("status", "")
    known["community_name"] = event.community_name or before.get("community_name", "")
    known["urgency"] = before.get("urgency") if event.urgency is None else event.urgency
    known["pending"] = event.pending
    return known


def _with(types: str, new: str) -> str:
    return types if f",{new}," in types else f"{types}{new.replace(',', ' ')},"


def _burst(
    connection: sqlite3.Connection, kind: str, number: int, before: dict[str, Any], after: dict[str, Any], gap: float
) -> int:
    """Return the thread that opened the burst this one belongs to: decided once, when its rule or entity is known."""
    place: int = before.get(f"by_{kind}", number)
    if not after[kind] or before.get(kind):
        return place
    key = "\n".join((after["tenant"], after["community"], after[kind]))
    at = after["last_at"]
    found = connection.execute("SELECT * FROM bursts WHERE kind = ? AND key = ?", (kind, key)).fetchone()
    if found and at - found["last_at"] <= gap and found["size"] < LARGEST_BURST:
        connection.execute(
            "UPDATE bursts SET last_at = max(last_at, ?), size = size + 1 WHERE kind = ? AND key = ?", (at, kind, key)
        )
        opener: int = found["thread"]
        return opener
    connection.execute("INSERT OR REPLACE INTO bursts VALUES (?, ?, ?, ?, 1)", (kind, key, number, at))
    return number
