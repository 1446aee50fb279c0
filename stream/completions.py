"""Events that went out without their alert, and the second record that completes each."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat

from events.records import EnrichedEvent
from stream import metrics
from stream.alert_api import Unavailable
from stream.enrich import Enricher
from stream.lookups import NotFound

LIFETIME = timedelta(days=7)
"""How long an event waits for its alert before it leaves as `unavailable`."""
PAUSES = (2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0)
"""Seconds between questions about an alert the API does not show; the last one repeats."""


@dataclass(frozen=True)
class Pending:
    """An event that waits for its alert, and the key its records carry."""

    key: bytes | None
    event: EnrichedEvent


class Completions:
    """The open pendings of one partition; each is asked about patiently, after everybody in a hurry."""

    def __init__(
        self,
        enricher: Enricher,
        write: Callable[[Pending], Awaitable[None]],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._enricher = enricher
        self._write = write
        self._now = now
        self.open = 0
        self._new: asyncio.Queue[Pending] = asyncio.Queue()

    def add(self, pending: Pending) -> None:
        """Complete this event when the API can."""
        self.open += 1
        self._new.put_nowait(pending)

    async def run(self) -> None:
        """Complete events until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                tasks.create_task(self._complete(await self._new.get()))

    async def _complete(self, pending: Pending) -> None:
        with metrics.PENDING.track_inprogress():
            await self._write(Pending(pending.key, await self._revision(pending.event)))
        self.open -= 1
        metrics.ENRICHED.labels(status="completed").inc()

    async def _revision(self, pending: EnrichedEvent) -> EnrichedEvent:
        pauses = chain(PAUSES, repeat(PAUSES[-1]))
        while self._now() - pending.received_at < LIFETIME:
            try:
                return await self._enricher.complete(pending)
            except NotFound:
                await asyncio.sleep(next(pauses))
            except Unavailable as error:
                await asyncio.sleep(max(error.retry_after or 0.0, 1.0))
        return self._enricher.give_up(pending, "the Alert API never showed it")
