"""Dedupe marks: which event ids were enriched within the window."""

import hashlib
from datetime import datetime, timedelta


class Marks:
    """Event ids of one partition with the time each was received; sixteen bytes an id, whatever its length."""

    def __init__(self, window: timedelta) -> None:
        self._window = window
        self._received: dict[bytes, float] = {}

    def __len__(self) -> int:
        return len(self._received)

    def __contains__(self, event_id: str) -> bool:
        return _digest(event_id) in self._received

    def add(self, event_id: str, received_at: datetime) -> None:
        """Remember an event id."""
        self._received[_digest(event_id)] = received_at.timestamp()

    def expire(self, last: datetime) -> None:
        """Forget what was received a window before `last`, the newest event that is finished.

        Measured against events, not the clock: after a weekend's outage the clock has passed the window of everything
        that still waits in Kafka.
        """
        limit = (last - self._window).timestamp()
        expired = []
        for digest, received in self._received.items():
            if received >= limit:
                break  # insertion order is arrival order but for stragglers, which stay a little longer
            expired.append(digest)
        for digest in expired:
            del self._received[digest]


def _digest(event_id: str) -> bytes:
    return hashlib.blake2b(event_id.encode(), digest_size=16).digest()
