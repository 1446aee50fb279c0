"""What a run without the Alert API comes to: who was told in time, what was completed, whether we were blocked."""

from dataclasses import dataclass
from datetime import datetime

import orjson

from sandbox.evidence import Evidence

URGENT = 70
WITHIN = 15.0
"""Seconds from `received-at` to the receipt of an urgent event."""


@dataclass(frozen=True)
class Outcome:
    """What became of the events."""

    sent: int
    urgent: int
    unnotified: int
    slowest: float
    """Seconds from arrival to receipt of the urgent event that waited longest."""
    completed: int
    blocks: int

    @property
    def code(self) -> int:
        """The exit code."""
        return int(bool(self.unnotified or self.blocks or self.completed != self.sent or not self.urgent))

    def line(self) -> str:
        """Return the figures as the last line has them."""
        return (
            f"urgent_unnotified_within_{WITHIN:g}s={self.unnotified} completed={self.completed} "
            f"blocks_caused={self.blocks}"
        )


def judge(found: Evidence, urgency: dict[str, int], blocks: int) -> Outcome:
    """Compare what arrived with receipts and completions; `urgency` by alert, as only the tenant knows it."""
    arrived = {raw.event_id: raw for raw in found.raw}
    told: dict[str, float] = {}
    for receipt in found.receipts:
        told[receipt.event_id] = min(receipt.at, told.get(receipt.event_id, receipt.at))
    received: dict[str, datetime] = {}
    urgent, completed = set(), set()
    for each in found.enriched:
        received[each.event.event_id] = each.event.received_at
        if each.event.enrichment.status == "complete":
            completed.add(each.event.event_id)
    for event_id, raw in arrived.items():
        if urgency[orjson.loads(raw.value or b"{}")["attributes"]["uuid"]] >= URGENT:
            urgent.add(event_id)
    waits = {
        each: told[each] - received[each].timestamp() if each in told and each in received else float("inf")
        for each in urgent
    }
    return Outcome(
        sent=len(arrived),
        urgent=len(urgent),
        unnotified=sum(1 for wait in waits.values() if wait > WITHIN),
        slowest=max(waits.values(), default=0.0),
        completed=len(completed),
        blocks=blocks,
    )
