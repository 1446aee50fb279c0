"""Posts on their way: several at once, each a record of another key; whoever launches them collects what came of each."""

import asyncio
from collections import deque
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from sinks.handling import Handled
from sinks.window import Held

Landed = tuple[Held, Handled | None]
"""A record, and how it came to its end; None where it did not, and may be tried again."""

Course = Coroutine[Any, Any, Handled | None]


class Flights:
    """What one target is being told just now."""

    def __init__(self) -> None:
        self._held: dict[asyncio.Task[Handled | None], Held] = {}
        self._done: deque[asyncio.Task[Handled | None]] = deque()
        self._waiter: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        """Return how many were launched and not collected."""
        return len(self._held)

    def launch(self, held: Held, course: Course) -> None:
        """Have a record told; until it is collected nothing else of its key may be launched."""
        task = asyncio.create_task(course)
        self._held[task] = held
        task.add_done_callback(self._landing)

    def _landing(self, task: asyncio.Task[Handled | None]) -> None:
        if task in self._held:
            self._done.append(task)
            if self._waiter and not self._waiter.done():
                self._waiter.set_result(None)

    async def wait(self, seconds: float) -> None:
        """Return when one has landed, at the latest after some seconds."""
        if self._done:
            return
        self._waiter = asyncio.get_running_loop().create_future()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._waiter

    def collect(self) -> list[Landed]:
        """Return those that landed since; raises what one of them raised."""
        landed: list[Landed] = []
        while self._done:
            task = self._done.popleft()
            landed.append((self._held.pop(task), task.result()))
        return landed

    async def all(self) -> list[Landed]:
        """Wait until none is on its way, and collect them."""
        landed = self.collect()
        while self._held:
            await asyncio.wait(self._held)
            await asyncio.sleep(0)  # the callbacks of those that are done have not run yet
            landed += self.collect()
        return landed

    async def cancel(self) -> None:
        """Give up those on their way: they come again, and may then have been told twice."""
        tasks = list(self._held)
        self._held.clear()
        self._done.clear()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
            for task in tasks:
                task.cancelled() or task.exception()  # looked at: it is given up whatever came of it
