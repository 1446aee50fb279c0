"""What only a look-up of one alert shows: its comments and countermeasures, for the targets that ask for them."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import orjson
import structlog
from pydantic import SecretStr

from events.records import EnrichedEvent
from sinks.destination import Unavailable
from sinks.posting import Poster
from sinks.responses import Answer, retry_after
from sinks.text import clean

log = structlog.get_logger()

EVERY = 4.0
"""Seconds between two look-ups: every second slot of those left beside the stream, at most."""

REST, LONGEST_REST = 60.0, 600.0
"""Seconds without a look-up after any error: the vendor blocks a network for two errors within ten seconds."""

DEADLINE = 3.0
"""Seconds to wait for a slot, and then those a look-up may take: a mail that lacks the comments is better than one that is late."""

MAX_BYTES = 2 * 1024 * 1024
_BUSY = "too many mails at once to look all alerts up"
_SHOWN, _TEXT, _NAME = 10, 1_000, 200
_REFUSED = frozenset({401, 403})
_QUERY = "?stix=false&comments=true&countermeasures=true&history=false&custom_status=true"


@dataclass(frozen=True)
class Details:
    """Comments, newest first, and countermeasures, as clean text; `lack` says why there are none to be had."""

    comments: tuple[tuple[str, str], ...] = ()
    countermeasures: tuple[tuple[str, str], ...] = ()
    lack: str = ""


class AlertDetails:
    """Look alerts up one at a time; whatever goes wrong, the answer is Details that say so, never an error."""

    def __init__(
        self,
        api: str,
        key: SecretStr,
        leave: Callable[[], Awaitable[None]],
        monotonic: Callable[[], float] | None = None,
    ) -> None:
        """`leave` waits until a call may go inside the vendor's limit."""
        self._key, self._leave = key, leave
        self._poster = Poster(SecretStr(api))
        self._monotonic = monotonic or (lambda: asyncio.get_running_loop().time())
        self._next = 0.0
        self._refused = ""

    async def open(self, resources: AsyncExitStack) -> None:
        """Make the HTTP client; `resources` closes it."""
        await self._poster.open(resources)

    async def of(self, event: EnrichedEvent) -> Details | None:
        """Return what is known beyond the event's alert; None where it is about no alert, or a deleted one."""
        uuid = event.event.alert_uuid
        if uuid is None or event.event.action == "deleted":
            return None
        now = self._monotonic()
        if event.enrichment.status == "pending":  # the stream is silent, or blocked: a call of ours would prolong it
            return self._failed("the Alert API did not answer in time", REST)
        if self._refused or now < self._next:
            return Details(lack=self._refused or _BUSY)
        self._next = now + EVERY
        try:
            async with asyncio.timeout(DEADLINE):
                await self._leave()
        except TimeoutError:
            return Details(lack=_BUSY)
        headers = {"Authorization": f"Bearer {self._key.get_secret_value()}", "Accept": "application/json"}
        path = f"/v1/sic/alerts/{quote(uuid, safe='')}{_QUERY}"
        try:
            answer = await self._poster.get(path, headers, limit=MAX_BYTES, deadline=DEADLINE)
        except Unavailable as error:
            return self._failed(error.reason, REST)
        return self._read(answer, event.event.attributes.get("uuid"))

    def _read(self, answer: Answer, told: Any = None) -> Details:
        """Read an answer; the comment with the id `told` is the event itself and not said twice."""
        if answer.status != 200:  # noqa: PLR2004
            wait = retry_after(answer.headers.get("retry-after"), datetime.now(UTC)) or 0.0
            if answer.status in _REFUSED:
                self._refused = f"the Alert API refuses the key ({answer.status})"
            return self._failed(f"the Alert API answered {answer.status}", max(REST, min(wait, LONGEST_REST)))
        try:
            alert = orjson.loads(answer.body)
        except orjson.JSONDecodeError:
            alert = None
        if not isinstance(alert, dict):
            return self._failed("the Alert API's answer is no alert", REST)
        return Details(
            tuple(_comment(one) for one in _objects(alert, "comments") if one.get("uuid") != told or told is None),
            tuple(_countermeasure(one) for one in _objects(alert, "countermeasures")),
        )

    def _failed(self, reason: str, rest: float) -> Details:
        self._next = self._monotonic() + rest
        log.warning("alert_details_missing", reason=reason, rest=rest, for_good=bool(self._refused))
        return Details(lack=reason)


def _objects(alert: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = alert.get(name)
    return [one for one in found if isinstance(one, dict)][:_SHOWN] if isinstance(found, list) else []


def _comment(comment: dict[str, Any]) -> tuple[str, str]:
    author = clean(comment.get("author") or comment.get("created_by"), _NAME)
    date = comment.get("date")
    fits = isinstance(date, int) and not isinstance(date, bool) and 0 <= date < 2**32
    when = datetime.fromtimestamp(date, UTC).strftime("%Y-%m-%d %H:%M UTC") if fits and date else ""
    return " · ".join(filter(None, (author, when))), clean(comment.get("content"), _TEXT, lines=True)


def _countermeasure(measure: dict[str, Any]) -> tuple[str, str]:
    status = clean(measure.get("status"), _NAME)
    name = clean(measure.get("name"), _NAME)
    return f"{name} ({status})" if status else name, clean(measure.get("description"), _TEXT, lines=True)
