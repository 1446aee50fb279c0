"""One record on its way to one target: decode, decide, deliver until taken or refused, write the receipt."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Literal

import structlog

from events.codec import decode_enriched
from events.errors import MalformedRecord, NotReady
from events.headers import DeadLetter, as_text
from events.records import EnrichedEvent, Receipt
from sinks import metrics
from sinks.backoff import delay
from sinks.destination import Delivered, Destination, Gone, Unavailable, Undeliverable
from sinks.fields import similar
from sinks.limits import Budget
from sinks.memory import Memory
from sinks.receipts import Ledger, Record
from sinks.rules import Decision, Rules
from sinks.window import urgent

DEADLINE = 60.0
"""Seconds a destination may take; beyond, it counts as unavailable."""

REFUSED_IN_A_ROW = 20
"""Dead letters without one delivery between them that stop a sink: more likely it is broken than they are."""

log = structlog.get_logger()

_HOLD = 3600.0
"""Seconds between two looks of a paused target; it sends nothing meanwhile."""

Handled = Literal["unmatched", "spared", "settled"]
"""No rule wants it; it has a receipt already; it has one now."""

Pause = Callable[[float], Awaitable[None]]
"""Wait some seconds; raises what the caller of `handle` knows when the record must be let go."""


class Delivery:
    """Take records to one target, one after another, so that their order is kept."""

    def __init__(
        self,
        target: str,
        destination: Destination[Any],
        rules: Rules,
        ledger: Ledger,
        pause: Pause,
        *,
        budget: Budget | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        chance: random.Random | None = None,
        turn: asyncio.Lock | None = None,
        memory: Memory | None = None,
    ) -> None:
        """Take what is shared with another delivery to the same target as `turn`: it is sent one after another."""
        self._target = target
        self._destination = destination
        self._rules = rules
        self._ledger = ledger
        self._pause = pause
        self._budget = budget or Budget(())
        self._monotonic = monotonic
        self._clock = clock
        self._chance = chance or random.Random()  # noqa: S311 - jitter
        self._turn = turn or asyncio.Lock()
        self._memory = Memory() if memory is None else memory
        self._refused = 0
        self._last_reason = ""
        self._away_since: datetime | None = None
        self.paused = ""
        """Why nothing is sent until the target is started anew; empty while it works."""
        metrics.UNAVAILABLE.labels(target).set(0)
        metrics.PAUSED.labels(target).set(0)

    async def handle(self, record: Record) -> Handled:
        """Bring one record to its end; when this returns its offset may be committed.

        Raises what `pause` raises.
        """
        try:
            event = decode_enriched(record.value)
        except MalformedRecord as error:
            return await self._malformed(record, error)
        decision = self._rules.decide(event, self._target, self._memory.of(record.key))
        if not decision.notify and not decision.muted:
            metrics.UNMATCHED.labels(self._target).inc()
            return "unmatched"
        if self._ledger.holds(record, event.event_id, event.revision):
            metrics.SPARED.labels(self._target).inc()
            return "spared"
        if decision.muted:
            await self._ledger.write(record, self._receipt(event, decision, 0, "muted", decision.muted))
            metrics.MUTED.labels(self._target).inc()
        else:
            await self._send(record, event, decision)
        return "settled"

    async def redeliver(self, record: Record, job: str) -> Handled:
        """Bring a record to its end that an operator sends again; no rule is asked.

        Raises what `pause` raises.
        """
        try:
            event = decode_enriched(record.value)
        except MalformedRecord as error:
            return await self._malformed(record, error, job)
        if self._ledger.holds(record, event.event_id, event.revision, job):
            metrics.SPARED.labels(self._target).inc()
            return "spared"
        await self._send(record, event, Decision(notify=True, replay_id=job, version=self._rules.version))
        return "settled"

    def check(self) -> None:
        """Raise NotReady when so many records in a row were refused that the mistake is more likely ours."""
        if self._refused >= REFUSED_IN_A_ROW:
            raise NotReady(
                f"Target {self._target} refused {self._refused} events in a row, so it stops before it buries more; "
                f"the last reason was: {self._last_reason}. Put that right and start it again."
            )

    async def _send(self, record: Record, event: EnrichedEvent, decision: Decision) -> None:
        first_at, attempts = self._clock(), 0
        while True:
            await self._hold()
            await self._keep_to_budget(record)
            attempts += 1
            try:
                delivered = await self._post(event)
            except Gone as error:
                self._stop_sending(error)
            except Unavailable as error:
                await self._wait(attempts, error)
            except TimeoutError:
                await self._wait(attempts, Unavailable(f"no end within {DEADLINE:.0f} s"))
            except Undeliverable as error:
                self._back()
                receipt = self._receipt(event, decision, attempts, "dead_letter", error.reason)
                await self._bury(record, receipt, error.reason, first_at)
                return
            else:
                self._back()
                await self._deliver(record, event, decision, attempts, delivered)
                return

    async def _malformed(self, record: Record, error: MalformedRecord, job: str | None = None) -> Handled:
        event_id = as_text(record.headers).get("event-id") or f"{record.topic}/{record.partition}/{record.offset}"
        receipt = Receipt(event_id=event_id, target=self._target, outcome="dead_letter", attempts=0, replay_id=job)
        await self._bury(record, receipt, f"malformed: {error}", self._clock())
        return "settled"

    async def _deliver(
        self, record: Record, event: EnrichedEvent, decision: Decision, attempts: int, delivered: Delivered
    ) -> None:
        self._refused = 0
        receipt = self._receipt(event, decision, attempts, delivered.outcome, delivered.status, delivered.run_id)
        await self._ledger.write(record, receipt)
        metrics.DELIVERED.labels(self._target, delivered.outcome).inc()
        if decision.replay_id is None:
            metrics.told(self._target, receipt.latency or 0.0, urgent=urgent(record.value))

    async def _bury(self, record: Record, receipt: Receipt, reason: str, first_at: datetime) -> None:
        letter = DeadLetter(
            stage="sink",
            target=self._target,
            reason=reason,
            source_topic=record.topic,
            source_partition=record.partition,
            source_offset=record.offset,
            attempts=receipt.attempts,
            first_at=first_at,
            last_at=self._clock(),
        )
        await self._ledger.bury(record, letter)
        await self._ledger.write(record, receipt)
        metrics.DEAD_LETTERS.labels(self._target, metrics.cause(reason)).inc()
        self._refused += 1
        if self._refused == 1:
            log.warning("dead_letter", target=self._target, reason=reason, event_id=receipt.event_id)
        self._last_reason = reason

    async def _wait(self, attempts: int, error: Unavailable) -> None:
        if self._away_since is None:
            self._away_since = self._clock()
            log.warning("target_unavailable", target=self._target, reason=error.reason, retry_after=error.retry_after)
            metrics.UNAVAILABLE.labels(self._target).set(1)
        seconds = delay(attempts, error.retry_after, self._chance)
        if error.retry_after is not None:  # asked of the whole connection
            self._budget.pause(self._monotonic(), seconds)
        await self._pause(seconds)

    async def _keep_to_budget(self, record: Record) -> None:
        # Every attempt counts at the target, whatever comes of it.
        while seconds := self._budget.wait(self._monotonic(), urgent=urgent(record.value)):
            await self._pause(seconds)

    async def _post(self, event: EnrichedEvent) -> Delivered:
        self._budget.spend()
        try:
            async with self._turn, asyncio.timeout(DEADLINE):
                delivered = await self._destination.deliver(event)
        finally:
            self._budget.landed(self._monotonic())
        if delivered.left:
            self._budget.told(self._monotonic(), delivered.left)
        return delivered

    def _stop_sending(self, error: Gone) -> None:
        self.paused = error.reason
        metrics.PAUSED.labels(self._target).set(1)
        log.error("target_paused", target=self._target, reason=error.reason, until="started anew with another address")

    async def _hold(self) -> None:
        while self.paused:  # ends with the process, or with `pause` letting go
            await self._pause(_HOLD)

    def _back(self) -> None:
        if self._away_since is not None:
            seconds = round((self._clock() - self._away_since).total_seconds(), 1)
            log.info("target_available", target=self._target, after_seconds=seconds)
            self._away_since = None
            metrics.UNAVAILABLE.labels(self._target).set(0)

    def _receipt(
        self,
        event: EnrichedEvent,
        decision: Decision,
        attempts: int,
        outcome: Literal["delivered", "accepted", "muted", "dead_letter"],
        status: str,
        run_id: str | None = None,
    ) -> Receipt:
        return Receipt(
            event_id=event.event_id,
            revision=event.revision,
            alert=event.event.alert_uuid,
            target=self._target,
            outcome=outcome,
            rules=decision.rules,
            rules_version=decision.version,
            replay_id=decision.replay_id,
            attempts=attempts,
            status=status,
            run_id=run_id,
            latency=round((self._clock() - event.received_at).total_seconds(), 3),
            received_at=event.received_at,
            similar=similar(event),
        )
