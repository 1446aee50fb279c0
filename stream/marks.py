"""Dedupe marks: what was enriched within the window."""

import hashlib
from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta

MINUTE = 60


def digest(name: str) -> bytes:
    """Return what a mark is kept as: sixteen bytes, whatever the length of its name."""
    return hashlib.blake2b(name.encode(), digest_size=16).digest()


class Marks:
    """Digests of one partition by the minute they were taken in: about 100 bytes of memory each.

    Minutes never go back: an event that comes late, drained from a spool for example, is remembered as long as those
    it arrived with, for its duplicates come as late as it did.
    """

    def __init__(self, window: timedelta) -> None:
        self._window = window.total_seconds()
        self._seen: set[bytes] = set()
        self._minutes: deque[tuple[int, list[bytes]]] = deque()

    def __len__(self) -> int:
        return len(self._seen)

    def __contains__(self, mark: bytes) -> bool:
        return mark in self._seen

    @property
    def newest(self) -> int:
        """The newest minute (since 1970) any mark belongs to."""
        return self._minutes[-1][0] if self._minutes else 0

    def add(self, marks: Iterable[bytes], at: float) -> None:
        """Remember marks of events taken `at` (seconds since 1970), or when those before them were."""
        minute = int(at // MINUTE)
        if not self._minutes or minute > self._minutes[-1][0]:
            self._minutes.append((minute, []))
        bucket = self._minutes[-1][1]
        for mark in marks:
            if mark not in self._seen:
                self._seen.add(mark)
                bucket.append(mark)

    def expire(self, last: datetime) -> None:
        """Forget what was taken a window before `last` was received, the newest event that is finished; to the minute.

        Measured against events, not the clock: after a weekend's outage the clock has passed the window of everything
        that still waits in Kafka.
        """
        limit = last.timestamp() - self._window
        while self._minutes and (self._minutes[0][0] + 1) * MINUTE <= limit:
            self._seen.difference_update(self._minutes.popleft()[1])
