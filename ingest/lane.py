"""One partition's way out of the spool: in order, one batch at a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from ingest.accept import RawRecord
from ingest.publisher import NotPublished
from ingest.spool import Row

BATCH_ROWS = 500
BATCH_BYTES = 100 * 1024
"""Content of a batch; with keys, headers and framing it stays within what the producer sends at once."""

TICK = 0.05
"""Seconds between looks at a lane in which nothing moves."""

QUICK = 0.005
"""The same while the switch is closing and senders wait."""

LATE_GRACE = 3.0
"""Seconds for another worker's acknowledgement to arrive once the partition is well; then a copy is written."""

CALM = 0.5
"""Seconds an acknowledgement may take for Kafka to count as well."""

SLOW_FOR = 5.0
"""Seconds the lane counts as slow after a batch that took longer, when nothing proves the contrary."""


class Way(Protocol):
    """Where a lane leads."""

    def takes(self, partition: int) -> bool:
        """Tell whether the partition can be written just now."""

    async def publish_together(self, partition: int, records: Sequence[RawRecord]) -> int:
        """Write the first of these records, all or none; return how many."""


class Lane:
    """Drain one partition. A batch is one unit for the broker, so the order holds however often it is repeated."""

    def __init__(
        self,
        partition: int,
        way: Way,
        read: Callable[[int], Awaitable[list[Row]]],
        remove: Callable[[list[int]], Awaitable[None]],
        closing: Callable[[], bool],
        count: Callable[[int], None],
    ) -> None:
        self._partition = partition
        self._way = way
        self._read = read
        self._remove = remove
        self._closing = closing
        self._count = count
        self._late_since: float | None = None
        self._behind = True
        self._slow_at = -SLOW_FOR
        self.idle = False
        """Whether nothing was left at the last look."""
        self.drained = 0
        self.stopping = False

    @property
    def calm(self) -> bool:
        """Whether the lane is nearly empty and moves quickly."""
        return not self._behind and time.monotonic() - self._slow_at > SLOW_FOR

    async def run(self) -> None:
        """Drain until told to stop."""
        while not self.stopping:
            rows = await self._read(self._partition)
            self.idle = not rows
            if not await self._step(rows):
                await asyncio.sleep(QUICK if self._closing() else TICK)

    async def _step(self, rows: list[Row]) -> bool:
        """Send what can be sent; return whether anything moved."""
        self._behind = sum(BATCH_BYTES // BATCH_ROWS + len(row.record.value) for row in rows) > BATCH_BYTES // 2
        if not rows:
            self._late_since = None
            return False
        rows = self._sendable(rows)
        if not rows:
            self._behind = True
            return False
        started = time.monotonic()
        try:
            number = await self._way.publish_together(self._partition, [row.record for row in rows])
        except NotPublished:
            self._slow_at = time.monotonic()
            return False
        now = time.monotonic()
        self._slow_at = now if now - started > CALM else -SLOW_FOR
        await self._removed([row.id for row in rows[:number]])
        self.drained += number
        self._count(number)
        return True

    def _sendable(self, rows: list[Row]) -> list[Row]:
        """Cut off what another worker's producer may be writing at this moment."""
        if not self._way.takes(self._partition):
            self._late_since = None
            return []
        late = next((place for place, row in enumerate(rows) if row.late), None)
        if late is None or late > 0:
            self._late_since = None
            return rows[:late]
        now = time.monotonic()
        self._late_since = self._late_since or now
        return rows if now - self._late_since > LATE_GRACE else []

    async def _removed(self, ids: list[int]) -> None:
        """Go on only when they are gone: a disk that fails here must not send them again and again."""
        while True:
            try:
                await self._remove(ids)
            except NotPublished:
                await asyncio.sleep(TICK)
            else:
                return
