"""What an event is completed with: the alert it is about, and a link a person can open."""

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import orjson

from events.codec import encode
from events.headers import RawHeaders
from events.records import EnrichedEvent, Enrichment, Links, WebhookEvent
from events.topics import MAX_ENRICHED
from stream.alert_api import Unavailable
from stream.lookups import Answer, Lookups, NotFound

GRACE = 1.0
"""Seconds an event may wait for its alert although it was read after its deadline: after a restart everything that
waited is late, and a card without its title is worth less than one that comes a second later."""
ASK_AGAIN_AFTER = (2.0, 5.0, 10.0)
"""Seconds between questions about an alert the list does not show yet."""
LARGE_FIELD = 4096
"""Bytes of JSON; an alert has some fifty fields, so what is left always fits."""
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def needs_alert(event: WebhookEvent) -> str | None:
    """Return the uuid of the alert to ask for, or None where asking makes no sense.

    A deleted alert answers 404, which the vendor's firewall counts as an error; a uuid that is none could smuggle
    other values into the query.
    """
    uuid = event.alert_uuid
    if uuid is None or (event.type == "alert" and event.action == "deleted"):
        return None
    return uuid.lower() if _UUID.fullmatch(uuid) else None


class Enricher:
    """Complete events by asking the Alert API, for as long as each may wait."""

    def __init__(
        self,
        lookups: Lookups,
        app_base: str,
        deadline: timedelta,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._lookups = lookups
        self._app_base = app_base
        self._deadline = deadline
        self._now = now

    async def enrich(self, event: WebhookEvent, headers: RawHeaders) -> EnrichedEvent:
        """Return revision 0: complete, or pending when the API could not answer in time."""
        uuid = needs_alert(event)
        if uuid is None:
            return self._compose(event, headers, None, Enrichment(status="not_applicable"))
        left = (headers.received_at + self._deadline - self._now()).total_seconds()
        try:
            answer = await self._ask(uuid, headers.received_at, max(left, GRACE))
        except Unavailable as error:
            return self._compose(event, headers, None, Enrichment(status="pending", reason=str(error)))
        return self._compose(event, headers, answer.alert, _complete(answer))

    async def complete(self, pending: EnrichedEvent) -> EnrichedEvent:
        """Return revision 1 of a pending event.

        Raises Unavailable, NotFound.
        """
        uuid = needs_alert(pending.event)
        if uuid is None:
            raise NotFound(pending.event_id)
        answer = await self._lookups.ask(uuid, pending.received_at)
        return self._revise(pending, answer.alert, _complete(answer))

    def give_up(self, pending: EnrichedEvent, reason: str) -> EnrichedEvent:
        """Return revision 1 of an event whose alert will not come."""
        return self._revise(pending, None, Enrichment(status="unavailable", reason=reason))

    async def _ask(self, uuid: str, since: datetime, wait: float) -> Answer:
        """Ask until the answer is there or `wait` seconds have passed; always ends in Answer or Unavailable."""
        loop = asyncio.get_running_loop()
        end = loop.time() + wait
        reason, pauses = "no answer in time", iter(ASK_AGAIN_AFTER)
        try:
            async with asyncio.timeout_at(end):
                while True:
                    try:
                        return await self._lookups.ask(uuid, since, end - loop.time())
                    except NotFound:
                        reason, pause = "not shown by the Alert API yet", next(pauses, None)
                    except Unavailable as error:
                        reason = str(error)
                        pause = None if self._lookups.breaker.silent_for(loop.time()) else 0.1
                    if pause is None or loop.time() + pause >= end:
                        raise Unavailable(reason)
                    await asyncio.sleep(pause)
        except TimeoutError:
            raise Unavailable(reason) from None

    def _revise(self, pending: EnrichedEvent, alert: dict[str, Any] | None, enrichment: Enrichment) -> EnrichedEvent:
        update = {"revision": 1, "alert": alert, "enrichment": enrichment, "links": self._links(pending.event, alert)}
        return fit(pending.model_copy(update=update))

    def _compose(
        self, event: WebhookEvent, headers: RawHeaders, alert: dict[str, Any] | None, enrichment: Enrichment
    ) -> EnrichedEvent:
        return fit(
            EnrichedEvent(
                event_id=headers.event_id,
                received_at=headers.received_at,
                tenant=headers.tenant,
                hook=headers.hook,
                origin=headers.origin,
                event=event,
                alert=alert,
                enrichment=enrichment,
                links=self._links(event, alert),
            )
        )

    def _links(self, event: WebhookEvent, alert: dict[str, Any] | None) -> Links:
        short_id = (alert or {}).get("short_id") or (event.short_id if event.alert_uuid else None)
        if not isinstance(short_id, str):
            return Links()
        return Links(alert=f"{self._app_base}/operations/alerts/{quote(short_id, safe='')}")


def fit(event: EnrichedEvent) -> EnrichedEvent:
    """Return the event, its alert without its largest fields where the record would exceed MAX_ENRICHED bytes."""
    if event.alert is None or len(encode(event)) <= MAX_ENRICHED:
        return event
    small = {name: value for name, value in event.alert.items() if len(orjson.dumps(value)) <= LARGE_FIELD}
    return event.model_copy(
        update={"alert": small, "enrichment": event.enrichment.model_copy(update={"reason": "oversize"})}
    )


def _complete(answer: Answer) -> Enrichment:
    return Enrichment(status="complete", fetched_at=answer.fetched_at)
