"""The bytes of made-up records, written from patterns: a model for each of ten million would take hours."""

import random
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import orjson

from events.codec import encode
from events.headers import isoformat
from events.records import EnrichedEvent, Enrichment, Links, Receipt, WebhookEvent
from sandbox import bodies, sample_alerts
from sandbox.bodies import Json
from sandbox.tenant import Tenant
from stream.created import CREATED

AFTER = timedelta(milliseconds=400)
"""From a webhook's arrival to its enriched record, and from that to its receipt."""
_UUID, _SHORT, _EVENT, _AT = "@uuid@", "@short@", "@event@", "@at@"
_SECONDS, _TIME = 7_777_777_701, datetime(1999, 9, 9, 9, 9, 9, 999_999, UTC)
"""Stand for the alert's time, and for when the event came in, where no text can stand."""
_LISTED_NOT = {"comments", "history", "countermeasures", "similarity_strategy"}


class Known(NamedTuple):
    """An alert by its names and the second in which it was created."""

    uuid: str
    short_id: str
    created_at: int


class Form:
    """Patterns of everything about one kind of alert."""

    def __init__(self, rng: random.Random, tenant: Tenant, rules_version: str) -> None:
        """Draw the alert."""
        drawn = sample_alerts.draw_alert(rng, community=tenant.community_uuid, now=_SECONDS, assets=list(tenant.assets))
        alert = {name: value for name, value in drawn.items() if name not in _LISTED_NOT}
        alert |= {"uuid": _UUID, "short_id": _SHORT, "updated_at": _SECONDS}
        alert |= {"first_seen_at": _AT, "last_seen_at": _AT}
        self.urgency: int = alert["urgency"]["current_value"]
        self._community = tenant.community_uuid
        self._bodies = {action: self._body(action, alert) for action in ("created", "updated")}
        self._raw = {action: _pattern(orjson.dumps(body)) for action, body in self._bodies.items()}
        self._enriched = {
            action: _pattern(encode(self._event(body, alert, action))) for action, body in self._bodies.items()
        }
        self._receipt = _pattern(encode(self._told(rules_version)))

    def _body(self, action: str, alert: Json) -> Json:
        attributes = bodies.rich_alert_attributes(alert) if action == "created" else bodies.alert_attributes(alert)
        attributes |= {"updated": {"similar": 2}} if action == "updated" else {}
        metadata = {"version": 2, "created_at": _AT, "community_uuid": self._community, "uuid": _EVENT}
        return {"type": "alert", "action": action, "attributes": attributes, "metadata": metadata}

    def _event(self, body: Json, alert: Json, action: str) -> EnrichedEvent:
        return EnrichedEvent(
            event_id=f"{self._community}/{_EVENT}",
            received_at=_TIME,
            hook="drill",
            event=WebhookEvent.model_validate(body),
            alert=alert | {"similar": 2 if action == "updated" else 0},
            enrichment=Enrichment(status="complete", fetched_at=_TIME),
            links=Links(alert=f"https://app.sekoia.io/operations/alerts/{_SHORT}"),
        )

    def _told(self, rules_version: str) -> Receipt:
        return Receipt(
            event_id=f"{self._community}/{_EVENT}", alert=_UUID, target="@target@", outcome="delivered",
            rules=("alerts",), rules_version=rules_version, status="HTTP 204", latency=0.8, received_at=_TIME,
        )  # fmt: skip

    def raw(self, action: str, alert: Known, event: str, at: datetime) -> bytes:
        """Return a webhook's body."""
        return self._raw[action] % _words(alert, event, at)

    def enriched(self, action: str, alert: Known, event: str, at: datetime) -> bytes:
        """Return what the stream makes of it."""
        return self._enriched[action] % _words(alert, event, at)

    def headers(self, action: str, alert: Known, event_id: str, at: datetime) -> list[tuple[str, bytes]]:
        """Return the headers of the enriched record, as the stream writes them."""
        created = [(CREATED, f"{self._community}/{alert.uuid}".encode())] if action == "created" else []
        return [
            ("event-id", event_id.encode()),
            ("revision", b"0"),
            ("status", b"complete"),
            ("received-at", isoformat(at).encode()),
            *created,
        ]

    def receipt(self, target: str, alert: Known, event: str, at: datetime) -> bytes:
        """Return what a target says once it was told."""
        return self._receipt % (_words(alert, event, at) | {b"target": target.encode()})


def _pattern(text: bytes) -> bytes:
    """Make a pattern of a record in which the words stand that are put in."""
    text = text.replace(b"%", b"%%").replace(str(_SECONDS).encode(), b"%(seconds)b")
    moment = orjson.dumps(_TIME, option=orjson.OPT_UTC_Z).strip(b'"')
    text = text.replace(moment, b"%(at)b")
    for word in ("uuid", "short", "event", "at", "target"):
        text = text.replace(f"@{word}@".encode(), f"%({word})b".encode())
    return text


def _words(alert: Known, event: str, at: datetime) -> dict[bytes, bytes]:
    return {
        b"uuid": alert.uuid.encode(),
        b"short": alert.short_id.encode(),
        b"event": event.encode(),
        b"at": isoformat(at).encode(),
        b"seconds": b"%d" % alert.created_at,
    }
