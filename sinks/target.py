"""One target with all it needs: its destination, its group's consumer, its receipts."""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from events.settings import KafkaSettings
from events.topics import MAX_ENRICHED, Topics
from sinks import positions, shelf
from sinks.connections import Connections
from sinks.delivery import Delivery
from sinks.memory import Memory
from sinks.positions import Positions
from sinks.receipts import Receipts
from sinks.redeliveries import GROUP, Redeliveries
from sinks.rules import Rules, Start, Target
from sinks.runner import Runner

_WEEK = 7 * 24 * 3600 * 1000

log = structlog.get_logger()


class TargetRun:
    """Run one target from start to stop."""

    def __init__(
        self, kafka: KafkaSettings, rules: Rules, target: Target, start: Start, connections: Connections | None = None
    ) -> None:
        """Take the budgets it shares with the other targets of this process."""
        self._connections = connections or Connections()
        self.name = target.name
        self._target = target
        self._kafka = kafka
        self._rules = rules
        self._start = start
        self._topics = Topics(kafka.topic_prefix)
        self._runners: list[Runner] = []
        self._delivery: Delivery | None = None
        self._stopping = False

    @property
    def assigned(self) -> bool:
        """Whether both groups gave this worker its partitions."""
        return bool(self._runners) and all(runner.assigned.is_set() for runner in self._runners)

    @property
    def paused(self) -> str:
        """Why the target sends nothing until it is started anew; empty while it works."""
        return self._delivery.paused if self._delivery else ""

    def stop(self) -> None:
        """Finish the record in flight, commit, leave."""
        self._stopping = True
        for runner in self._runners:
            runner.stop()

    async def run(self) -> None:
        """Deliver until `stop`.

        Raises NotReady when the target's place in the topic is lost, or it refuses everything.
        """
        again = f"{self.name}.{GROUP}"
        await positions.prepare(self._kafka, self.name, self._topics.enriched, self._start)
        await positions.prepare(self._kafka, again, self._topics.redeliveries, "earliest")
        async with AsyncExitStack() as stack:
            destination = await stack.enter_async_context(shelf.find(self._target.type)(self._target.settings))
            producer = await self._open_producer(stack)
            memory = Memory()
            known = Receipts(self._kafka, self.name, producer, memory, lambda: self._rules.remembers(self.name))
            runner, receipts = await self._reading(stack, known, self.name, self._topics.enriched)
            known = Receipts(self._kafka, self.name, producer)
            second, receipts_again = await self._reading(stack, known, again, self._topics.redeliveries)
            self._runners = [runner, second]
            if self._stopping:
                return
            log.info("target_starting", target=self.name, type=self._target.type)
            budget = self._connections.budget(self._target, destination.limits())
            shared: dict[str, Any] = {"turn": asyncio.Lock(), "budget": budget}
            self._delivery = Delivery(
                self.name, destination, self._rules, receipts, runner.pause, memory=memory, **shared
            )
            resending = Delivery(self.name, destination, self._rules, receipts_again, second.pause, **shared)
            redeliveries = Redeliveries(self.name, resending, lambda: runner.busy, second.pause)
            await self._both(runner.run(self._delivery), second.run(redeliveries))

    async def _both(self, *loops: Coroutine[Any, Any, None]) -> None:
        """Run the loops until one ends, then let the other come to its end; raise what ended it."""
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
        self, stack: AsyncExitStack, receipts: Receipts, name: str, topic: str
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
        runner = Runner(consumer, Positions(consumer, self._kafka, name, topic), receipts)
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
