"""One timer for all who wait equally long: an asyncio timer each costs more than the rest of an event's wait."""

import asyncio
import time
from collections import deque
from types import TracebackType
from typing import Any

EVERY = 0.02
"""Seconds between looks for those who wait too long; as much later than asked for they hear of it."""


class Patience:
    """As `asyncio.timeout`, for many tasks of one loop and the same seconds: `with patience.wait(): …`."""

    def __init__(self, seconds: float) -> None:
        """Take the seconds somebody may wait."""
        self._seconds = seconds
        self._waiting: deque[Wait] = deque()
        self._looking = False
        self._loop: asyncio.AbstractEventLoop | None = None  # asking for it is a system call

    def wait(self) -> "Wait":
        """Return what raises TimeoutError in this task unless it is left in time."""
        loop = self._loop = self._loop or asyncio.get_running_loop()
        wait = Wait(asyncio.current_task(loop), time.monotonic() + self._seconds)
        self._waiting.append(wait)
        if not self._looking:
            self._looking = True
            loop.call_later(EVERY, self._look, loop)
        return wait

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """End the waits whose time is over; they are in the order in which they began."""
        now = time.monotonic()
        while self._waiting and (self._waiting[0].task is None or self._waiting[0].end <= now):
            self._waiting.popleft().expire()
        self._looking = bool(self._waiting)
        if self._looking:
            loop.call_later(EVERY, self._look, loop)


class Wait:
    """One task's wait."""

    __slots__ = ("_cancelling", "_expired", "end", "task")

    def __init__(self, task: "asyncio.Task[Any] | None", end: float) -> None:
        self.task = task
        """None once it has left."""
        self.end = end
        self._expired = False

    def expire(self) -> None:
        """Interrupt the task if it is still inside."""
        if self.task:
            self._expired = True
            self._cancelling = self.task.cancelling()
            self.task.cancel()

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self.task = self.task, None
        # Where somebody else has cancelled the task as well, that counts.
        if self._expired and task and task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error
