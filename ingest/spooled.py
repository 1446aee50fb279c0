"""Publish to Kafka while it takes events, to the spool while it does not; whoever posts hears within two seconds."""

import asyncio
import functools
import time
from collections.abc import Callable
from typing import Any, Protocol

import structlog

from ingest.accept import RawRecord
from ingest.publisher import NotPublished, Publisher
from ingest.spool_writer import SpoolWriter
from ingest.switch import CLOSED, CLOSING, Switch

WITHIN = 1.8
"""Seconds for an event to become durable, one way or the other."""

HOLD = 0.25
"""Seconds an event waits while the switch closes; longer than that and it goes to the spool."""

HOLD_STEP = 0.005


class Direct(Publisher, Protocol):
    """The way to Kafka."""

    @property
    def connected(self) -> bool:
        """Whether it is worth trying."""


log = structlog.get_logger()


class SpooledPublisher:
    """Choose the way of each event so that none overtakes another that was answered before it came."""

    def __init__(
        self,
        direct: Direct,
        writer: SpoolWriter,
        switch: Switch,
        place: Callable[[bytes], int],
        count: Callable[[], None],
    ) -> None:
        """Take both ways, what chooses between them, the partition of a key, and what counts spooled events."""
        self._direct = direct
        self._writer = writer
        self._switch = switch
        self._place = place
        self._count = count
        self._holding: asyncio.Task[None] | None = None
        self._told = False

    async def publish(self, record: RawRecord) -> None:
        """Return once the record is in the topic or on this host's disk.

        Raises NotPublished when neither can be had in time.
        """
        state = self._switch.state
        if state == CLOSED and self._direct.connected:
            started = time.monotonic()
            try:
                await self._direct.publish(record)
            except NotPublished as error:
                self._tell(str(error))
                await self._spool(record, started, error.late)
            else:
                self._told = False
        elif state == CLOSING and await self._closed():
            await self.publish(record)
        else:
            self._tell("Kafka is not connected" if state == CLOSED else "the spool is not empty")
            await self._spool(record, time.monotonic(), None)

    async def _spool(self, record: RawRecord, started: float, late: "asyncio.Future[Any] | None") -> None:
        pending = late is not None and not late.done()
        written = self._writer.append(self._place(record.key), record, late=pending)
        if late is not None:
            written.add_done_callback(functools.partial(self._follow, late))
        try:
            async with asyncio.timeout(WITHIN - (time.monotonic() - started)):
                await asyncio.shield(written)
        except TimeoutError:
            raise NotPublished("neither Kafka nor the disk of the spool answers in time") from None
        self._count()

    def _follow(self, late: "asyncio.Future[Any]", written: "asyncio.Future[int]") -> None:
        """Take the event out of the spool again as soon as Kafka acknowledges it."""
        if not written.cancelled() and written.exception() is None:
            late.add_done_callback(functools.partial(self._late, written.result()))

    def _late(self, number: int, late: "asyncio.Future[Any]") -> None:
        if late.cancelled() or late.exception():
            self._writer.settle(number)
        else:
            self._writer.forget(number)

    async def _closed(self) -> bool:
        """Wait while the switch is closing; return whether it closed."""
        if self._holding is None:
            self._holding = asyncio.create_task(self._hold())
            self._holding.add_done_callback(self._held)
        await asyncio.shield(self._holding)
        return self._switch.state == CLOSED

    async def _hold(self) -> None:
        end = time.monotonic() + HOLD
        while self._switch.state == CLOSING and time.monotonic() < end:
            await asyncio.sleep(HOLD_STEP)

    def _held(self, _: "asyncio.Task[None]") -> None:
        self._holding = None

    def _tell(self, reason: str) -> None:
        if not self._told:
            self._told = True
            log.warning("spooling", reason=reason)
