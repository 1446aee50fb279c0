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
        self._missed_at: datetime | None = None
        """When the newest alert was made of which no webhook came; one that came since shows that they do come."""
        self.since: datetime | None = None
        """When it was found, None while webhooks come."""
        metrics.SILENT.set(0)

    async def look(self, kafka: KafkaSettings, missed: int, missed_at: datetime, now: datetime) -> None:
        """Judge after a pass that found so many new alerts without a webhook, the newest made then.

        Raises NotReady, KafkaError.
        """
        if not self._after:
            return
        if missed:
            self._missed += missed
            self._missed_at = max(missed_at, self._missed_at or missed_at)
        # Passes may be far apart, when the API is away: one webhook between two of them has ended a silence.
        if begin := self.since or self._missed_at:
            back = await heard(kafka, begin)
            self.judge(now, back=back, lately=back or await heard(kafka, now - self._after))

    def judge(self, now: datetime, *, back: bool, lately: bool) -> None:
        """Take whether any webhook came since the silence or the newest missed alert, and whether lately."""
        if back:
            if self.since:
                log.info("webhooks_back", silent_for=str(now - self.since).partition(".")[0])
            self._missed, self._missed_at, self.since = 0, None, None
        elif not lately and self.since is None:
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
