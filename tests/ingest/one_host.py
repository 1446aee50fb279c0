"""The workers of one host in one process, in front of a broker that comes and goes."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from ingest import drain, lane, spool_writer
from ingest.accept import RawRecord
from ingest.drain import Drain
from ingest.publisher import NotPublished
from ingest.spool import Spool
from ingest.spool_writer import SpoolWriter
from ingest.spooled import SpooledPublisher
from ingest.switch import Switch

TOPIC = "t.raw.v1"


def place(key: bytes) -> int:
    return key[0] % 2


class Broker:
    """One topic; while away it keeps what it was sent, and may or may not have it in the end."""

    def __init__(self) -> None:
        self.topic: list[RawRecord] = []
        self.up = True
        self.connected = True
        self.waiting: list[tuple[RawRecord, asyncio.Future[None], object]] = []

    def back(self, lost: bool, backwards: bool) -> None:
        self.up = True
        for record, ack, _ in reversed(self.waiting) if backwards else self.waiting:
            if not lost:
                self.topic.append(record)
            if not ack.done():
                ack.set_exception(NotPublished("given up")) if lost else ack.set_result(None)
        self.waiting = []


class Way:
    """A worker's producer."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker

    @property
    def connected(self) -> bool:
        return self.broker.connected

    def takes(self, partition: int) -> bool:
        mine = (record for record, _, way in self.broker.waiting if way is self)
        return self.broker.up and not any(place(record.key) == partition for record in mine)

    async def publish(self, record: RawRecord) -> None:
        await asyncio.sleep(0)
        if self.broker.up:
            self.broker.topic.append(record)
            return
        ack = asyncio.get_running_loop().create_future()
        self.broker.waiting.append((record, ack, self))
        raise NotPublished("away", ack)

    async def publish_together(self, partition, records) -> int:
        assert {place(record.key) for record in records} == {partition}
        await asyncio.sleep(0)
        if not self.broker.up:
            raise NotPublished("away")
        some = records[: 1 + len(records) // 2] if len(self.broker.topic) % 3 else records
        self.broker.topic += some
        return len(some)


class Worker:
    """One process: its views of the spool, its writer, publisher and drain."""

    def __init__(self, folder: Path, broker: Broker) -> None:
        self.folder = folder
        self.way = Way(broker)
        self.spooled = 0

    def count(self) -> None:
        self.spooled += 1

    async def start(self, *, drains: bool = True) -> None:
        self.stack = contextlib.AsyncExitStack()
        self.switch = Switch(self.folder / "switch")
        self.stack.callback(self.switch.close)
        spools = [Spool(self.folder, TOPIC, max_bytes=4 << 20, switch=self.switch) for _ in range(2)]
        for spool in spools:
            self.stack.enter_context(spool)
        self.writer = await self.stack.enter_async_context(SpoolWriter(spools[0]))
        self.drain = Drain(self.folder / "turn", spools[1], self.writer, self.way, self.switch, 2, lambda number: None)
        if drains:
            await self.stack.enter_async_context(self.drain)
        self.publisher = SpooledPublisher(self.way, self.writer, self.switch, place, self.count)

    async def stop(self) -> None:
        await self.stack.aclose()

    async def kill(self) -> None:
        """End at once; acknowledgements that come later find nobody."""
        self.way.broker.waiting = [
            (record, asyncio.get_running_loop().create_future() if way is self.way else ack, way)
            for record, ack, way in self.way.broker.waiting
        ]
        self.drain._task.cancel()
        await self.stop()


async def until(condition) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


def event(number: int, key: bytes = b"a") -> RawRecord:
    return RawRecord(key, b"%d" % number, [("event-id", b"%d" % number)])


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for nothing longer than a test should."""
    for module, name, seconds in (
        (spool_writer, "FAILING_FOR", 0),
        (lane, "TICK", 0.001),
        (drain, "TICK", 0.001),
        (lane, "LATE_GRACE", 0.02),
        (lane, "SLOW_FOR", 0),
        (drain, "OPEN_FOR", 0),
        (drain, "CLOSE_EVERY", 0.002),
        (drain, "TURN_EVERY", 0.005),
    ):
        monkeypatch.setattr(module, name, seconds)
