"""The vendor's Alert API, one call at a time; the only file that knows httpx."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Self

import httpx
import orjson

from events.errors import NotReady
from stream.settings import SekoiaSettings

MAX_ANSWER = 32 * 1024 * 1024
"""Bytes read of one answer: a hundred alerts of the largest size seen, and some."""
TIMEOUT = 10.0
"""Seconds for a whole answer; the vendor's firewall frowns on slower ones."""
PAGE = 100
"""Alerts in one answer of the list, at most (a larger limit is refused)."""
MAX_RETRY_AFTER = 600.0
"""Seconds; the vendor's longest block."""
NAMED = {
    "community": "/v1/communities",
    "asset": "/v2/asset-management/assets",
    "case": "/v1/sic/cases",
    "report": "/v2/inthreat/content-proposals",
}
"""Where a name is read, by kind."""
CONNECTING, SENDING = "connection.connect_tcp.started", "http11.send_request_headers.started"
"""What httpcore calls the moments before a new connection, and before the first byte of a call (its trace extension)."""
CLOSED = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)
"""What a call meets on a connection that the other side has closed."""
TOO_LONG = {httpx.codes.REQUEST_URI_TOO_LONG, httpx.codes.REQUEST_HEADER_FIELDS_TOO_LARGE}
SAFE = 50
"""Alerts in a call that no proxy finds too long; a 400 to more may be such a proxy, and is no word about the list."""
STATUS = {"custom_status": "true"}
"""Since 2026 communities name their own statuses; without this they are left out."""


class Unavailable(Exception):
    """The API could not answer now; ask again later."""

    def __init__(self, reason: str, retry_after: float | None = None, *, counts: bool = True) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.counts = counts  # whether the vendor's firewall counts this answer as an error


class Refused(Exception):
    """The key is not accepted or lacks the permission; asking again with it cannot help."""

    def __init__(self, reason: str, *, permission: bool = False) -> None:
        super().__init__(reason)
        self.permission = permission  # whether the key is good, and only this is forbidden


class BatchRefused(Exception):
    """The list endpoint does not take several ids."""

    def __init__(self, reason: str = "the list takes one id", *, counts: bool = True) -> None:
        super().__init__(reason)
        self.counts = counts


class QueryTooLong(BatchRefused):
    """Something between us and the list takes no query of this length."""


class AlertApi:
    """Ask for alerts by uuid, and for names."""

    def __init__(self, settings: SekoiaSettings, transport: httpx.AsyncBaseTransport | None = None) -> None:
        key = settings.api_key.get_secret_value()
        if not key:
            raise NotReady("SEKOIA_API_KEY is not set: make a key with the permission SIC_READ_ALERTS (View alerts).")
        self._client = httpx.AsyncClient(
            base_url=settings.api(),
            headers={"Authorization": f"Bearer {key}", "Accept": "application/json"},
            timeout=TIMEOUT,
            transport=transport,
            follow_redirects=False,
            trust_env=False,
        )
        self.before_send: Callable[[], Awaitable[None]] = _at_once
        """Awaited when a connection is there and the first byte of a call could go."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._client.aclose()

    async def updated(self, since: datetime, offset: int = 0) -> list[dict[str, Any]]:
        """Return up to PAGE alerts that were changed since then, the one changed longest ago first.

        Raises Unavailable, Refused.
        """
        query = {"date[updated_at]": f"{since:%Y-%m-%dT%H:%M:%SZ},now", "sort": "updated_at", "direction": "asc"}
        body = await self._get(
            "/v1/sic/alerts", query | {"limit": str(PAGE), "offset": str(offset), "stix": "false"} | STATUS
        )
        items = body.get("items")
        if not isinstance(items, list):
            raise Unavailable("a list without items", counts=False)
        return [item for item in items if isinstance(item, dict)]

    async def listed(self, uuids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return what the list endpoint shows when asked for these alerts, by uuid.

        An alert it does not show (yet) is left out; one nobody asked for means that it ignores the ids. Raises
        Unavailable, Refused, BatchRefused, QueryTooLong.
        """
        query = {"match[uuid]": ",".join(uuids), "limit": str(max(len(uuids), 1)), "stix": "false"} | STATUS
        body = await self._get("/v1/sic/alerts", query, batch=len(uuids))
        items = body.get("items")
        if not isinstance(items, list):
            raise Unavailable("the list answer has no items", counts=False)
        return {
            item["uuid"].lower(): item for item in items if isinstance(item, dict) and isinstance(item.get("uuid"), str)
        }

    async def single(self, uuid: str) -> dict[str, Any] | None:
        """Return one alert, or None where the API knows none.

        Raises Unavailable, Refused.
        """
        query = dict.fromkeys(("stix", "comments", "history", "countermeasures"), "false") | STATUS
        return await self._get(f"/v1/sic/alerts/{uuid}", query, missing=True) or None

    async def some(self, count: int) -> list[str]:
        """Return the uuids of a few alerts that exist.

        Raises Unavailable, Refused.
        """
        body = await self._get("/v1/sic/alerts", {"limit": str(count), "stix": "false"})
        items = body.get("items")
        found = [item.get("uuid") for item in items if isinstance(item, dict)] if isinstance(items, list) else []
        return [uuid.lower() for uuid in found if isinstance(uuid, str)]

    async def name(self, kind: str, uuid: str) -> str | None:
        """Return the name of a community, asset, case or report, or None where the API knows none.

        Raises Unavailable, Refused.
        """
        body = await self._get(f"{NAMED[kind]}/{uuid}", {}, missing=True)
        name = body.get("name") or body.get("title")
        return name if isinstance(name, str) else None

    async def _get(self, path: str, query: dict[str, str], *, batch: int = 0, missing: bool = False) -> dict[str, Any]:
        try:
            # Of the whole answer: the client's own limit is for each part, and a slow drip has no end.
            async with asyncio.timeout(TIMEOUT) as bound, self._stream(path, query, call := _Call(bound)) as response:
                content = await _read(response)
        except TimeoutError as error:
            raise Unavailable(f"no whole answer in {TIMEOUT:.0f} s") from error
        except (httpx.HTTPError, httpx.StreamError) as error:
            # A connection that was kept may be closed while a call waits for its turn, which is no error of theirs.
            counts = call.connected or not isinstance(error, CLOSED)
            raise Unavailable(f"no answer: {type(error).__name__}", counts=counts) from error
        _check(response, batch=batch, missing=missing)
        return {} if response.status_code == httpx.codes.NOT_FOUND else _object(content)

    def _stream(self, path: str, query: dict[str, str], call: "_Call") -> AbstractAsyncContextManager[httpx.Response]:
        async def trace(event: str, _info: object) -> None:
            if event == CONNECTING:
                call.connected = True
            elif event == SENDING:
                call.bound.reschedule(None)  # waiting for our turn says nothing about the vendor
                await self.before_send()
                call.bound.reschedule(asyncio.get_running_loop().time() + TIMEOUT)

        return self._client.stream("GET", path, params=query, extensions={"trace": trace})


@dataclass(slots=True)
class _Call:
    """One call under way."""

    bound: asyncio.Timeout
    connected: bool = False
    """Whether it made a connection of its own and did not use one that was kept."""


async def _at_once() -> None:
    pass


async def _read(response: httpx.Response) -> bytes:
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > MAX_ANSWER:
            raise Unavailable(f"an answer of more than {MAX_ANSWER} bytes", counts=False)
    return bytes(content)


def _check(response: httpx.Response, *, batch: int, missing: bool) -> None:
    status = response.status_code
    if status == httpx.codes.OK or (missing and status == httpx.codes.NOT_FOUND):
        return
    if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        hint = "invalid or expired" if status == httpx.codes.UNAUTHORIZED else "lacks SIC_READ_ALERTS (View alerts)"
        raise Refused(f"{status}: the API key is refused, it {hint}", permission=status == httpx.codes.FORBIDDEN)
    if batch > 1 and (status in TOO_LONG or (status == httpx.codes.BAD_REQUEST and batch > SAFE)):
        raise QueryTooLong(f"status {status}")
    if status == httpx.codes.BAD_REQUEST and batch > 1:
        raise BatchRefused(f"status {status}")
    raise Unavailable(f"status {status}", retry_after(response.headers.get("Retry-After")))


def _object(content: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise Unavailable("a 200 whose body is not JSON", counts=False) from error
    if not isinstance(body, dict):
        raise Unavailable("a 200 whose body is not an object", counts=False)
    return body


def retry_after(header: str | None, now: datetime | None = None) -> float | None:
    """Read `Retry-After` in seconds or as a date (RFC 9110 §10.2.3); None when absent or unreadable."""
    if not header:
        return None
    if header.strip().isdigit():
        return min(float(header), MAX_RETRY_AFTER)
    try:
        until = parsedate_to_datetime(header)
    except ValueError:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return min(max((until - (now or datetime.now(UTC))).total_seconds(), 0.0), MAX_RETRY_AFTER)
