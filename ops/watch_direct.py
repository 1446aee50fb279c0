"""Posting past Kafka: to a target's own destination, when what would carry the message is what hurts."""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Literal

import structlog

from events.records import EnrichedEvent
from sinks import shelf
from sinks.backoff import delay
from sinks.destination import Unavailable, Undeliverable
from sinks.rules import Target

WITHIN = 20.0
"""Seconds one post may take."""

Outcome = Literal["told", "later", "never"]
"""What came of a post: `never` is a message this target refuses for good."""

log = structlog.get_logger()


class Direct:
    """Post to targets, each no sooner again than it asked for."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, chance: random.Random | None = None) -> None:
        self._monotonic = monotonic
        self._chance = chance or random.Random()  # noqa: S311 - jitter
        self._failures: dict[str, int] = {}
        self._again_at: dict[str, float] = {}

    async def post(self, target: Target, event: EnrichedEvent) -> Outcome:
        """Post once, unless the target has asked for a pause."""
        if self._monotonic() < self._again_at.get(target.name, 0.0):
            return "later"
        try:
            async with asyncio.timeout(WITHIN), shelf.find(target.type)(target.settings) as destination:
                await destination.deliver(event)
        except Undeliverable as error:
            log.error("operator_not_told", target=target.name, event_id=event.event_id, reason=error.reason)
            return "never"
        except Unavailable as error:
            return self._failed(target.name, error.reason, error.retry_after)
        except TimeoutError:
            return self._failed(target.name, f"no end within {WITHIN:.0f} s", None)
        self._failures.pop(target.name, None)
        return "told"

    def _failed(self, name: str, reason: str, retry_after: float | None) -> Outcome:
        failures = self._failures[name] = self._failures.get(name, 0) + 1
        if failures == 1:
            log.warning("operator_unavailable", target=name, reason=reason)
        self._again_at[name] = self._monotonic() + delay(failures, retry_after, self._chance)
        return "later"
