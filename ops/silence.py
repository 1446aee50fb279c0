"""Whether webhooks have stopped while the Alert API shows new alerts: a rule's owner may have left, and it with them."""

from contextlib import aclosing
from datetime import datetime, timedelta

import structlog

from events.headers import as_text
from events.settings import KafkaSettings
from events.topics import Topics
from ops import catch_up_metrics as metrics
from ops.scan import scan

log = structlog.get_logger()


class Silence:
    """The state of the webhooks, as one job of the catch-up sees it; each change is told in one line."""

    def __init__(self, after: timedelta) -> None:
        """Take how long nothing may come; zero looks for no silence, for where no webhook is meant to come."""
        self._after = after
        self._missed = 0
        self.since: datetime | None = None
        """When it was found, None while webhooks come."""
        metrics.SILENT.set(0)

    async def look(self, kafka: KafkaSettings, missed: int, now: datetime) -> None:
        """Judge after a pass that found so many new alerts without a webhook.

        Raises NotReady, KafkaError.
        """
        if self._after and (missed or self.since):
            # Passes may be far apart, when the API is away: one webhook between two of them has ended a silence.
            self.judge(missed, now, heard=await heard(kafka, self.since or now - self._after))

    def judge(self, missed: int, now: datetime, *, heard: bool) -> None:
        """Take what a pass has found, and whether any webhook came lately."""
        self._missed = 0 if heard else self._missed + missed
        if heard and self.since:
            log.info("webhooks_back", silent_for=str(now - self.since).partition(".")[0])
            self.since = None
        elif not heard and self._missed and self.since is None:
            self.since = now
            log.error(
                "webhooks_silent",
                no_webhook_for=str(self._after),
                new_alerts_at_the_api=self._missed,
                look_at="the notification rule and its owner in Sekoia.io, and the way to ingest",
            )
        metrics.SILENT.set(self.since is not None)


async def heard(kafka: KafkaSettings, since: datetime) -> bool:
    """Say whether a webhook has come since then; the first one found is enough."""
    async with aclosing(scan(kafka, Topics(kafka.topic_prefix).raw, since=since)) as records:
        async for record in records:
            if as_text(record.headers).get("origin", "webhook") == "webhook":
                return True
    return False
