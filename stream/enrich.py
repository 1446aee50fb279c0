"""What an event is completed with: the alert it is about, names, and a link a person can open."""

import asyncio
import contextlib
import re
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Protocol

from events.headers import RawHeaders
from events.records import WebhookEvent
from stream import compose, names
from stream.alert_api import Unavailable
from stream.compose import Enriched, Finding
from stream.fetching import NotFound
from stream.lookups import Lookups, NotAsked

GRACE = 1.0
"""Seconds an event may wait for its alert although it was read after its deadline: after a restart everything that
waited is late, and a card without its title is worth less than one that comes a second later."""
NAMES_WAIT = 1.0
"""Seconds an event waits for names at most; rules can do without, a person rather not."""
ASK_AGAIN_AFTER = (2.0, 5.0, 10.0)
"""Seconds between questions about an alert the list does not show yet."""
AGAIN = 0.1
"""Seconds after an answer that was none: a web page, an error the breaker bears."""
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Waiting(Protocol):
    """A record that was written as pending."""

    @property
    def value(self) -> bytes: ...  # noqa: D102
    @property
    def received_at(self) -> datetime: ...  # noqa: D102
    @property
    def created(self) -> bool: ...  # noqa: D102


def needs_alert(event: WebhookEvent) -> str | None:
    """Return the uuid of the alert to ask for, or None where asking makes no sense.

    A deleted alert answers 404, which the vendor's firewall counts as an error; a uuid that is none could smuggle
    other values into the query.
    """
    uuid = event.alert_uuid
    if uuid is None or (event.type == "alert" and event.action == "deleted"):
        return None
    return _uuid(uuid)


@lru_cache(maxsize=50_000)
def _uuid(text: str) -> str | None:
    return text.lower() if _UUID.fullmatch(text) else None


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

    def begin(self, event: WebhookEvent, headers: RawHeaders, created: str) -> Enriched | Coroutine[Any, Any, Enriched]:
        """Return revision 0 where nobody needs to be asked for it, else what asks."""
        uuid = needs_alert(event)
        answer = self._lookups.known(uuid, self._happened(headers.received_at)) if uuid else None
        if uuid and answer is None:
            return self._enrich(event, headers, created, uuid)
        wanted = names.wanted(event, answer)
        if self._lookups.names.missing(wanted, asyncio.get_running_loop().time()):
            return self._enrich(event, headers, created, uuid)
        found = Finding("complete" if uuid else "not_applicable", None, answer, self._lookups.names.collect(wanted))
        return compose.first(event, headers, found, self._app_base, created)

    async def complete(self, uuid: str, pending: Sequence[Waiting], attempts: int) -> list[Enriched]:
        """Return revision 1 of pending events about one alert, that many attempts after they were written.

        Raises Unavailable, NotFound.
        """
        since = self._happened(max(each.received_at for each in pending))
        answer = await self._lookups.ask(uuid, since, None, created=any(each.created for each in pending))
        event = WebhookEvent.model_construct(type="", action="", attributes={}, metadata={})
        await self._lookups.ask_names(wanted := names.wanted(event, answer), NAMES_WAIT)
        found = Finding("complete", None, answer, self._lookups.names.collect(wanted), attempts)
        return [compose.completion(each.value, found, self._app_base) for each in pending]

    def give_up(self, pending: bytes, reason: str, attempts: int) -> Enriched:
        """Return revision 1 of an event whose alert will not come, after that many attempts more."""
        return compose.completion(pending, Finding("unavailable", reason, attempts=attempts), self._app_base)

    def _happened(self, received_at: datetime) -> datetime:
        """Return when an event was received by our clock; no answer is from after the future of a host whose clock is ahead."""
        return min(received_at, self._now())

    async def _enrich(self, event: WebhookEvent, headers: RawHeaders, created: str, uuid: str | None) -> Enriched:
        """Return revision 0: complete, or pending when the API could not answer in time."""
        loop = asyncio.get_running_loop()
        # Of a host whose clock is ahead an event waits no longer than of others.
        left = min((headers.received_at + self._deadline - self._now()).total_seconds(), self._deadline.total_seconds())
        end = loop.time() + max(left, GRACE + self._lookups.budget.settling(loop.time()))
        found = Finding("not_applicable")
        if uuid:
            await self._ask(found, uuid, self._happened(headers.received_at), end, created=bool(created))
        wanted = names.wanted(event, found.answer)
        if found.status != "pending":
            await self._lookups.ask_names(wanted, min(end - loop.time(), NAMES_WAIT))
        found.names = self._lookups.names.collect(wanted)
        return compose.first(event, headers, found, self._app_base, created)

    async def _ask(self, found: Finding, uuid: str, since: datetime, end: float, *, created: bool) -> None:
        """Ask until the answer is there or it is `end`; what is found is complete or pending then."""
        loop = asyncio.get_running_loop()
        found.status, found.reason, pauses = "pending", "no answer in time", iter(ASK_AGAIN_AFTER)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(end):
                while True:
                    found.attempts += 1
                    try:
                        found.answer = await self._lookups.ask(uuid, since, end - loop.time(), created=created)
                    except NotFound:
                        found.reason, pause = "not shown by the Alert API yet", next(pauses, None)
                    except Unavailable as error:
                        found.reason = str(error)
                        not_asked = isinstance(error, NotAsked)
                        found.attempts -= not_asked
                        pause = None if not_asked or self._lookups.breaker.silent_for(loop.time()) else AGAIN
                    else:
                        found.status, found.reason = "complete", None
                        return
                    if pause is None or loop.time() + pause >= end:
                        return
                    await asyncio.sleep(pause)
