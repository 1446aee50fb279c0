"""Events that went out without their alert, and the second record that completes each."""

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson

from events.records import WebhookEvent
from stream.alert_api import Unavailable
from stream.compose import Enriched
from stream.enrich import Enricher, needs_alert
from stream.fetching import NotFound
from stream.lookups import NotAsked

LIFETIME = timedelta(days=7)
"""How long an event waits for its alert before it leaves as `unavailable`."""
PAUSES = (2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0)
"""Seconds between questions about an alert the API does not show; the last one repeats."""
AT_ONCE = 200
"""Alerts of one partition that are asked about at the same time: some full calls of the list."""
GROUP = 200
"""Completions written in one transaction."""


@dataclass(frozen=True, slots=True)
class Pending:
    """An event that waits for its alert: its record as it was written, and where."""

    key: bytes | None
    value: bytes
    offset: int
    event_id: str
    received_at: datetime
    alert: str | None
    created: bool


@dataclass(slots=True)
class Tries:
    """How often an alert was asked about: in all, and how often of these the API did not show it."""

    all: int = 0
    hidden: int = 0


@dataclass(frozen=True, slots=True)
class Completed:
    """A pending event and the record that completes it."""

    pending: Pending
    record: Enriched


def pending_of(key: bytes | None, value: bytes, offset: int) -> Pending:
    """Return what a pending record of the enriched topic waits for."""
    record = orjson.loads(value)
    event = WebhookEvent.model_construct(**record["event"])
    received_at = datetime.fromisoformat(record["received_at"])
    return Pending(key, value, offset, record["event_id"], received_at, needs_alert(event), event.action == "created")


class Completions:
    """The open pendings of one partition; each alert is asked about patiently, after everybody in a hurry."""

    def __init__(
        self,
        enricher: Enricher,
        write: Callable[[Sequence[Completed]], Awaitable[None]],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._enricher = enricher
        self._write = write
        self._now = now
        self._open: dict[str, Pending] = {}
        self._alerts: dict[str | None, list[str]] = {}
        self._due: list[tuple[float, int, str | None, Tries]] = []
        self._number = 0
        self._new = asyncio.Event()
        self._completed: list[Completed] = []
        self._done = asyncio.Event()
        self._slots = asyncio.Semaphore(AT_ONCE)

    def __len__(self) -> int:
        return len(self._open)

    @property
    def offsets(self) -> list[int]:
        """Where the records of the open pendings are."""
        return [pending.offset for pending in self._open.values()]

    def add(self, pending: Pending) -> None:
        """Complete this event when the API can."""
        self._open[pending.event_id] = pending
        waiting = self._alerts.get(pending.alert)
        if waiting is None:
            self._alerts[pending.alert] = [pending.event_id]
            self._ask_at(asyncio.get_running_loop().time(), pending.alert, Tries())
        else:
            waiting.append(pending.event_id)

    def written(self, completed: Iterable[Completed]) -> None:
        """Note that the brokers have these; only then they are not open any more."""
        for each in completed:
            self._open.pop(each.pending.event_id, None)

    async def run(self) -> None:
        """Complete events until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._flush())
            while True:
                await self._slots.acquire()
                alert, tries = await self._next()
                tasks.create_task(self._ask(alert, tries))

    async def _next(self) -> tuple[str | None, Tries]:
        """Return the alert to ask about next and how often it was, once it is due."""
        while True:
            self._new.clear()
            wait = self._due[0][0] - asyncio.get_running_loop().time() if self._due else None
            if wait is not None and wait <= 0:
                _, _, alert, tries = heapq.heappop(self._due)
                return alert, tries
            try:
                async with asyncio.timeout(wait):
                    await self._new.wait()
            except TimeoutError:
                continue

    def _ask_at(self, time: float, alert: str | None, tries: Tries) -> None:
        self._number += 1
        heapq.heappush(self._due, (time, self._number, alert, tries))
        self._new.set()

    async def _ask(self, alert: str | None, tries: Tries) -> None:
        """Ask once about an alert, and complete what waits for it, or put it off."""
        waiting = [self._open[event_id] for event_id in self._alerts[alert]]
        pause = PAUSES[min(tries.hidden, len(PAUSES) - 1)]
        done: list[Enriched] = []
        try:
            old = [each for each in waiting if self._now() - each.received_at >= LIFETIME or alert is None]
            done = [self._enricher.give_up(each.value, "the Alert API never showed it", tries.all) for each in old]
            if not done:
                tries.all += 1
                done = await self._enricher.complete(alert or "", waiting, tries.all)
        except NotFound:
            tries.hidden += 1
        except Unavailable as error:
            tries.all -= isinstance(error, NotAsked)
            pause = max(error.retry_after or 0.0, 1.0)
        finally:
            self._slots.release()
        by_id = {record.event_id: record for record in done}
        self._completed += [Completed(p, by_id[p.event_id]) for p in waiting if p.event_id in by_id]
        left = [event_id for event_id in self._alerts[alert] if event_id not in by_id]
        if left:
            self._alerts[alert] = left
            self._ask_at(asyncio.get_running_loop().time() + (0.0 if done else pause), alert, tries)
        else:
            del self._alerts[alert]
        if done:
            self._done.set()

    async def _flush(self) -> None:
        while True:
            await self._done.wait()
            self._done.clear()
            while self._completed:
                group, self._completed = self._completed[:GROUP], self._completed[GROUP:]
                await self._write(group)
