"""Which partition an event belongs to, and when two deliveries are the same event."""

import hashlib
import uuid
from dataclasses import dataclass
from typing import Any, Literal

import rfc8785

MAX_KEY = 200
"""Bytes; a longer entity key is replaced by its SHA-256."""

Kind = Literal["vendor", "content", "delivery"]
"""Where an event id comes from: the vendor's event uuid, the content, or this one delivery (never deduplicated)."""


@dataclass(frozen=True)
class Identity:
    """The key and id that ingest gives a webhook body."""

    key: bytes
    event_id: str
    kind: Kind


def identify(body: dict[str, Any], raw: bytes, delivery_id: str) -> Identity:
    """Name an event: everything about one alert shares a key, equal events share an id.

    `delivery_id` names this delivery; it becomes the id of an event that carries no time and so cannot be told from
    another one like it.
    """
    event_id, kind = _event_id(body, raw, delivery_id)
    return Identity(_entity_key(body) or event_id.encode(), event_id, kind)


def _entity_key(body: dict[str, Any]) -> bytes | None:
    """Return the alert's uuid, else the object's own, as the key."""
    attributes = _object(body.get("attributes"))
    for name in ("alert_uuid", "uuid"):
        value = attributes.get(name)
        if isinstance(value, str) and value:
            key = value.encode()
            return key if len(key) <= MAX_KEY else hashlib.sha256(key).hexdigest().encode()
    return None


def _event_id(body: dict[str, Any], raw: bytes, delivery_id: str) -> tuple[str, Kind]:
    metadata = _object(body.get("metadata"))
    community = metadata.get("community_uuid")
    vendor_id = _uuid(metadata.get("uuid"))
    if vendor_id:
        return f"{community if isinstance(community, str) else ''}/{vendor_id}"[:MAX_KEY], "vendor"
    time = metadata.get("created_at") or metadata.get("created")
    if not time:
        return delivery_id, "delivery"
    # Two rules that target one URL send equal bodies: only what tells events apart is hashed.
    content = [body.get("type"), body.get("action"), body.get("attributes"), time, community]
    try:
        canonical = rfc8785.dumps(content)
    except rfc8785.CanonicalizationError:  # an integer beyond 2^53, for example: RFC 8785 has no form for it
        canonical = raw
    return hashlib.sha256(canonical).hexdigest(), "content"


def _uuid(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    try:
        return str(uuid.UUID(value))
    except ValueError:
        return None


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
