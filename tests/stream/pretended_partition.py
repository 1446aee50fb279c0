"""A partition between a pretended Kafka and a pretended API, on virtual time."""

import asyncio
import contextlib
import uuid
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import orjson

from events.codec import decode_enriched
from events.headers import RawHeaders
from events.identity import identify
from events.slots import Slots
from events.topics import Topics
from stream.alert_api import Unavailable
from stream.breaker import Breaker
from stream.budget import SETTLING, Budget
from stream.checkpoint import Head, Ledger
from stream.enrich import Enricher
from stream.lookups import Lookups
from stream.marks import Marks
from stream.partition import Partition
from stream.restore import Restored, apply_enriched

TOPICS = Topics("t.")
WINDOW = timedelta(hours=24)
START = datetime(2026, 8, 1, tzinfo=UTC)


class Kafka:
    """What was written, what was acknowledged; an outbox that can be made to wait or to fail."""

    def __init__(self):
        self.topics = {TOPICS.enriched: [], TOPICS.dead_letters: [], TOPICS.marks: []}
        self.acked = []
        self.open = asyncio.Event()
        self.open.set()
        self.transactions = 0

    async def fence(self):
        pass

    def finish(self, offset):
        self.acked += range(len(self.acked), offset + 1)

    async def close(self):
        pass

    async def write(self, make, written=lambda _: None):
        await self.open.wait()
        outputs = make()
        if outputs:
            self.transactions += 1
            await asyncio.sleep(0.01)
            offsets = []
            for output in outputs:
                offsets.append(len(self.topics[output.topic]))
                self.topics[output.topic].append(output)
            written(offsets)

    def enriched(self):
        return [decode_enriched(output.value) for output in self.topics[TOPICS.enriched]]

    def restored(self, now):
        """Read all of it back, as a new owner would."""
        marks, pending = Marks(WINDOW), {}
        ledger = Ledger(0, TOPICS, Head(0, 0, 0.0))
        for offset, output in enumerate(self.topics[TOPICS.enriched]):
            found = apply_enriched(pending, output.key, output.value, output.headers, offset)
            marks.add(found, now.timestamp())
        return Restored(marks, pending, ledger, 0)


class Api:
    def __init__(self):
        self.away, self.unknown, self.latency, self.calls = False, set(), 0.02, []

    async def listed(self, uuids):
        self.calls.append(tuple(uuids))
        await asyncio.sleep(self.latency)
        if self.away:
            raise Unavailable("status 503")
        return {each: {"uuid": each, "title": "T"} for each in uuids if each not in self.unknown}

    async def some(self, count):
        return [str(uuid.UUID(int=number)) for number in range(count)]

    async def name(self, kind, _uuid):
        return f"a {kind}"


class Site:
    """A partition, and what it stands between."""

    def __init__(self):
        self.kafka, self.api = Kafka(), Api()
        self.restore = asyncio.Event()
        self.restore.set()
        self.now = START
        self.paused = []
        self.offset = 0

    @contextlib.asynccontextmanager
    async def running(self):
        loop = asyncio.get_running_loop()
        start, self.origin = self.now, loop.time()
        budget = Budget(Slots(4.5, loop.time))
        budget.share({0}, 1, loop.time() - SETTLING)
        lookups = Lookups(self.api, budget, Breaker(), 50, 0.02)
        now = lambda: start + timedelta(seconds=loop.time() - self.origin) + (self.now - start)  # noqa: E731
        enricher = Enricher(lookups, "https://app", timedelta(seconds=3), now)

        async def restored():
            await self.restore.wait()
            return self.kafka.restored(start)

        pause, finish = self.paused.append, self.kafka.finish
        partition = Partition(0, TOPICS, self.kafka, enricher, restored, pause, finish, WINDOW, now=now)
        tasks = [asyncio.create_task(lookups.run()), asyncio.create_task(partition.run())]
        self.partition, self.lookups = partition, lookups
        yield partition
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    def put(self, *bodies, origin="webhook", at=None, event_id=None, key=b"k"):
        for body in bodies:
            value = body if isinstance(body, bytes | None) else orjson.dumps(body)
            headers = []
            if isinstance(body, dict):
                name = identify(body, value, "")
                raw = RawHeaders(event_id or name.event_id, name.kind, "d", at or self.now, origin=origin)
                headers = raw.to_kafka()
            record = {"offset": self.offset, "key": key, "value": value, "headers": headers}
            self.partition.put([SimpleNamespace(timestamp=int(START.timestamp() * 1000), **record)])
            self.offset += 1


def alert(number, action="created", kind="alert", **attributes):
    ids = {"uuid": str(uuid.UUID(int=number % 1000)), "short_id": f"AL{number}"} | attributes
    community = str(uuid.UUID(int=7))
    metadata = {"created_at": f"2026-08-01T00:00:00.{number:06}+00:00", "community_uuid": community}
    return {"type": kind, "action": action, "attributes": ids, "metadata": metadata}
