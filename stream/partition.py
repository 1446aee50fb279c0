"""One owned partition: take its records in order, drop what was seen, complete the rest, write, acknowledge."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from events.codec import decode_webhook, encode
from events.errors import MalformedRecord
from events.headers import DeadLetter, RawHeaders, enriched_headers
from events.identity import identify
from events.records import EnrichedEvent
from events.topics import Topics
from stream import metrics
from stream.completions import Completions, Pending
from stream.enrich import Enricher
from stream.marks import Marks
from stream.outbox import Outbox, Output
from stream.restore import Restored, dead_letter_mark

log = structlog.get_logger()

AHEAD = 1_000
"""Records of a partition that wait or are looked up at once; above it fetching pauses."""
GROUP = 500
"""Records written in one transaction."""


@dataclass(frozen=True)
class RawRecord:
    """A record of the raw topic, and how to say that it is finished."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]
    timestamp: float
    ack: Callable[[], object]


@dataclass(frozen=True)
class _Work:
    record: RawRecord
    received_at: datetime
    result: "asyncio.Task[EnrichedEvent] | Output | None"  # to be written; None: seen before


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
    ) -> None:
        self.number = number
        self.ready = False
        self.acknowledged = 0
        self._topics = topics
        self._outbox = outbox
        self._enricher = enricher
        self._restore = restore
        self._pause = pause
        self._records: asyncio.Queue[RawRecord] = asyncio.Queue()
        self._work: deque[_Work] = deque()
        self._arrived = asyncio.Event()
        self._room = asyncio.Semaphore(AHEAD)
        self._paused = False
        self._marks = Marks(timedelta(0))
        self._completions: Completions | None = None

    @property
    def waiting(self) -> int:
        """Records taken and not yet acknowledged."""
        return self._records.qsize() + len(self._work)

    @property
    def pending(self) -> int:
        """Events written without their alert, to be completed."""
        return self._completions.open if self._completions else 0

    def put(self, record: RawRecord) -> None:
        """Take a record; it waits here until the marks are in."""
        self._records.put_nowait(record)
        if self.waiting > AHEAD and not self._paused:
            self._paused = True
            self._pause(True)

    async def run(self) -> None:
        """Fence the former owner, learn what it has done, then go on from there."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        await self._outbox.fence()
        restored = await self._restore()
        self._marks = restored.marks
        completions = self._completions = Completions(self._enricher, self._write_completed)
        for pending in restored.pending.values():
            completions.add(pending)
        self.ready = True
        log.info(
            "partition_ready",
            partition=self.number,
            marks=len(self._marks),
            pending=len(restored.pending),
            seconds=round(loop.time() - start, 2),
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(completions.run())
            tasks.create_task(self._read())
            tasks.create_task(self._write(completions))

    async def close(self) -> None:
        """Give the partition up."""
        await self._outbox.close()

    async def _read(self) -> None:
        while True:
            await self._room.acquire()
            self._work.append(self._begin(await self._records.get()))
            self._arrived.set()

    def _begin(self, record: RawRecord) -> _Work:
        """Decide what becomes of a record; its mark is set now, for any failure from here on ends the process."""
        headers = RawHeaders.from_kafka(record.headers)
        received_at = headers.received_at if headers else datetime.fromtimestamp(record.timestamp, UTC)
        try:
            event, body = decode_webhook(record.value)
        except MalformedRecord as error:
            mark = dead_letter_mark(self._topics.raw, self.number, record.offset)
            return _Work(record, received_at, None if self._seen(mark, received_at) else self._letter(record, error))
        if headers is None:  # produced by somebody else: named as ingest would, the record itself being the delivery
            delivery = dead_letter_mark(self._topics.raw, self.number, record.offset)
            name = identify(body, record.value or b"", delivery)
            headers = RawHeaders(name.event_id, name.kind, delivery, received_at, origin="unknown")
        if self._seen(headers.event_id, received_at):
            return _Work(record, received_at, None)
        return _Work(record, received_at, asyncio.create_task(self._enricher.enrich(event, headers)))

    def _seen(self, mark: str, received_at: datetime) -> bool:
        if mark in self._marks:
            return True
        self._marks.add(mark, received_at)
        return False

    def _letter(self, record: RawRecord, error: MalformedRecord) -> Output:
        log.warning("dead_letter", partition=self.number, offset=record.offset, reason=str(error))
        letter = DeadLetter("stream", str(error), self._topics.raw, self.number, record.offset)
        return Output(self._topics.dead_letters, record.key, record.value, letter.to_kafka())

    async def _write(self, completions: Completions) -> None:
        """Write what is finished, from the head only, so that order and offsets have no gap."""
        while True:
            while not self._work:
                self._arrived.clear()
                await self._arrived.wait()
            if isinstance(task := self._work[0].result, asyncio.Task):
                await task
            group = self._finished()
            outputs = [self._output(work) for work in group if work.result is not None]
            if outputs:
                await self._outbox.write(outputs)
            for work in group:
                if isinstance(work.result, asyncio.Task):
                    self._written(Pending(work.record.key, work.result.result()), completions)
            self._acknowledge(group)

    def _finished(self) -> list[_Work]:
        group: list[_Work] = []
        while self._work and len(group) < GROUP:
            result = self._work[0].result
            if isinstance(result, asyncio.Task) and not result.done():
                break
            group.append(self._work.popleft())
        return group

    def _output(self, work: _Work) -> Output:
        if isinstance(work.result, asyncio.Task):
            return self._enriched(work.record.key, work.result.result())
        if work.result is None:
            raise TypeError("nothing to write")
        return work.result

    def _enriched(self, key: bytes | None, event: EnrichedEvent) -> Output:
        return Output(self._topics.enriched, key, encode(event), enriched_headers(event))

    def _written(self, written: Pending, completions: Completions) -> None:
        status = written.event.enrichment.status
        metrics.ENRICHED.labels(status=status).inc()
        if status == "pending":
            completions.add(written)

    async def _write_completed(self, completed: Pending) -> None:
        await self._outbox.write([self._enriched(completed.key, completed.event)])

    def _acknowledge(self, group: list[_Work]) -> None:
        self.acknowledged += len(group)
        for work in group:
            work.record.ack()
            self._room.release()
            if work.result is None:
                metrics.DEDUPLICATED.inc()
            elif isinstance(work.result, Output):
                metrics.DEAD_LETTERS.inc()
        # A clock ahead of ours must not make us forget what others will send again.
        self._marks.expire(min(group[-1].received_at, datetime.now(UTC)))
        if self._paused and self.waiting < AHEAD // 2:
            self._paused = False
            self._pause(False)
