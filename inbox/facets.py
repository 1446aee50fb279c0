"""The values the filters offer: what has been seen of each, the latest first."""

import sqlite3

from inbox.notification import Notification

KINDS = ("type", "tenant", "community", "entity", "rule", "status")
OFFERED = 300
"""Values of one kind a page offers; typing finds the others."""

_FRESH = 3600.0
"""Seconds in which a value need not be noted again."""


class Writer:
    """Note values; what this process noted within the hour costs nothing."""

    def __init__(self) -> None:
        self._noted: dict[tuple[str, str, str], float] = {}
        self._new: dict[tuple[str, str, str], float] = {}

    def note(self, connection: sqlite3.Connection, event: Notification) -> None:
        """Note the values of an event."""
        labels = {"community": event.community_name or event.community}
        for kind in KINDS:
            value = getattr(event, kind)
            key = (kind, value, labels.get(kind, value))
            if value and event.received_at - self._noted.get(key, 0.0) > _FRESH and key not in self._new:
                self._new[key] = event.received_at
                connection.execute("INSERT OR REPLACE INTO facets VALUES (?, ?, ?, ?)", (*key, event.received_at))

    def keep(self) -> None:
        """Remember what was noted: its transaction is committed."""
        if len(self._noted) > 10 * OFFERED * len(KINDS):
            self._noted.clear()
        self._noted |= self._new
        self._new = {}

    def forget(self) -> None:
        """Forget what a transaction noted that was rolled back."""
        self._new = {}


def offered(connection: sqlite3.Connection) -> dict[str, list[tuple[str, str]]]:
    """Return value and label by kind, in the order of their labels."""
    found = {}
    for kind in KINDS:
        rows = connection.execute(
            "SELECT value, label FROM facets WHERE kind = ? ORDER BY at DESC LIMIT ?", (kind, OFFERED)
        )
        found[kind] = sorted(((row["value"], row["label"]) for row in rows), key=lambda each: each[1].casefold())
    return found
