"""Drain the spool into the raw topic: one process of the host at a time."""

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import structlog

from ingest.lane import BATCH_BYTES, BATCH_ROWS, QUICK, TICK, Lane, Way
from ingest.spool import Row, Spool
from ingest.spool_writer import SpoolWriter
from ingest.switch import CLOSED, CLOSING, OPEN, Switch

TURN_EVERY = 1.0
"""Seconds between attempts to become the one who drains."""

CLOSE_WITHIN = 0.2
"""Seconds new events are held while the last ones leave the spool."""

CLOSE_EVERY = 0.5
"""Seconds between attempts to close the switch."""

STOP_WITHIN = 1.0
"""Seconds for a batch under way when stopping; cut off, it is sent again by whoever drains next."""

OPEN_FOR = 3.0
"""Seconds the switch stays open at least: a broker that is merely slow must not make every other event wait for it."""

T = TypeVar("T")

log = structlog.get_logger()


class Taken(Exception):
    """Another process of this host drains the spool."""


class Drain:
    """Drain whenever it is this process's turn; `async with` it."""

    def __init__(
        self,
        lock: Path,
        spool: Spool,
        writer: SpoolWriter,
        way: Way,
        switch: Switch,
        partitions: int,
        count: Callable[[int], None],
    ) -> None:
        """Take the file whose lock makes the turn, and the drain's own view of the spool."""
        self._lock = lock
        self._spool = spool
        self._writer = writer
        self._way = way
        self._switch = switch
        self._partitions = partitions
        self._count = count
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="drain")
        self._lanes: list[Lane] = []
        self._stopping = False

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        for lane in self._lanes:
            lane.stopping = True
        with contextlib.suppress(TimeoutError, asyncio.CancelledError):
            await asyncio.wait_for(self._task, STOP_WITHIN)
        await asyncio.to_thread(self._pool.shutdown)

    async def size(self) -> tuple[int, int]:
        """Return the spool's events and bytes."""
        return await self._run_in_pool(self._spool.size)

    async def oldest(self) -> str | None:
        """Return when the first event that still waits was received."""
        return await self._run_in_pool(self._spool.oldest)

    async def _run(self) -> None:
        while not self._stopping:
            try:
                with turn(self._lock):
                    await self.work()
            except Taken:
                await asyncio.sleep(TURN_EVERY)

    async def work(self, *, until_empty: bool = False) -> int:
        """Drain whenever the switch is open; return how many events, with `until_empty` as soon as none is left."""
        drained = 0
        while not self._stopping:
            if self._switch.state != CLOSED:
                drained += await self._episode()
            if until_empty and self._switch.state == CLOSED:
                break
            await asyncio.sleep(TICK)
        return drained

    async def _episode(self) -> int:
        """Drain until the switch is closed; return how many events."""
        self._switch.state = OPEN  # it may have been left closing
        started = time.monotonic()
        self._lanes = [
            Lane(number, self._way, self._read, self._writer.remove, self._closing, self._count)
            for number in range(self._partitions)
        ]
        lanes = [asyncio.create_task(lane.run()) for lane in self._lanes]
        try:
            await self._close(lanes)
            await asyncio.gather(*lanes)
        finally:
            for task in lanes:
                task.cancel()
            drained = sum(lane.drained for lane in self._lanes)
            self._lanes = []
        if self._switch.state == CLOSED:
            log.info("spool_drained", events=drained, seconds=round(time.monotonic() - started, 1))
        return drained

    async def _close(self, lanes: list[asyncio.Task[None]]) -> None:
        """Wait until the lanes are calm and close the switch behind the last event."""
        opened = time.monotonic()
        while not self._stopping:
            done, _ = await asyncio.wait(lanes, timeout=CLOSE_EVERY, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
            if time.monotonic() - opened > OPEN_FOR and all(lane.calm for lane in self._lanes) and await self._closed():
                break
        for lane in self._lanes:
            lane.stopping = True

    async def _closed(self) -> bool:
        """Hold new events and wait for the last ones to leave; give up soon, senders wait."""
        self._switch.state = CLOSING
        end = time.monotonic() + CLOSE_WITHIN
        while time.monotonic() < end:
            if all(lane.idle for lane in self._lanes) and await self._run_in_pool(self._spool.shut):
                return True
            await asyncio.sleep(QUICK)
        self._switch.state = OPEN
        return False

    def _closing(self) -> bool:
        return self._switch.state == CLOSING

    async def _read(self, partition: int) -> list[Row]:
        return await self._run_in_pool(lambda: self._spool.head(partition, BATCH_ROWS, BATCH_BYTES))

    async def _run_in_pool(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)


@contextlib.contextmanager
def turn(path: Path) -> Iterator[None]:
    """Hold the lock of whoever drains; the kernel lets go when this process ends, however it ends.

    Raises Taken.
    """
    number = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Taken from None
        yield
    finally:
        os.close(number)
