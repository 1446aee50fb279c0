"""Group commit: one thread per worker writes to the spool what its requests bring, many with one fsync."""

import asyncio
import contextlib
import functools
import queue
import sqlite3
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import structlog

from ingest.accept import RawRecord
from ingest.publisher import NotPublished
from ingest.spool import Entry, Spool

GROUP = 500
"""Operations in one transaction at most: what waits meanwhile waits no longer than a few fsyncs."""

MAX_HELD = 32 * 1024 * 1024
"""Bytes of events waiting for the disk; beyond it no more are taken."""

_PER_RECORD = 8 * 1024  # what a waiting request costs besides its body, roughly

GROUP_BYTES = 1024 * 1024
"""Content of one transaction; SQLite's log must stay far smaller than the spool's reserve."""

FAILING_FOR = 5.0
"""Seconds without a failure until writing counts as possible again: at the brink, room comes and goes."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Append:
    entry: Entry
    done: asyncio.Future[int]


@dataclass(frozen=True, slots=True)
class _Remove:
    ids: list[int]
    done: asyncio.Future[int]


@dataclass(frozen=True, slots=True)
class _Settle:
    id: int


_Operation = _Append | _Remove | _Settle


@dataclass(slots=True)
class _Group:
    entries: list[Entry] = field(default_factory=list)
    waiting: list[asyncio.Future[int]] = field(default_factory=list)
    remove: list[int] = field(default_factory=list)
    removed: list[asyncio.Future[int]] = field(default_factory=list)
    settle: list[int] = field(default_factory=list)
    bytes: int = 0

    def take(self, operation: _Operation) -> None:
        match operation:
            case _Append(entry, done):
                self.entries.append(entry)
                self.bytes += len(entry.record.value)
                self.waiting.append(done)
            case _Remove(ids, done):
                self.remove += ids
                self.removed.append(done)
            case _Settle(number):
                self.settle.append(number)


class SpoolWriter:
    """Write to the spool from an event loop; `async with` it."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._queue: queue.SimpleQueue[_Operation | None] = queue.SimpleQueue()
        self._failing = False
        self._failed_at = 0.0
        self._held = 0

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what was handed in, and end."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    @property
    def failing(self) -> bool:
        """Whether a write failed lately: the disk or the spool is full, or the disk is broken."""
        return self._failing

    def append(self, partition: int, record: RawRecord, *, late: bool) -> "asyncio.Future[int]":
        """Return what becomes the row's id once the event is on disk.

        It raises NotPublished when the event cannot be written.
        """
        done = self._loop.create_future()
        size = len(record.value) + _PER_RECORD
        if self._held + size > MAX_HELD:
            done.set_exception(NotPublished("too many events are waiting for the disk of the spool"))
            return done
        self._held += size
        done.add_done_callback(functools.partial(self._release, size))
        self._queue.put(_Append(Entry(partition, late, record), done))
        return done

    def _release(self, size: int, done: "asyncio.Future[int]") -> None:
        self._held -= size
        if not done.cancelled():
            done.exception()  # whoever waited may have left

    async def remove(self, ids: list[int]) -> None:
        """Return once these events, which are in the topic, are no longer in the spool.

        Raises NotPublished when the disk fails.
        """
        done = self._loop.create_future()
        self._queue.put(_Remove(ids, done))
        await done

    def forget(self, number: int) -> None:
        """Remove an event that is in the topic, some time soon; if that fails, a copy is written."""
        done = self._loop.create_future()
        done.add_done_callback(lambda future: future.exception())
        self._queue.put(_Remove([number], done))

    def settle(self, number: int) -> None:
        """Note, some time soon, that nobody waits for this event's acknowledgement any more."""
        self._queue.put(_Settle(number))

    def _run(self) -> None:
        going = True
        while going:
            group, going = self._gather()
            self._write(group)

    def _gather(self) -> tuple[_Group, bool]:
        """Wait for one operation and take what else is there; False with the last group."""
        group = _Group()
        operation = self._queue.get()
        for place in range(GROUP):
            if operation is None:
                return group, False
            group.take(operation)
            if place == GROUP - 1 or group.bytes > GROUP_BYTES or self._queue.empty():  # nobody else takes from it
                break
            operation = self._queue.get()
        return group, True

    def _write(self, group: _Group) -> None:
        try:
            ids = self._spool.write(group.entries, remove=group.remove, settle=group.settle)
        except (sqlite3.Error, OSError) as error:
            self._failed(group, error)
        else:
            if group.entries and self._failing and time.monotonic() - self._failed_at > FAILING_FOR:
                self._failing = False
                log.info("spool_writable")
            self._answer([*zip(group.waiting, ids, strict=True), *((done, 0) for done in group.removed)])

    def _failed(self, group: _Group, error: Exception) -> None:
        """Refuse the events; a removal must not fail for their sake, it is what makes room again."""
        if not group.entries:
            self._answer([(done, error) for done in group.removed])
            return
        self._failed_at = time.monotonic()
        if not self._failing:
            self._failing = True
            log.error("spool_not_writable", reason=str(error))
        self._answer([(done, error) for done in group.waiting])
        with contextlib.suppress(sqlite3.Error, OSError):
            self._spool.make_room()
        self._write(_Group(remove=group.remove, removed=group.removed, settle=group.settle))

    def _answer(self, answers: list[tuple[asyncio.Future[int], int | Exception]]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop ended with nobody waiting
            self._loop.call_soon_threadsafe(_resolve, answers)


def _resolve(answers: list[tuple[asyncio.Future[int], int | Exception]]) -> None:
    for done, answer in answers:
        if done.done():
            continue
        if isinstance(answer, int):
            done.set_result(answer)
        else:
            done.set_exception(NotPublished(f"the spool cannot be written ({answer})"))
