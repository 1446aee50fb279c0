"""A card that shows a channel is connected: the newest real alert, marked as a test."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from pydantic import SecretStr, ValidationError

from events.errors import NotReady
from events.records import EnrichedEvent, Enrichment, Links, WebhookEvent
from sinks.destination import Unavailable, Undeliverable
from sinks.destinations.teams import Teams, TeamsSettings

MARK = "TEST"
_NOTE = "Sent by `tocsin connect` to try this channel. The alert is a real one of your tenant, but it is not news."
_NO_ALERT_YET = {
    "title": "no alert yet",
    "details": "Sent by `tocsin connect`: the tenant has no alert that could be shown.",
}
_NO_ALERT = {
    "title": "this channel is being tried",
    "details": "Sent by `tocsin doctor --send` to try this channel. There is no alert behind it, and nothing to do.",
}


def settings(url: SecretStr) -> TeamsSettings:
    """Check an address.

    Raises NotReady, without the address, for one that cannot be a workflow's.
    """
    try:
        return TeamsSettings(url=url)
    except ValidationError as error:
        raise NotReady(f"The Teams address: {error.errors()[0]['msg'].removeprefix('Value error, ')}.") from None


def draw(alert: dict[str, Any] | None, app_base: str, now: datetime) -> EnrichedEvent:
    """Make the event of the card; without an alert it says that there is none yet."""
    details = f"{_NOTE}\n{alert.get('details') or ''}" if alert else _NO_ALERT_YET["details"]
    return _event(alert or _NO_ALERT_YET, details, app_base, now)


def without_alert(app_base: str, now: datetime) -> EnrichedEvent:
    """Make the event of a message that tries a channel and shows no alert."""
    return _event(_NO_ALERT, _NO_ALERT["details"], app_base, now)


def _event(shown: Mapping[str, Any], details: str, app_base: str, now: datetime) -> EnrichedEvent:
    short_id = shown.get("short_id")
    link = f"{app_base}/operations/alerts/{quote(short_id, safe='')}" if isinstance(short_id, str) else None
    return EnrichedEvent(
        event_id=f"test/{now.isoformat()}",
        received_at=now,
        event=WebhookEvent(
            type="alert", action="created", attributes={name: shown[name] for name in _IDS if name in shown}
        ),
        alert={**shown, "title": f"{MARK}: {shown.get('title') or 'an alert without a title'}", "details": details},
        enrichment=Enrichment(status="complete", fetched_at=now),
        links=Links(alert=link),
    )


_IDS = ("uuid", "short_id")


async def send(teams: TeamsSettings, alert: dict[str, Any] | None, app_base: str) -> str:
    """Post the card once and return what the workflow answered.

    Raises NotReady when it does not take it.
    """
    try:
        async with Teams(teams) as channel:
            return (await channel.deliver(draw(alert, app_base, datetime.now(UTC)))).status
    except (Unavailable, Undeliverable) as error:
        raise NotReady(
            f"The workflow did not take the test card ({error.reason}): check that the flow is turned on, that anyone "
            "may trigger it, and that the address is whole."
        ) from None
