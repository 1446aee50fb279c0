"""Ask the vendor whether a key is good: who it belongs to, and the newest alert it may read."""

import re
import ssl
from dataclasses import dataclass
from typing import Any, Protocol

import httpx
import orjson

from events.errors import NotReady
from stream.alert_api import retry_after
from stream.settings import SekoiaSettings

TIMEOUT = 15.0
"""Seconds for one answer."""

REFUSALS, PAUSE = 2, 10.0
"""The vendor's firewall blocks a network that asks on after so many refusals within so many seconds."""

_KEY = re.compile(r"[!-~]{8,4096}")
_NEWEST = {"limit": "1", "sort": "created_at", "direction": "desc", "stix": "false"}
_PERMISSION = 'SIC_READ_ALERTS (shown as "View alerts")'


class Refused(NotReady):
    """The vendor answered with an error, which its firewall counts; the answer tells its time all the same."""

    def __init__(self, sentence: str, answer: httpx.Response) -> None:
        super().__init__(sentence)
        self.answer = answer


@dataclass(frozen=True)
class Found:
    """What a good key shows; a tenant may have no alert yet."""

    name: str
    community: str
    alert: dict[str, Any] | None


def clean_key(text: str) -> str:
    """Return the key of a line that was pasted.

    Raises NotReady, without the text, for what cannot be one.
    """
    key = text.strip().removeprefix("Bearer ").strip()
    if not _KEY.fullmatch(key):
        raise NotReady("That is not an API key: it is one word of letters, digits and signs, shown once when made.")
    return key


class Pace(Protocol):
    """Says when a call may go, and takes note of those that failed."""

    async def leave(self) -> None: ...  # noqa: D102
    def failed(self, reason: str, retry_after: float | None = None) -> None: ...  # noqa: D102


def client(
    settings: SekoiaSettings, pace: Pace, transport: httpx.AsyncBaseTransport | None = None
) -> httpx.AsyncClient:
    """Return a client that asks as the stream does: without the environment's proxies, each call when `pace` lets it."""

    async def wait(_request: httpx.Request) -> None:
        await pace.leave()

    async def note(response: httpx.Response) -> None:
        if response.is_error:
            pace.failed(f"status {response.status_code}", retry_after(response.headers.get("Retry-After")))

    return httpx.AsyncClient(
        base_url=settings.api(),
        headers={"Authorization": f"Bearer {settings.api_key.get_secret_value()}", "Accept": "application/json"},
        timeout=TIMEOUT,
        transport=transport,
        trust_env=False,
        event_hooks={"request": [wait], "response": [note]},
    )


async def look(settings: SekoiaSettings, pace: Pace, transport: httpx.AsyncBaseTransport | None = None) -> Found:
    """Ask who the key belongs to, then for one alert.

    Raises NotReady with one sentence about the key, its permission, the region or the network.
    """
    async with client(settings, pace, transport) as asking:
        who = await _get(asking, settings, "/v1/me", {})
        listed = (await _get(asking, settings, "/v1/sic/alerts", _NEWEST)).get("items")
    alerts = [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
    return Found(_text(who.get("name")), _text(who.get("community_uuid")), alerts[0] if alerts else None)


async def _get(asking: httpx.AsyncClient, settings: SekoiaSettings, path: str, query: dict[str, str]) -> dict[str, Any]:
    where = _where(settings)
    try:
        answer = await asking.get(path, params=query)
    except httpx.TransportError as error:
        raise NotReady(f"{where} cannot be reached ({_cause(error)}): {_advice(error)}") from None
    if answer.status_code != httpx.codes.OK:
        raise Refused(_refusal(answer.status_code, path, where), answer)
    try:
        body = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise NotReady(f"{where} answers, but not as the Alert API does: check the region, or SEKOIA_API_BASE.")
    return body


def _where(settings: SekoiaSettings) -> str:
    source = "SEKOIA_API_BASE" if settings.api_base else f"region {settings.region}"
    return f"{httpx.URL(settings.api()).host} ({source})"


def _refusal(status: int, path: str, where: str) -> str:
    if status == httpx.codes.UNAUTHORIZED:
        return (
            f"{where} does not accept the key (401): it is mistyped, expired or revoked, or it belongs to another "
            "region; the address of the page it was made on says which."
        )
    if status == httpx.codes.FORBIDDEN and path != "/v1/me":
        return f"The key is good, but it may not read alerts (403): give it the permission {_PERMISSION}."
    if status == httpx.codes.FORBIDDEN:
        return f"{where} refuses this key or this network (403): it needs the permission {_PERMISSION}."
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return f"{where} has had too many requests from this network (429): wait ten minutes and try again."
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return f"{where} is not well just now ({status}): try again in a few minutes."
    return f"{where} answers {status}, not as the Alert API does: check the region, or SEKOIA_API_BASE."


def _cause(error: httpx.TransportError) -> str:
    if isinstance(error, httpx.TimeoutException):
        return f"no answer within {TIMEOUT:.0f} s"
    return str(error) or type(error).__name__


def _advice(error: httpx.TransportError) -> str:
    if isinstance(error.__cause__, ssl.SSLError) or "CERTIFICATE" in str(error):
        return "its certificate is not trusted here; a proxy that opens TLS must be told to let this host through."
    return "check the region, the network and the firewall; it is asked directly, without a proxy."


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
