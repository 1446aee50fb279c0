"""What a partition has read and not yet acknowledged: written as it gets done, in order per key, acknowledged in order."""

import asyncio
from collections import deque
from datetime import datetime

from stream.intake import Work


class Backlog:
    """Works of one partition.

    An event that waits for the Alert API holds back those of the same key only: order is promised per alert, and the
    dedupe marks tell a new owner what was written past it.
    """

    def __init__(self) -> None:
        self._all: deque[Work] = deque()
        self.open = 0
        """How many are not written yet."""
        self._behind: dict[bytes | None, deque[Work]] = {}
        self._writable: deque[Work] = deque()
        self.some = asyncio.Event()
        """Set while there is something to write."""

    def __len__(self) -> int:
        return len(self._all)

    @property
    def oldest(self) -> datetime | None:
        """When the event was received that has been waiting to be acknowledged the longest."""
        return self._all[0].received_at if self._all else None

    @property
    def writable(self) -> int:
        """How many works can be written now."""
        return len(self._writable)

    def add(self, work: Work) -> None:
        """Take the work of the next record."""
        self._all.append(work)
        self.open += 1
        key = work.record.key
        if (behind := self._behind.get(key)) is not None:
            behind.append(work)
        elif isinstance(work.result, asyncio.Task):
            self._behind[key] = deque([work])
            work.result.add_done_callback(lambda _: self._release(key))
        else:
            self._writable.append(work)
            self.some.set()

    def take(self, limit: int) -> list[Work]:
        """Return the next works to write together."""
        group = [self._writable.popleft() for _ in range(min(limit, len(self._writable)))]
        if not self._writable:
            self.some.clear()
        return group

    def wrote(self, group: list[Work]) -> list[Work]:
        """Note that the brokers have these; return those that can be acknowledged now, in order and without a gap."""
        self.open -= len(group)
        for work in group:
            work.end()
        finished = []
        while self._all and self._all[0].written:
            finished.append(self._all.popleft())
        return finished

    def _release(self, key: bytes | None) -> None:
        behind = self._behind[key]
        while behind and behind[0].done:
            self._writable.append(behind.popleft())
        if not behind:
            del self._behind[key]
        elif isinstance(head := behind[0].result, asyncio.Task):
            head.add_done_callback(lambda _: self._release(key))
        self.some.set()
