"""What chaos runs send: straight to the raw topic as ingest writes it, with everything a stream must bear in between."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any, Self
from uuid import uuid4

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from events.headers import RawHeaders
from events.identity import identify
from events.settings import KafkaSettings
from events.topics import Topics
from sandbox.journal import Journal
from sandbox.sender import BROKEN, bodies
from sandbox.tenant import Tenant

DUPLICATES = 0.25
"""Share of the deliveries that repeat an earlier one, byte for byte."""
UNDECODABLE = 0.02
TOMBSTONES = 0.003
OVERSIZE = 0.002
"""Alerts so large that the enriched record would not fit; a body that large is among the undecodable."""
HUGE = "A line of evidence that does not end. " * 30_000
RECENT = 3_000
"""Events a duplicate is drawn from: half a minute and more, so many come after a takeover."""
TICK = 0.1
"""Seconds of traffic that are journalled and sent together."""
UNDER_WAY = 50
"""Ticks that may wait for a broker at once; the partitions whose leader lives go on meanwhile."""


@dataclass(frozen=True)
class Delivery:
    """One record to write to raw."""

    value: bytes | None
    key: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    partition: int | None = None


class Feed:
    """Send `rate` records a second until told to stop, and note everything in the journal; `async with` it."""

    def __init__(self, kafka: KafkaSettings, tenant: Tenant, journal: Journal, random: Random, rate: float) -> None:
        self._kafka = kafka
        self._topic = Topics(kafka.topic_prefix).raw
        self._journal = journal
        self._random = random
        self._rate = rate
        self._tenant = tenant
        self._events = bodies(tenant, random, 10**9)
        self._recent: deque[Delivery] = deque(maxlen=RECENT)
        self._slots = asyncio.Semaphore(UNDER_WAY)
        self._producer: Any = None  # an AIOKafkaProducer, once connected
        self._making = asyncio.Lock()
        self.sent = 0

    async def __aenter__(self) -> Self:
        await self._connected()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._producer:
            await self._producer.stop()

    async def run(self, stop: asyncio.Event) -> None:
        """Send, and return once `stop` is set and everything is acknowledged."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        async with asyncio.TaskGroup() as tasks:
            while not stop.is_set():
                await self._slots.acquire()
                tasks.create_task(self._tick([self._next() for _ in range(max(1, round(self._rate * TICK)))]))
                due = max(due + TICK, loop.time() - 1.0)  # after a stall a little is caught up with, not all
                await asyncio.sleep(max(0.0, due - loop.time()))

    async def poison(self, count: int, partition: int = 0) -> None:
        """Write a row of undecodable records to one partition, as a broken producer would."""
        await self.deliver([Delivery(b"poison %d" % number, None, (), partition) for number in range(count)])

    async def _tick(self, deliveries: list[Delivery]) -> None:
        try:
            await self.deliver(deliveries)
        finally:
            self._slots.release()

    def _next(self) -> Delivery:
        kind = self._random.random()
        if kind < UNDECODABLE:
            return Delivery(self._random.choice(BROKEN), None)
        if kind < UNDECODABLE + TOMBSTONES:
            return Delivery(None, b"tombstone")
        if self._recent and self._random.random() < DUPLICATES:
            return self._again(self._random.choice(self._recent))
        oversize = self._random.random() < OVERSIZE
        delivery = delivered(orjson.dumps(self._tenant.create_alert(details=HUGE)) if oversize else next(self._events))
        self._recent.append(delivery)
        return delivery

    def _again(self, earlier: Delivery) -> Delivery:
        """Deliver a body anew: to ingest that is another delivery, with an event id of its own where the body has no time."""
        return delivered(earlier.value or b"")

    async def deliver(self, deliveries: list[Delivery]) -> None:
        """Write until everything is acknowledged; what was tried without an answer may be there twice."""
        left = deliveries
        while left:
            with self._journal.together():
                for each in left:
                    if each.value is not None:
                        self._journal.trying(each.value, straight=not each.headers)
            await asyncio.to_thread(self._journal.sync)  # a slow disk must not hold up the API beside us
            producer = await self._connected()
            results = await asyncio.gather(*(self._write(producer, each) for each in left))
            with self._journal.together():
                for each, good in zip(left, results, strict=True):
                    if good and each.value is not None:
                        self._journal.acknowledged(each.value)
            await asyncio.to_thread(self._journal.sync)
            left = [each for each, good in zip(left, results, strict=True) if not good]
            self.sent += len(deliveries) - len(left)
            deliveries = left
            if left:
                await self._replace(producer)

    async def _write(self, producer: AIOKafkaProducer, each: Delivery) -> bool:
        try:
            await producer.send_and_wait(
                self._topic, each.value, each.key, partition=each.partition, headers=list(each.headers)
            )
        except KafkaError:
            return False
        return True

    async def _connected(self) -> AIOKafkaProducer:
        async with self._making:
            while self._producer is None:
                producer = AIOKafkaProducer(
                    **self._kafka.client_options(),
                    acks="all",
                    enable_idempotence=True,
                    max_request_size=4 * 1024 * 1024,
                    linger_ms=5,
                )
                try:
                    await producer.start()
                    self._producer = producer
                except KafkaError:
                    await producer.stop()
                    await asyncio.sleep(0.5)
            return self._producer

    async def _replace(self, failed: AIOKafkaProducer) -> None:
        """Drop a producer that failed: after a lost batch an idempotent one knows no next sequence number."""
        async with self._making:
            if self._producer is failed:
                self._producer = None
                await failed.stop()


def delivered(body: bytes, at: datetime | None = None) -> Delivery:
    """Return a body as ingest would write it now."""
    delivery = uuid4().hex
    name = identify(orjson.loads(body), body, delivery)
    headers = RawHeaders(name.event_id, name.kind, delivery, at or datetime.now(UTC), hook="chaos")
    return Delivery(body, name.key, headers.to_kafka())
