"""Webhook bodies, version 2, as Sekoia.io posts them: the documented fields only, or those its live stream adds."""

import uuid
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]


def isoformat(microseconds: int) -> str:
    """Write a time in microseconds since 1970 the way webhook metadata does: six decimals and `+00:00`."""
    seconds, rest = divmod(microseconds, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest).isoformat(timespec="microseconds")


def body(kind: str, action: str, attributes: Json, *, at: int, community: str, event: uuid.UUID | None = None) -> Json:
    """Return a body; `at` is the event's time in microseconds, `event` the id only the live stream is known to have."""
    metadata: Json = {"version": 2, "created_at": isoformat(at), "community_uuid": community}
    if event:
        metadata["uuid"] = str(event)
    metadata |= {"avatar_uuid": None, "user_uuid": None, "permissions": []}
    return {"type": kind, "action": action, "attributes": attributes, "metadata": metadata}


def alert_attributes(alert: Json) -> Json:
    """Return what the documentation promises about an alert: two ids."""
    return {"uuid": alert["uuid"], "short_id": alert["short_id"]}


def rich_alert_attributes(alert: Json) -> Json:
    """Return what the live stream says about a new alert."""
    return alert_attributes(alert) | {
        "similar": alert["similar"],
        "status_uuid": alert["status"]["uuid"],
        "status_name": alert["status"]["name"],
        "urgency_current_value": alert["urgency"]["current_value"],
        "rule_uuid": alert["rule"]["uuid"],
        "rule_name": alert["rule"]["name"],
        "entity_uuid": (alert["entity"] or {}).get("uuid"),
        "entity_name": (alert["entity"] or {}).get("name"),
        "alert_type_category": (alert["alert_type"] or {}).get("category"),
        "alert_type_value": (alert["alert_type"] or {}).get("value"),
        "assets_uuids": alert["assets"],
        "created_at": alert["created_at"],
        "first_seen_at": alert["first_seen_at"],
        "last_seen_at": alert["last_seen_at"],
    }


def comment_attributes(alert: Json, comment: Json, *, rich: bool) -> Json:
    """Return a comment's attributes; here `uuid` is the comment, the alert has names of its own."""
    ids = {"uuid": comment["uuid"], "alert_uuid": alert["uuid"], "alert_short_id": alert["short_id"]}
    if not rich:
        return ids
    return ids | {name: comment[name] for name in ("content", "created_by", "created_by_type")}


def case_attributes(case: Json, *, rich: bool) -> Json:
    """Return a case's attributes; its own `created_at` carries no time zone."""
    ids = {"uuid": case["uuid"], "short_id": case["short_id"]}
    if not rich:
        return ids
    return ids | {name: case[name] for name in ("manual", "title", "priority", "created_at", "custom_priority_uuid")}
