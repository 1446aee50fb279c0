"""A pretended Alert API, and a worker's look-ups that ask it on virtual time."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from events.slots import Slots
from stream.alert_api import BatchRefused, QueryTooLong
from stream.breaker import Breaker
from stream.budget import SETTLING, Budget
from stream.lookups import Lookups

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


class Api:
    """A list endpoint that knows some alerts and notes when it was asked for what."""

    def __init__(self, known=(), *, batch="yes", error=None):
        self.known, self.batch, self.error = set(known), batch, error
        self.calls, self.times, self.named, self.slow = [], [], {}, set()
        self.longest = 100

    def _note(self, what):
        self.calls.append(what)
        self.times.append(asyncio.get_running_loop().time())
        if self.error:
            raise self.error

    async def listed(self, uuids):
        self._note(tuple(uuids))
        if self.slow & set(uuids):
            await asyncio.sleep(100)
        if len(uuids) > self.longest:
            raise QueryTooLong
        if len(uuids) > 1 and self.batch == "refused":
            raise BatchRefused
        shown = self.known if len(uuids) > 1 and self.batch == "ignored" else self.known & set(uuids)
        if len(uuids) > 1 and self.batch == "first":
            shown = self.known & set(uuids[:1])
        return {uuid: {"uuid": uuid} for uuid in shown}

    async def single(self, uuid):
        self._note(uuid)
        return {"uuid": uuid} if uuid in self.known else None

    async def some(self, count):
        self._note(count)
        return sorted(self.known)[:count]

    async def name(self, kind, uuid):
        self._note((kind, uuid))
        found = self.named.get(kind, {})
        if isinstance(found, Exception):
            raise found
        return found.get(uuid)


async def after(seconds, run):
    await asyncio.sleep(seconds)
    await run()


@asynccontextmanager
async def asking(api, *, rate=4.5, batch_size=50, owned=1, partitions=1, checked=True):
    """Ask as a worker whose share is settled, after its check of the list, or with questions from the start."""
    loop = asyncio.get_running_loop()
    budget = Budget(Slots(rate, loop.time))
    budget.share(set(range(owned)), partitions, loop.time() - SETTLING)
    lookups = Lookups(api, budget, Breaker(), batch_size, 0.02)
    task = asyncio.create_task(after(0.0 if checked else 0.01, lookups.run))
    if checked:
        error, api.error = api.error, None
        await asyncio.sleep(2.0)
        api.error = error
        api.calls.clear()
        api.times.clear()
    try:
        yield lookups
    finally:
        task.cancel()
