"""What becomes of an event at one target: decode, decide, and once it was posted or refused, write that down."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import structlog

from events.codec import decode_enriched
from events.errors import MalformedRecord, NotReady
from events.headers import DeadLetter, as_text
from events.records import EnrichedEvent, Receipt
from events.trace import TRACEPARENT, trace_id
from sinks import metrics
from sinks.destination import Delivered, Undeliverable
from sinks.digest import Folded, Prepared
from sinks.fields import similar
from sinks.handling import Handled
from sinks.memory import Memory
from sinks.outlet import ALERT, Outlet
from sinks.receipts import Ledger, Record
from sinks.rules import Rules
from sinks.text import clean

REFUSED_IN_A_ROW = 20
"""Dead letters without one delivery between them that stop a sink: more likely it is broken than they are."""

log = structlog.get_logger()


@dataclass
class Tries:
    """How often something was tried, and since when."""

    first_at: datetime
    count: int = 0


class Delivery:
    """Decide about records for one target, and keep its ledger."""

    def __init__(self, rules: Rules, ledger: Ledger, outlet: Outlet, memory: Memory | None = None) -> None:
        self.outlet = outlet
        self._memory = Memory() if memory is None else memory
        self._target = outlet.target
        self._rules = rules
        self._ledger = ledger
        self._refused = 0
        self._last_reason = ""

    async def prepare(self, record: Record, *, urgent: bool, again: bool = False) -> Prepared | Handled:
        """Decode and decide; what needs no post has come to its end."""
        event = await self.decode(record)
        if event is None:
            return "settled"
        decision = self._rules.decide(event, self._target, self._memory.of(record.key))
        if not decision.notify and not decision.muted:
            metrics.UNMATCHED.labels(self._target).inc()
            return "unmatched"
        if self.has_receipt(record, event):
            return "spared"
        prepared = Prepared(record, event, decision, urgent, again)
        if decision.muted:
            await self._ledger.write(record, self._receipt(prepared, 0, "muted", decision.muted))
            metrics.MUTED.labels(self._target).inc()
            return "settled"
        return prepared

    def will_tell(self, prepared: Prepared) -> None:
        """Remember of an event in an open digest that it is told, for those of its alert that come after it."""
        if self._rules.remembers(self._target):
            event = prepared.event
            self._memory.tell(prepared.record.key, prepared.decision.rules, event.received_at, similar(event))

    async def decode(self, record: Record, job: str | None = None) -> EnrichedEvent | None:
        """Read the event; what cannot be read is buried."""
        try:
            return decode_enriched(record.value)
        except MalformedRecord as error:
            event_id = as_text(record.headers).get("event-id") or f"{record.topic}/{record.partition}/{record.offset}"
            receipt = Receipt(event_id=event_id, target=self._target, outcome="dead_letter", attempts=0, replay_id=job)
            await self._bury(record, receipt, f"malformed: {error}", self.outlet.clock())
            return None

    def has_receipt(self, record: Record, event: EnrichedEvent, job: str | None = None) -> bool:
        """Say whether the event came to its end here before: it is not sent again."""
        if not self._ledger.holds(record, event.event_id, event.revision, job):
            return False
        metrics.SPARED.labels(self._target).inc()
        return True

    @property
    def broken(self) -> bool:
        """Whether so many records in a row were refused that the mistake is more likely ours: no more are buried."""
        return self._refused >= REFUSED_IN_A_ROW

    def check(self) -> None:
        """Raise NotReady when the target is `broken`."""
        if self.broken:
            raise NotReady(
                f"Target {self._target} refused {self._refused} events in a row, so it stops before it buries more; "
                f"the last reason was: {self._last_reason}. Put that right and start it again."
            )

    async def settle(self, prepared: Prepared, result: Delivered | Undeliverable, tries: Tries) -> None:
        """Write down that the target took the event, or bury it."""
        if isinstance(result, Undeliverable):
            receipt = self._receipt(prepared, tries.count, "dead_letter", result.reason)
            await self._bury(prepared.record, receipt, result.reason, tries.first_at)
            return
        self._refused = 0
        receipt = self._receipt(prepared, tries.count, result.outcome, result.status, result.run_id)
        await self._ledger.write(prepared.record, receipt)
        metrics.DELIVERED.labels(self._target, result.outcome).inc()
        if prepared.decision.replay_id is None:
            metrics.told(self._target, receipt.latency or 0.0, urgent=prepared.urgent)

    async def settle_digested(self, folded: Sequence[Folded], digest_id: str, result: Delivered, attempts: int) -> None:
        """Write down of each event that the target took it as part of a digest."""
        self._refused = 0
        now = self.outlet.clock()
        outcome: Literal["digested", "by_fallback"] = "by_fallback" if result.outcome == "by_fallback" else "digested"
        receipts = [
            Receipt(
                event_id=one.event_id,
                revision=one.revision,
                alert=one.alert,
                target=self._target,
                outcome=outcome,
                rules=one.decision.rules,
                rules_version=one.decision.version,
                digest_id=digest_id,
                attempts=attempts,
                status=result.status,
                run_id=result.run_id,
                latency=round((now - one.received_at).total_seconds(), 3),
                received_at=one.received_at,
                similar=one.similar,
                may_repeat=one.again or None,
            )
            for one in folded
        ]
        await self._ledger.write_all(list(zip(folded, receipts, strict=True)))
        metrics.DELIVERED.labels(self._target, outcome).inc(len(folded))
        for one, receipt in zip(folded, receipts, strict=True):
            metrics.told(self._target, receipt.latency or 0.0, urgent=one.urgent)

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
            last_at=self.outlet.clock(),
        )
        self._refused += 1  # first: those on their way at the same time must not bury more than is allowed
        if self._refused == 1:
            trace = trace_id(as_text(record.headers).get(TRACEPARENT))
            of = {"event_id": receipt.event_id, "alert": clean(receipt.alert, ALERT) or None, "trace_id": trace}
            log.warning("dead_letter", target=self._target, reason=reason, **of)
        self._last_reason = reason
        await self._ledger.bury(record, letter)
        await self._ledger.write(record, receipt)
        metrics.DEAD_LETTERS.labels(self._target, metrics.cause(reason)).inc()

    def _receipt(
        self,
        prepared: Prepared,
        attempts: int,
        outcome: Literal["delivered", "accepted", "by_fallback", "muted", "dead_letter"],
        status: str,
        run_id: str | None = None,
    ) -> Receipt:
        event, decision = prepared.event, prepared.decision
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
            latency=round((self.outlet.clock() - event.received_at).total_seconds(), 3),
            received_at=event.received_at,
            similar=similar(event),
            may_repeat=(prepared.again and outcome not in ("muted", "dead_letter")) or None,
        )
