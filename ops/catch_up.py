"""What a catch-up feeds: alerts, and changes of alerts, that no record of ours tells of."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Self

import orjson

from events.headers import RawHeaders, isoformat
from events.records import EnrichedEvent, WebhookEvent

TOLERANCE = 2.0
"""Seconds between the time of a change in its webhook and in the alert, which has whole seconds only."""


class Listed(NamedTuple):
    """What the Alert API lists of an alert; times are Unix seconds."""

    uuid: str
    short_id: str
    community: str
    created_at: float
    updated_at: float

    @classmethod
    def read(cls, item: dict[str, Any]) -> Self | None:
        """Read an item of a list; None where it names no alert or time."""
        uuid, short_id, community = item.get("uuid"), item.get("short_id"), item.get("community_uuid")
        created, updated = item.get("created_at"), item.get("updated_at")
        if not isinstance(uuid, str) or not uuid or not _is_time(created):
            return None
        text = (short_id if isinstance(short_id, str) else "", community if isinstance(community, str) else "")
        return cls(uuid, *text, float(created), float(updated if _is_time(updated) else created))  # type: ignore[arg-type]


@dataclass
class Known:
    """What our own topics tell of the alerts that were listed."""

    created: set[str] = field(default_factory=set)
    changed: dict[str, float] = field(default_factory=dict)
    """Alert: the newest change that a record of ours shows."""

    def raw(self, event: WebhookEvent) -> None:
        """Note a webhook, or what an earlier pass has fed."""
        if event.type != "alert" or not event.alert_uuid:
            return
        uuid = event.alert_uuid.lower()
        if event.action == "created":
            self.created.add(uuid)
        if event.created_at:
            self._shown(uuid, event.created_at.timestamp())

    def enriched(self, event: EnrichedEvent) -> None:
        """Note the state in which an enriched record shows its alert."""
        self.raw(event.event)
        updated = (event.alert or {}).get("updated_at", 0)
        if event.event.alert_uuid and _is_time(updated):
            self._shown(event.event.alert_uuid.lower(), float(updated))

    def _shown(self, uuid: str, at: float) -> None:
        self.changed[uuid] = max(at, self.changed.get(uuid, 0.0))


class Feed(NamedTuple):
    """A record to be written to the raw topic."""

    event_id: str
    key: bytes
    value: bytes
    at: float
    """When it happened, in Unix seconds."""

    def headers(self, now: datetime, delivery_id: str) -> list[tuple[str, bytes]]:
        """Return its headers."""
        return RawHeaders(self.event_id, "content", delivery_id, now, origin="catch-up").to_kafka()


def missing(listed: Iterable[Listed], known: Known, floor: float, until: float) -> Iterator[Feed]:
    """Yield what is to be fed of what happened from `floor` to `until`; what is later may still come by itself.

    A new alert is looked up when it is fed, and so shows its later changes too.
    """
    for alert in listed:
        uuid = alert.uuid.lower()
        if floor <= alert.created_at <= until and uuid not in known.created:
            yield _feed(alert, "created", alert.created_at, f"created:{alert.community}/{uuid}")
        elif (
            alert.created_at < alert.updated_at <= until
            and alert.updated_at >= floor
            and known.changed.get(uuid, 0.0) + TOLERANCE < alert.updated_at
        ):
            yield _feed(alert, "updated", alert.updated_at, f"state:{uuid}:{alert.updated_at:.0f}")


def _feed(alert: Listed, action: str, at: float, event_id: str) -> Feed:
    attributes: dict[str, Any] = {"uuid": alert.uuid, "short_id": alert.short_id}
    if action == "updated":
        attributes["updated"] = {}  # what was changed is known to no API
    time = isoformat(datetime.fromtimestamp(at).astimezone())
    metadata = {"version": 2, "created_at": time, "community_uuid": alert.community}
    body = {"type": "alert", "action": action, "attributes": attributes, "metadata": metadata}
    return Feed(event_id, alert.uuid.encode(), orjson.dumps(body), at)


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e11  # noqa: PLR2004
