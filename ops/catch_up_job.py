"""The state of the job that catches up again and again: how long it waits for what is late, and what it tells."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from events.settings import KafkaSettings
from ops import catch_up_delay
from ops import catch_up_metrics as metrics
from ops.catch_up_pass import Done
from ops.catch_up_settings import CatchUpSettings
from ops.silence import Silence

log = structlog.get_logger()


class Job:
    """What is known from pass to pass."""

    def __init__(self, kafka: KafkaSettings, settings: CatchUpSettings, rooms: Collection[str] = ()) -> None:
        """Take the private addresses of the rooms: ingest says there how old its spool is."""
        self._kafka = kafka
        self._settings = settings
        self._rooms = tuple(rooms)
        self._silence = Silence(settings.silence_after)
        self._last: datetime | None = None
        self._reason = ""

    async def delay(self) -> timedelta:
        """Return how old a change must be in the next pass. Raises NotReady, KafkaError."""
        found = await catch_up_delay.delay(self._kafka, self._settings.delay, self._rooms, datetime.now(UTC))
        metrics.DELAY.set(found.total_seconds())
        return found

    async def done(self, done: Done) -> None:
        """Note a pass that came to its end. Raises NotReady, KafkaError."""
        self._last, self._reason = datetime.now(UTC), ""
        metrics.KEY_REFUSED.set(0)
        metrics.LAST_PASS.set(self._last.timestamp())
        metrics.FED.labels("created").inc(done.created)
        metrics.FED.labels("state").inc(done.states)
        await self._silence.look(self._kafka, done.created, datetime.fromtimestamp(done.missed_at, UTC), self._last)

    def stopped(self, reason: str, *, refused: bool = False) -> None:
        """Note a pass that was cut off, by a refused key perhaps; the next one goes on where it was."""
        self._reason = reason
        if refused:  # the stream hears of it, is silent, and so learns by itself ten minutes later only
            metrics.KEY_REFUSED.set(1)
        metrics.FAILED.inc()
        log.error("catch_up_stopped", reason=reason)

    def health(self) -> tuple[bool, dict[str, Any]]:
        """Say how it stands; an API that is away is not mended by a restart, so it is no illness."""
        silent = self._silence.since
        return True, {
            "last_pass": self._last.isoformat() if self._last else None,
            "stopped": self._reason or None,
            "webhooks": f"silent since {silent.isoformat()}" if silent else "heard",
        }
