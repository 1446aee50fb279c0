"""The pages with the same filters: each message about what changed is made once and queued for all of them."""

import asyncio
import contextlib
from collections.abc import Callable

from inbox import metrics

WAITING = 32
"""Messages a slow page may have waiting; then its connection is closed, and it resumes where it was."""

LEAST, PER_PAGE, PER_VIEW, MOST = 0.02, 0.0002, 0.01, 0.5
"""Seconds a channel rests after a message: the least, what each open page and each other channel adds, and the most.
A message costs about 40 us of processor time for each page and 2.5 ms to make, so that neither takes a core."""

Queue = asyncio.Queue[bytes | None]
Make = Callable[[int, int | None], tuple[bytes, int]]
"""Makes the message about what changed since a reading of the clock, and became urgent since another."""


def rest(pages: int, views: int) -> float:
    """Return how long a channel rests when so many pages with so many different filters are open, in seconds."""
    return min(MOST, LEAST + PER_PAGE * pages + PER_VIEW * max(0, views - 1))


class Channel:
    """One set of filters, and the task that tells its pages what changed: the first news after a rest at once."""

    def __init__(
        self,
        key: tuple[str, str],
        message: Make,
        now: int,
        ended: Callable[[asyncio.Task[None]], None],
        resting: Callable[[], float],
    ) -> None:
        self.key = key
        self.message = message
        self.queues: set[Queue] = set()
        self.changed = asyncio.Event()
        self._now = now
        self._resting = resting
        self._task = asyncio.create_task(self._run(), name=f"channel {key[0]}")
        self._task.add_done_callback(ended)

    def stop(self) -> None:
        """End the task."""
        self._task.cancel()

    async def _run(self) -> None:
        while True:
            await self.changed.wait()
            self.changed.clear()
            before = self._now
            message, self._now = await asyncio.to_thread(self.message, before, None)
            if self._now != before:
                metrics.MESSAGES.inc()
                for queue in self.queues:
                    put(queue, message)
            await asyncio.sleep(self._resting())


def put(queue: Queue, message: bytes | None) -> None:
    """Queue a message; a page that is too slow is cut off instead, and comes back with the last id it heard."""
    if queue.full():
        metrics.DROPPED.inc()
        while not queue.empty():
            queue.get_nowait()
        message = None
    with contextlib.suppress(asyncio.QueueFull):
        queue.put_nowait(message)
