"""Telling of changes: through Kafka, which all sinks read, or past it where Kafka or a sink does not do its part."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from events.codec import encode
from events.errors import NotReady
from events.headers import as_text
from events.records import EnrichedEvent
from events.settings import KafkaSettings
from events.topics import Topics
from ops import watch_metrics as metrics
from ops.contained import contained
from ops.scan import scan
from ops.watch_change import Change, headers
from ops.watch_direct import Direct
from sinks.rules import Rules

WITHIN = 8.0
"""Seconds for a record to be on the brokers; later it may still get there."""

BACK = timedelta(minutes=1)
"""How far before a change its record is looked for: clocks differ."""

log = structlog.get_logger()


class Teller:
    """Tell operators of changes; what was told is written down with every step, by `save`."""

    def __init__(
        self,
        kafka: KafkaSettings,
        rules: Rules,
        save: Callable[[], None],
        runbook: str = "",
        direct: Direct | None = None,
    ) -> None:
        self._kafka = kafka
        self._topic = Topics(kafka.topic_prefix).enriched
        self._rules = rules
        self._save = save
        self._runbook = runbook
        self._direct = direct or Direct()

    async def tell(self, untold: list[Change], *, carries: bool, served: Collection[str]) -> None:
        """Tell what can be told now, in order; what is left stays in the list.

        `carries` says whether Kafka answers and has the topic, `served` are the targets whose sink runs.
        """
        for change in list(untold):
            event = change.event(self._runbook)
            wanted = self._wanted(event)
            carried = [name for name in wanted if carries and name in served]
            await self._post(change, event, [name for name in wanted if name not in carried])
            waits = {*wanted}.difference(carried, change.told, change.refused)
            # Whom Kafka serves must not wait for one that cannot be told at all: that one's sink tells it when it is back.
            if not carries or (waits and not carried):
                continue
            if await self._write(change):
                untold.remove(change)
                self._save()
            else:
                # Who can be asked and does not take records carries nothing: nor what is still to be told in this look.
                carries = False
                await self._post(change, event, carried)

    def listeners(self) -> list[str]:
        """Return the targets that would be told of what is wrong with none of them."""
        return self._wanted(Change("kafka_away", raised=True, since=0.0, at=time.time()).event())

    def keeps_waiting(self, change: Change) -> bool:
        """Say whether somebody who should be told of an untold change was not yet, or nobody was, as all refused it."""
        wanted = {*self._wanted(change.event())}
        return bool(wanted.difference(change.told, change.refused)) or (bool(wanted) and not change.told)

    def _wanted(self, event: EnrichedEvent) -> list[str]:
        return [name for name in self._rules.targets if self._rules.decide(event, name).notify]

    async def _post(self, change: Change, event: EnrichedEvent, names: list[str]) -> None:
        for name in names:
            if name in change.refused:
                continue
            outcome = await self._direct.post(self._rules.targets[name], event)
            if outcome == "later":
                continue
            (change.told if outcome == "told" else change.refused).append(name)
            self._save()
            if outcome == "told":
                metrics.TOLD.labels("direct").inc()
                log.info("operator_told", target=name, event_id=change.id, way="direct")

    async def _write(self, change: Change) -> bool:
        """Write the record; True when the brokers have it, once."""
        try:
            if change.tried and await contained(self._is_there(change), 10 * WITHIN):
                return True
            change.tried = True
            self._save()  # whoever is killed from here on looks first
            await contained(self._produce(change), WITHIN)
        except (KafkaError, OSError, TimeoutError, NotReady) as error:
            log.warning("change_not_written", event_id=change.id, reason=repr(error))
            return False
        metrics.TOLD.labels("kafka").inc()
        log.info("operator_told", event_id=change.id, way="kafka")
        return True

    async def _produce(self, change: Change) -> None:
        event = change.event(self._runbook)
        producer = AIOKafkaProducer(
            **self._kafka.client_options(), acks="all", enable_idempotence=True, request_timeout_ms=int(WITHIN * 1000)
        )
        try:
            await producer.start()
            await producer.send_and_wait(self._topic, encode(event), key=change.record_key, headers=headers(event))
        finally:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(producer.stop(), 3)

    async def _is_there(self, change: Change) -> bool:
        since = datetime.fromtimestamp(change.at, UTC) - BACK
        async with (
            asyncio.timeout(10 * WITHIN),
            contextlib.aclosing(scan(self._kafka, self._topic, since=since)) as all_,
        ):
            async for record in all_:
                if record.key == change.record_key and as_text(record.headers).get("event-id") == change.id:
                    return True
        return False
