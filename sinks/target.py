"""One target with all it needs: its destination, its group's consumer, its receipts."""

import asyncio
from contextlib import AsyncExitStack

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from events.settings import KafkaSettings
from events.topics import MAX_ENRICHED, Topics
from sinks import positions, shelf
from sinks.delivery import Delivery
from sinks.positions import Positions
from sinks.receipts import Receipts
from sinks.rules import Rules, Start, Target
from sinks.runner import Runner

_WEEK = 7 * 24 * 3600 * 1000

log = structlog.get_logger()


class TargetRun:
    """Run one target from start to stop."""

    def __init__(self, kafka: KafkaSettings, rules: Rules, target: Target, start: Start) -> None:
        self.name = target.name
        self._target = target
        self._kafka = kafka
        self._rules = rules
        self._start = start
        self._topic = Topics(kafka.topic_prefix).enriched
        self._runner: Runner | None = None
        self._delivery: Delivery | None = None
        self._stopping = False

    @property
    def assigned(self) -> bool:
        """Whether the group gave this worker its partitions."""
        return self._runner is not None and self._runner.assigned.is_set()

    @property
    def paused(self) -> str:
        """Why the target sends nothing until it is started anew; empty while it works."""
        return self._delivery.paused if self._delivery else ""

    def stop(self) -> None:
        """Finish the record in flight, commit, leave."""
        self._stopping = True
        if self._runner:
            self._runner.stop()

    async def run(self) -> None:
        """Deliver until `stop`.

        Raises NotReady when the target's place in the topic is lost, or it refuses everything.
        """
        await positions.prepare(self._kafka, self.name, self._topic, self._start)
        async with AsyncExitStack() as stack:
            destination = await stack.enter_async_context(shelf.find(self._target.type)(self._target.settings))
            receipts = await self._open_receipts(stack)
            consumer = positions.client(
                self._kafka,
                self.name,
                session_timeout_ms=10_000,
                heartbeat_interval_ms=2_500,
                # Heartbeats come from a task of aiokafka's own, so waiting for a target is not silence; this would
                # only make a member that waits long leave the group, and hand its record to another that waits too.
                max_poll_interval_ms=_WEEK,
                fetch_max_bytes=8 * MAX_ENRICHED,
            )
            runner = Runner(consumer, Positions(consumer, self._kafka, self.name, self._topic), receipts)
            consumer.subscribe([self._topic], listener=runner)
            stack.push_async_callback(_stop, consumer)
            await consumer.start()
            self._runner = runner
            if self._stopping:
                return
            log.info("target_starting", target=self.name, type=self._target.type)
            self._delivery = Delivery(self.name, destination, self._rules, receipts, runner.pause)
            await runner.run(self._delivery)

    async def _open_receipts(self, stack: AsyncExitStack) -> Receipts:
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
        receipts = Receipts(self._kafka, self.name, producer)
        await receipts.open()
        return receipts


async def _stop(client: AIOKafkaConsumer | AIOKafkaProducer) -> None:
    """Close a client; one whose broker is gone is left behind after a while."""
    try:
        await asyncio.wait_for(client.stop(), 5)
    except TimeoutError:
        log.warning("closed_without_broker")
