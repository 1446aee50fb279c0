"""One owned partition: take its records, drop what was seen, complete the rest, write, acknowledge."""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

import structlog

from events.topics import Topics
from stream import metrics
from stream.backlog import Backlog
from stream.completions import Completed, Completions, pending_of
from stream.compose import Enriched
from stream.enrich import Enricher
from stream.intake import Intake, RawRecord, Work
from stream.outbox import Outbox, Output
from stream.restore import Restored

log = structlog.get_logger()

AHEAD = 2_000
"""Records of a partition that wait or are looked up at once; above it fetching pauses."""
HELD = 20_000
"""Records that are written or wait for one before them to be; as many pass an event that waits for its alert."""
GROUP = 1_000
"""Records written in one transaction."""
GATHER = 0.02
"""Seconds a small group waits for more while more is waiting to be read."""
GUARD = 1.0
"""Seconds a worker that wakes up waits for its group's word before it writes: most zombies hear of their end within it."""
TURN = 200
"""Records taken before others get their turn."""


class Partition:
    """The owner's side of one partition; `run` ends only by cancellation or by an error that ends the process."""

    def __init__(
        self,
        number: int,
        topics: Topics,
        outbox: Outbox,
        enricher: Enricher,
        restore: Callable[[], Awaitable[Restored]],
        pause: Callable[[bool], None],
        finish: Callable[[int], None],
        window: timedelta,
        vouched: Callable[[], bool] = lambda: True,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.number = number
        self.acknowledged = 0
        self._topics = topics
        self._outbox = outbox
        self._enricher = enricher
        self._restore = restore
        self._pause = pause
        self._finish = finish
        self._window = window
        self._vouched = vouched
        self._now = now
        self._records: deque[RawRecord] = deque()
        self._backlog = Backlog()
        self._arrived, self._room = asyncio.Event(), asyncio.Event()
        self._paused = False
        self._restored: Restored | None = None
        self._completions = Completions(enricher, self._write_completed, now)

    @property
    def ready(self) -> bool:
        """Whether the marks are in; nothing is handled before."""
        return self._restored is not None

    @property
    def waiting(self) -> int:
        """Records taken and not yet acknowledged."""
        return len(self._records) + len(self._backlog)

    @property
    def _open(self) -> int:
        return len(self._records) + self._backlog.open

    @property
    def oldest(self) -> float:
        """When the oldest of them was received, or appended (seconds since 1970); infinite when none waits."""
        if oldest := self._backlog.oldest:
            return oldest.timestamp()
        return self._records[0].timestamp / 1000 if self._records else float("inf")

    @property
    def pending(self) -> int:
        """Events written without their alert, to be completed."""
        return len(self._completions)

    @property
    def marks(self) -> int:
        """Marks remembered."""
        return len(self._restored.marks) if self._restored else 0

    def put(self, records: Sequence[RawRecord]) -> None:
        """Take records; they wait here until the marks are in."""
        self._records += records
        self._arrived.set()
        if not self._paused and (self._open > AHEAD or self.waiting > HELD):
            self._paused = True
            self._pause(True)

    async def run(self) -> None:
        """Fence the former owner, learn what it has done, then go on from there."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        await self._outbox.fence()
        restored = self._restored = await self._restore()
        for pending in restored.pending.values():
            self._completions.add(pending)
        log.info(
            "partition_ready",
            partition=self.number,
            marks=len(restored.marks),
            checkpointed=restored.checkpointed,
            pending=len(restored.pending),
            seconds=round(loop.time() - start, 2),
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._completions.run())
            tasks.create_task(self._read(restored))
            tasks.create_task(self._write(restored))

    async def close(self) -> None:
        """Give the partition up."""
        await self._outbox.close()

    async def _read(self, restored: Restored) -> None:
        intake = Intake(self.number, self._topics, self._enricher, restored.marks, self._now)
        while True:
            await self._arrived.wait()
            while self._backlog.open >= AHEAD or len(self._backlog) >= HELD:
                self._room.clear()
                await self._room.wait()
            for _ in range(min(TURN, len(self._records))):
                self._backlog.add(intake.begin(self._records.popleft()))
            if not self._records:
                self._arrived.clear()
            await asyncio.sleep(0)

    async def _write(self, restored: Restored) -> None:
        while True:
            await self._backlog.some.wait()
            if self._records and self._backlog.writable < GROUP:  # a transaction costs as much as some hundred records
                await asyncio.sleep(GATHER)
            await self._save(restored, self._backlog.take(GROUP))

    async def _save(self, restored: Restored, group: list[Work]) -> None:
        """Write a group in one transaction, acknowledge what has no gap before it, write a checkpoint when one is due."""
        await self._ask_group()
        works = [work for work in group if work.result is not None]
        outputs = [self._output(work) for work in works]
        await self._outbox.write(lambda: outputs, lambda offsets: self._wrote(restored, works, offsets))
        metrics.DEDUPLICATED.inc(len(group) - len(works))
        finished = self._backlog.wrote(group)
        self._make_room()
        if not finished:
            return
        self._acknowledge(finished)
        # Marks are kept by what is acknowledged: a new owner begins right behind it.
        last = min(finished[-1].received_at, self._now())
        restored.marks.expire(last)
        now, limit = asyncio.get_running_loop().time(), (last - self._window).timestamp()
        if restored.ledger.due(now):
            await self._outbox.write(lambda: restored.ledger.checkpoint(now, limit, self._completions.offsets))

    async def _ask_group(self) -> None:
        """Give a group that was silent a moment to say that the partition is no longer ours; the fence is what decides."""
        end = asyncio.get_running_loop().time() + GUARD
        while not self._vouched() and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(GUARD / 20)

    def _output(self, work: Work) -> Output:
        if isinstance(work.result, Output):
            return work.result
        record = work.enriched()
        if record is None:
            raise TypeError("nothing to write")
        return self._enriched(work.record.key, record)

    def _enriched(self, key: bytes | None, record: Enriched) -> Output:
        return Output(self._topics.enriched, key, record.value, record.headers())

    def _wrote(self, restored: Restored, works: list[Work], offsets: Sequence[int]) -> None:
        """Note what the brokers have now."""
        ends: dict[str, int] = {}
        counts: Counter[str] = Counter()
        for work, offset in zip(works, offsets, strict=True):
            record = work.enriched()
            ends[self._topics.enriched if record else self._topics.dead_letters] = offset + 1
            if record is None:
                metrics.DEAD_LETTERS.labels("malformed").inc()
                continue
            counts[record.status] += 1
            if record.status == "pending":
                self._completions.add(pending_of(work.record.key, record.value, offset))
        for status, count in counts.items():
            metrics.ENRICHED.labels(status=status).inc(count)
        for topic, end in ends.items():
            restored.ledger.reached(topic, end)
        restored.ledger.wrote([mark for work in works for mark in work.marks], restored.marks.newest)

    async def _write_completed(self, completed: Sequence[Completed]) -> None:
        await self._ask_group()
        outputs = [self._enriched(each.pending.key, each.record) for each in completed]

        def wrote(offsets: Sequence[int]) -> None:
            self._completions.written(completed)
            if self._restored:
                self._restored.ledger.reached(self._topics.enriched, offsets[-1] + 1)
            metrics.ENRICHED.labels(status="completed").inc(len(completed))

        await self._outbox.write(lambda: outputs, wrote)

    def _acknowledge(self, finished: list[Work]) -> None:
        self.acknowledged += len(finished)
        self._finish(finished[-1].record.offset)
        self._make_room()

    def _make_room(self) -> None:
        self._room.set()
        if self._paused and self._open < AHEAD // 2 and self.waiting < HELD // 2:
            self._paused = False
            self._pause(False)
