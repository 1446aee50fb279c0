"""One target with all it needs: its destination, its group's consumer, its receipts."""

import asyncio
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from events.settings import KafkaSettings
from events.topics import MAX_ENRICHED, Topics
from sinks import elsewhere, originals, positions, shelf, spent
from sinks.backoff import Retry
from sinks.connections import Connections, sharing
from sinks.delivery import Delivery
from sinks.destination import Destination
from sinks.dispatch import Dispatch
from sinks.memory import Memory
from sinks.outlet import Outlet
from sinks.positions import Positions
from sinks.receipts import Receipts
from sinks.redeliveries import GROUP, Redeliveries
from sinks.rules import Rules, Start, Target
from sinks.runner import Runner
from sinks.scout import Scout, scouting
from sinks.standby import Standby

_WEEK = 7 * 24 * 3600 * 1000

log = structlog.get_logger()


class TargetRun:
    """Run one target from start to stop."""

    def __init__(
        self, kafka: KafkaSettings, rules: Rules, target: Target, start: Start, connections: Connections | None = None
    ) -> None:
        """Take the budgets it shares with the other targets of this process."""
        self._connections = connections or Connections([target.name])
        self.name = target.name
        self._target = target
        self._kafka = kafka
        self._rules = rules
        self._start = start
        self._topics = Topics(kafka.topic_prefix)
        self._runners: list[Runner] = []
        self._outlet: Outlet | None = None
        self._scout: Scout | None = None
        self._stopping = False

    @property
    def assigned(self) -> bool:
        """Whether both groups gave this worker its partitions."""
        return bool(self._runners) and all(runner.assigned.is_set() for runner in self._runners)

    @property
    def paused(self) -> str:
        """Why the target sends nothing until it is started anew; empty while it works."""
        return self._outlet.paused if self._outlet else ""

    @property
    def retry(self) -> Retry | None:
        """What the target did not take yet, and when it is tried again."""
        return self._outlet.retry if self._outlet else None

    def stop(self) -> None:
        """Finish the record in flight, commit, leave."""
        self._stopping = True
        for each in (*self._runners, self._scout):
            if each:
                each.stop()

    async def run(self) -> None:
        """Deliver until `stop`.

        Raises NotReady when the target's place in the topic is lost, or it refuses everything.
        """
        again = f"{self.name}.{GROUP}"
        await positions.prepare(self._kafka, self.name, self._topics.enriched, self._start)
        await positions.prepare(self._kafka, again, self._topics.redeliveries, "earliest")
        async with AsyncExitStack() as stack:
            destination = await self._open(stack, self._target)
            producer = await self._open_producer(stack)
            memory = Memory()
            known = Receipts(self._kafka, self.name, producer, memory, lambda: self._rules.remembers(self.name))
            ahead = scouting(self._kafka)
            stack.push_async_callback(_stop, ahead)
            await ahead.start()
            scout = self._scout = Scout(ahead)
            runner, receipts = await self._reading(stack, known, self.name, self._topics.enriched, scout)
            known = Receipts(self._kafka, self.name, producer)
            second, receipts_again = await self._reading(stack, known, again, self._topics.redeliveries)
            self._runners = [runner, second]
            if self._stopping:
                return
            log.info("target_starting", target=self.name, type=self._target.type)
            self._outlet = await self._open_outlet(self._target, destination)
            standby = await self._standby(stack)
            dispatch = Dispatch(Delivery(self._rules, receipts, self._outlet, memory), runner, standby)
            resending = Delivery(self._rules, receipts_again, self._outlet)
            redeliveries = Redeliveries(self.name, resending, second, self._rules.version, lambda: runner.busy)
            await self._all(runner.run(dispatch), second.run(redeliveries), scout.run())

    async def _open(self, stack: AsyncExitStack, target: Target) -> Destination[Any]:
        destination = shelf.find(target.type)(target.settings)
        if destination.wants_original:
            reader = AIOKafkaConsumer(
                **self._kafka.client_options(), group_id=None, enable_auto_commit=False, auto_offset_reset="none"
            )
            stack.push_async_callback(_stop, reader)
            destination.original = (await originals.open_originals(self._kafka, reader)).of
        return await stack.enter_async_context(destination)

    async def _open_outlet(self, target: Target, destination: Destination[Any]) -> Outlet:
        """Make the way out to a target, with what its connection has left."""
        budget = self._connections.budget(target, destination.limits())
        shared = sharing(target, list(self._rules.targets.values()))
        await self._connections.restore(
            target, lambda seconds: spent.ages(self._kafka, shared, seconds), time.monotonic()
        )
        if budget.limits and self._connections.here.isdisjoint(shared):  # it stands in for another one
            await elsewhere.warn(self._kafka, target.name, shared)
        return Outlet(target.name, destination, budget)

    def _divide(self, owned: int, partitions: int) -> None:
        """Keep to this worker's part of the budget."""
        shared = sharing(self._target, list(self._rules.targets.values()))
        part = self._connections.share(self._target, shared, owned, partitions, time.monotonic())
        if part < 1:
            log.info("budget_divided", target=self.name, part=round(part, 3), shared=shared, partitions=owned)

    async def _standby(self, stack: AsyncExitStack) -> Standby | None:
        fallback = self._target.fallback
        if fallback is None:
            return None
        target = self._rules.targets[fallback.target]
        destination = await self._open(stack, target)
        outlet = await self._open_outlet(target, destination)
        return Standby(self.name, outlet, fallback.after.total_seconds())

    async def _all(self, *loops: Coroutine[Any, Any, None]) -> None:
        """Run the loops until one ends, then let the others come to their end; raise what ended it."""
        tasks = [asyncio.create_task(each) for each in loops]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            self.stop()
            for task in done:
                task.result()
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _reading(
        self, stack: AsyncExitStack, receipts: Receipts, name: str, topic: str, scout: Scout | None = None
    ) -> tuple[Runner, Receipts]:
        """Join the group that reads a topic for this target."""
        await receipts.open()
        consumer = positions.client(
            self._kafka,
            name,
            session_timeout_ms=10_000,
            heartbeat_interval_ms=2_500,
            # Heartbeats come from a task of aiokafka's own, so waiting for a target is not silence; this would
            # only make a member that waits long leave the group, and hand its record to another that waits too.
            max_poll_interval_ms=_WEEK,
            fetch_max_bytes=8 * MAX_ENRICHED,
        )

        def share(owned: int) -> None:
            if name == self.name:  # what is sent again comes in another group, and spends from the same part
                self._divide(owned, len(consumer.partitions_for_topic(topic) or ()))

        runner = Runner(consumer, Positions(consumer, self._kafka, name, topic), receipts, scout=scout, share=share)
        consumer.subscribe([topic], listener=runner)
        stack.push_async_callback(_stop, consumer)
        await consumer.start()
        return runner, receipts

    async def _open_producer(self, stack: AsyncExitStack) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **self._kafka.client_options(),
            acks="all",
            enable_idempotence=True,
            max_request_size=4 * MAX_ENRICHED,
            # A receipt is worth waiting for: while the broker restarts nothing else could be done anyway.
            request_timeout_ms=120_000,
        )
        stack.push_async_callback(_stop, producer)
        await producer.start()
        return producer


async def _stop(client: AIOKafkaConsumer | AIOKafkaProducer) -> None:
    """Close a client; one whose broker is gone is left behind after a while."""
    try:
        await asyncio.wait_for(client.stop(), 5)
    except TimeoutError:
        log.warning("closed_without_broker")
