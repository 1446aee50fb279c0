"""The way out to one target: its destination, what its connection may carry, and whether it is there at all."""

import asyncio
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from events.records import EnrichedEvent
from sinks import metrics
from sinks.backoff import Retry, delay
from sinks.destination import Delivered, Destination, Gone, Unavailable, Undeliverable
from sinks.limits import Budget
from sinks.text import clean

DEADLINE = 60.0
"""Seconds a destination may take; beyond, it counts as unavailable."""

HOLD = 3600.0
"""Seconds between two looks of a paused target; it sends nothing meanwhile."""

ALERT = 60
"""Characters of an alert's id in a log line; those of the vendor have 36."""

log = structlog.get_logger()


class Outlet:
    """Post to one target, never more at once than its destination says, whoever asks."""

    def __init__(
        self,
        target: str,
        destination: Destination[Any],
        budget: Budget | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        chance: random.Random | None = None,
    ) -> None:
        self.target = target
        self.budget = budget or Budget(())
        self.monotonic = monotonic
        self.clock = clock
        self.named = destination.named
        self._destination = destination
        self._chance = chance or random.Random()  # noqa: S311 - jitter
        self.at_once = destination.at_once
        self.marks_attempts = destination.marks_attempts
        self._turn = asyncio.Semaphore(self.at_once)
        self._failures = self._news = 0
        self._away_since: datetime | None = None
        self._again_at = 0.0
        self.paused = ""
        """Why nothing is sent until the target is started anew; empty while it works."""
        self.retry: Retry | None = None
        """What is tried again and when; None while the target takes what it is given."""
        metrics.UNAVAILABLE.labels(target).set(0)
        metrics.PAUSED.labels(target).set(0)

    def away(self) -> float:
        """Return the seconds until the target may be tried again; 0 while it takes what it gets."""
        return HOLD if self.paused else max(self._again_at - self.monotonic(), 0.0)

    def wait(self, *, urgent: bool) -> float:
        """Return the seconds until a post may be made, by the target's health and by its budget."""
        return max(self.away(), self.budget.wait(self.monotonic(), urgent=urgent))

    @property
    def room(self) -> int:
        """How many may be on their way now: one while it is to be seen whether the target is back."""
        return 1 if self._away_since else self.at_once

    def claim(self, *, urgent: bool) -> bool:
        """Take a post out of the budget, for an `attempt` to follow at once; False when it may not be made now.

        Nothing else can take it between here and the attempt, whatever is awaited meanwhile.
        """
        if self.wait(urgent=urgent) > 0:
            return False
        self.budget.spend()
        return True

    async def attempt(self, event: EnrichedEvent) -> Delivered | Undeliverable | None:
        """Make the post that was claimed; None when the same may be posted again, after `wait`."""
        news = self._news
        try:
            delivered = await self._post(event)
        except Gone as error:
            self._stop_sending(event, error)
        except Unavailable as error:
            self._gone_away(event, error, news)
        except TimeoutError:
            self._gone_away(event, Unavailable(f"no end within {DEADLINE:.0f} s"), news)
        except Undeliverable as error:
            self._back(news)
            return error
        else:
            self._back(news)
            return delivered
        return None

    async def _post(self, event: EnrichedEvent) -> Delivered:
        try:
            async with self._turn, asyncio.timeout(DEADLINE):
                delivered = await self._destination.deliver(event)
        finally:
            self.budget.landed(self.monotonic())
        if delivered.left:
            self.budget.told(self.monotonic(), delivered.left)
        return delivered

    def _gone_away(self, event: EnrichedEvent, error: Unavailable, news: int) -> None:
        now = self.monotonic()
        if news == self._news:
            self._news += 1
            self._failures += 1
            seconds = delay(self._failures, error.retry_after, self._chance)
            self._again_at = now + seconds
            next_at = self.clock() + timedelta(seconds=seconds)
            self.retry = Retry(event.event_id, event.revision, self._failures, error.reason, next_at)
            if self._away_since is None:
                self._away_since = self.clock()
                said = {"reason": error.reason, "retry_after": error.retry_after}
                log.warning("target_unavailable", target=self.target, **said, **named(event))
                metrics.UNAVAILABLE.labels(self.target).set(1)
        else:  # on its way together with one that failed before: the same failure
            seconds = error.retry_after or 0.0
            self._again_at = max(self._again_at, now + seconds)
        if error.retry_after is not None:  # asked of the whole connection
            self.budget.pause(now, seconds)

    def _back(self, news: int) -> None:
        if news != self._news:
            return  # it set out before the target failed, and says nothing of now
        self._failures, self.retry = 0, None
        if self._away_since is not None:
            seconds = round((self.clock() - self._away_since).total_seconds(), 1)
            log.info("target_available", target=self.target, after_seconds=seconds)
            self._away_since = None
            metrics.UNAVAILABLE.labels(self.target).set(0)

    def _stop_sending(self, event: EnrichedEvent, error: Gone) -> None:
        if self.paused:
            return
        self.paused = error.reason
        metrics.PAUSED.labels(self.target).set(1)
        until = "started anew with another address"
        log.error("target_paused", target=self.target, reason=error.reason, until=until, **named(event))


def named(event: EnrichedEvent) -> dict[str, str]:
    """Return what a log line calls an event by: its id, and its alert where it is about one."""
    alert = clean(event.event.alert_uuid, ALERT)
    return {"event_id": event.event_id} | ({"alert": alert} if alert else {})
