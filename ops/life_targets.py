"""What became of one enriched record at one target: its receipts, or why there is none."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from events.records import EnrichedEvent, Receipt
from ops.retries import Retrying
from sinks.explain import Explanation, explain_all
from sinks.rules import Rules

ATTEMPTING = "attempting"
"""Outcome of a receipt written before a message is sent; without one that says how it ended, nobody knows."""

SHOWN = frozenset({"delivered", "accepted", "digested", "by_fallback"})
"""Outcomes of messages that a person can see."""

ALWAYS = ("archive",)
"""Readers of the enriched topic that no rule is asked for."""


class Place(NamedTuple):
    """How far a target's group has come in the partition: everything below `base`, and these runs above it."""

    base: int
    runs: tuple[tuple[int, int], ...] = ()

    def has(self, offset: int) -> bool:
        """Say whether a record has come to its end."""
        return offset < self.base or any(start <= offset < end for start, end in self.runs)


class Slip(NamedTuple):
    """A receipt and when it was written."""

    receipt: Receipt
    at: datetime


@dataclass
class Told:
    """What one target did with one revision of an event, in the normal course or in a job that sent it again."""

    target: str
    revision: int
    state: str
    job: str | None = None
    at: datetime | None = None
    latency: float | None = None
    status: str = ""
    attempts: int = 0
    rules: tuple[str, ...] = ()
    rules_version: str = ""
    digest: str | None = None
    run_id: str | None = None
    next_at: datetime | None = None
    """When it is tried again, as far as its sink could be asked."""
    twice: str = ""
    """Why it may have been shown twice; empty where it was not."""
    why: list[str] = field(default_factory=list)


def from_receipts(target: str, revision: int, job: str | None, slips: Sequence[Slip]) -> Told:
    """Say what the receipts of one target, revision and job tell."""
    ends = [slip for slip in slips if slip.receipt.outcome != ATTEMPTING]
    begun = len(slips) - len(ends)
    last, at = (ends or slips)[-1]
    shown = [slip for slip in ends if slip.receipt.outcome in SHOWN]
    twice = ""
    if len(shown) > 1:
        twice = f"{len(shown)} receipts say that it was taken"
    elif begun > len(ends):
        twice = "a try was begun, and no receipt says how it ended"
    elif any(slip.receipt.may_repeat for slip in shown):
        twice = "a sink was cut off while it posted this, and it was posted again"
    state = last.outcome if ends else "being sent, or cut off"
    why = [last.status] if last.outcome == "dead_letter" and last.status else []
    return Told(
        target, revision, state, job, at, last.latency, last.status, last.attempts, tuple(last.rules),
        last.rules_version, last.digest_id, last.run_id, None, twice, why,
    )  # fmt: skip


def without_receipt(
    target: str,
    event: EnrichedEvent,
    offset: int,
    rules: Rules | None,
    place: Place | None,
    *,
    waits: int | None,
    whole: bool = False,
) -> Told:
    """Say why a target has no receipt of a record; `waits` is how many places before it are still open.

    Only where the `whole` of the receipts was looked at may one be lost.
    """
    told = Told(target, event.revision, "")
    if place is None:
        told.state = "never ran"
    elif not place.has(offset):
        told.state = "waiting"
        told.why = [f"{waits} places of the partition are before it" if waits else "it is the next one"]
    if rules is None or target not in rules.targets:
        told.state = told.state or ("finished without a receipt" if whole else "no receipt among those read")
        told.why.append("no rules file at hand says whether it wants this")
        return told
    decision = rules.decide(event, target)
    told.rules, told.rules_version = decision.rules, decision.version
    if decision.muted:
        told.state = told.state or "no receipt"
        told.why.append(f"nobody is to be told: {decision.muted}")
    elif not decision.notify:
        told.state = "not matched"
        told.why = [_because(one, event) for one in explain_all(rules.rules, event) if target in one.targets]
        told.why = told.why or ["no rule names this target"]
    elif not told.state:
        told.state = "no receipt" if whole else "no receipt among those read"
        reason = "other rules then, a later start, or the receipt is lost" if whole else "--since reads all receipts"
        told.why = [f"today's rules match ({', '.join(decision.rules)}): {reason}"]
    return told


def retried(told: Told, event_id: str, retry: Retrying) -> None:
    """Add to a target that waits what its sink says it is trying again."""
    if (retry.event_id, retry.revision) == (event_id, told.revision):
        told.state, told.attempts, told.next_at = "tried again", retry.attempts, retry.next_at
        told.why = [f"{retry.attempts} attempts failed, the last: {retry.reason}; next at {retry.next_at:%H:%M:%S} UTC"]
    else:
        told.why.append(
            f"the target is away: {retry.event_id} was tried {retry.attempts} times ({retry.reason}), next at "
            f"{retry.next_at:%H:%M:%S} UTC"
        )


def _because(one: Explanation, event: EnrichedEvent) -> str:
    if one.notifies and event.revision:
        return f"{one.rule}: it was told when the alert was still waited for (on_complete)"
    failing = [f"not {reason.condition}" for reason in one.reasons if reason.verdict is not True]
    return f"{one.rule}: {'; '.join([*one.notes, *failing])}"
