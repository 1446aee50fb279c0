"""Live messages: what every open page is told, from the moment at which it last knew everything."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from inbox import metrics, reading, urgent
from inbox.channel import WAITING, Channel, Make, Queue, put, rest
from inbox.database import Database
from inbox.filters import Filters
from inbox.listing import Listing, clock
from inbox.messages import changes, sse
from inbox.rendering import Pages

COUNT_EVERY = 1.0
HEARTBEAT = 15.0
"""Seconds between two words to every page that the connection lives."""

RECHECK = 5.0
"""Seconds after which a stream asks again whether its reader is still let in: a link may have been taken back."""

DELIVERED = 1000
"""Threads with new receipts told of at once; a page shows one of them."""

LetIn = Callable[[], bool]


class Live:
    """The pages that are open; `wake` it after each write, `watch` it, `close` it at the end."""

    def __init__(self, database: Database, pages: Pages, *, trouble: Callable[[], str | None] = lambda: None) -> None:
        """Take what says why nothing new can come in just now: a quiet page must not pass for a quiet night."""
        self._database = database
        self._trouble = trouble
        self._pages = pages
        self._channels: dict[tuple[str, str], Channel] = {}
        self._readers: dict[str, set[Queue]] = {}
        self._counted: dict[str, int] = {}
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._delivered: set[int] = set()
        self._broken = asyncio.Event()
        self._error: BaseException | None = None
        self._closed = False

    async def watch(self) -> None:
        """Wait until pages can no longer be told what comes in, and raise why."""
        await self._broken.wait()
        if self._error:
            raise self._error

    def wake(self, delivered: Iterable[int] = ()) -> None:
        """Say that something was written, and which threads got receipts."""
        self._delivered.update(delivered)
        self._changed.set()
        for channel in self._channels.values():
            channel.changed.set()

    def close(self) -> None:
        """End every stream; pages connect again, to the next process."""
        self._closed = True
        for queues in self._readers.values():
            for queue in queues:
                put(queue, None)
        for channel in self._channels.values():
            channel.stop()
        for task in self._tasks:
            task.cancel()

    def seen(self, reader: str, message: dict[str, Any]) -> None:
        """Tell the reader's other pages what was marked."""
        for queue in self._readers.get(reader, ()):
            put(queue, sse("seen", message))
        self._counted.pop(reader, None)
        self._changed.set()

    async def stream(
        self, filters: Filters, reader: str, after: int, let_in: LetIn = lambda: True, *, rung: int | None = None
    ) -> AsyncIterator[bytes]:
        """Yield what changed since the clock stood at `after`, and everything from then on, without a gap.

        `rung` is the reading up to which the page knows what is urgent, where that is another: its list was loaded
        anew meanwhile, with other filters for example. It ends when the reader is `let_in` no longer.
        """
        queue: Queue = asyncio.Queue(WAITING)
        channel = self._channel(filters, reader)
        # First listen, then look: what is written in between comes twice rather than not at all.
        channel.queues.add(queue)
        self._readers.setdefault(reader, set()).add(queue)
        self._counted.pop(reader, None)
        self._changed.set()
        metrics.PAGES.inc()
        try:
            yield b"retry: 1000\n\n"
            yield (await asyncio.to_thread(channel.message, after, rung))[0]
            yield self._beat()
            checked = time.monotonic()
            while not self._closed:
                message = await queue.get()
                if time.monotonic() - checked >= RECHECK:
                    if not let_in():
                        return
                    checked = time.monotonic()
                if message is None:
                    return
                yield message
        finally:
            metrics.PAGES.dec()
            self._readers[reader].discard(queue)
            channel.queues.discard(queue)
            if not channel.queues:
                channel.stop()
                self._channels.pop(channel.key, None)

    def _beat(self) -> bytes:
        return sse("beat", {"trouble": self._trouble()})

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Note a task that ended by itself: a page that hears nothing of it would look live for ever."""
        if not task.cancelled() and (error := task.exception()):
            self._error = error
            self._broken.set()

    def _channel(self, filters: Filters, reader: str) -> Channel:
        key = (filters.address(), reader if filters.state else "")
        if key not in self._channels:
            with self._database.reading() as connection:
                now = clock(connection)
            self._channels[key] = Channel(key, self._messages(filters, key[1]), now, self._ended, self._rest)
        if not self._tasks:
            self._tasks = [asyncio.create_task(each) for each in (self._count(), self._live())]
            for task in self._tasks:
                task.add_done_callback(self._ended)
        return self._channels[key]

    def _rest(self) -> float:
        return rest(sum(map(len, self._readers.values())), len(self._channels))

    def _messages(self, filters: Filters, reader: str) -> Make:
        def made(after: int, rung: int | None = None) -> tuple[bytes, int]:
            with self._database.reading() as connection:
                found = Listing(filters, reader).changed(connection, after)
                risen = urgent.risen(connection, after if rung is None else rung)
            return changes(found, self._pages.rows(found, filters), risen), found.clock

        return made

    async def _count(self) -> None:
        """Tell readers how many threads they have not read, and which got receipts, at most once a second."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            self._tell_delivered()
            for reader in [name for name, queues in self._readers.items() if queues]:
                count = await asyncio.to_thread(self._unread, reader)
                if self._counted.get(reader) != count:
                    self._counted[reader] = count
                    for queue in self._readers[reader]:
                        put(queue, sse("unread", {"count": count}))
            await asyncio.sleep(COUNT_EVERY)

    async def _live(self) -> None:
        """Tell every page that it is not forgotten: one clock for all, where a timer for each message costs more."""
        while True:
            await asyncio.sleep(HEARTBEAT)
            self._tell_all(self._beat())

    def _tell_all(self, message: bytes) -> None:
        for queues in self._readers.values():
            for queue in queues:
                put(queue, message)

    def _tell_delivered(self) -> None:
        if not self._delivered:
            return
        self._tell_all(sse("delivered", {"threads": sorted(self._delivered, reverse=True)[:DELIVERED]}))
        self._delivered = set()

    def _unread(self, reader: str) -> int:
        with self._database.reading() as connection:
            return reading.unread(connection, reader)
