"""Which partition an event belongs to, and when two deliveries are the same event."""

import hashlib
import re
from dataclasses import dataclass
from typing import Any, Literal

import orjson
import rfc8785

MAX_KEY = 200
"""Bytes; a longer entity key is replaced by its SHA-256."""

Kind = Literal["vendor", "content", "delivery"]
"""Where an event id comes from: the vendor's event uuid, the content, or this one delivery (never deduplicated)."""

_UUID = re.compile(r"[0-9a-fA-F]{8}(-?)(?:[0-9a-fA-F]{4}\1){3}[0-9a-fA-F]{12}")

_TWO_53 = 2**53

# Where orjson and RFC 8785 differ: how floats look, and the order of keys beyond U+FFFF (four bytes each in UTF-8).
# A match inside a string costs only time.
_FLOAT = re.compile(rb"[.e][+-]?\d+[,}\]]")
_BEYOND_FFFF = re.compile(rb"[\xf0-\xf4]")


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
    return Identity(entity_key(body, event_id), event_id, kind)


def canonical(value: list[Any], raw: bytes) -> bytes:
    """Return the RFC 8785 form of the list that was read from `raw`, or `raw` where that form would lose a number."""
    try:
        text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER)
    except TypeError:  # an integer beyond 2^53, which has no canonical form, or nesting no writer follows
        return raw
    if not _FLOAT.search(text) and (text.isascii() or not _BEYOND_FFFF.search(text)):
        return text  # equal to the general writer's, and many times faster
    return rfc8785.dumps(value) if _exact(value) else raw


def _exact(value: Any) -> bool:
    """Tell whether every float is one: an integer beyond 64 bits is read as a float, and so as its neighbour's."""
    if isinstance(value, float):
        return abs(value) < _TWO_53
    return all(map(_exact, value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()))


def entity_key(body: dict[str, Any], event_id: str) -> bytes:
    """Return the key that raw and enriched records of an event have: the alert's uuid, else the object's own, else the id."""
    attributes = _object(body.get("attributes"))
    for name in ("alert_uuid", "uuid"):
        value = attributes.get(name)
        if isinstance(value, str) and value:
            return _bounded(value, MAX_KEY).encode()
    return event_id.encode()


def _event_id(body: dict[str, Any], raw: bytes, delivery_id: str) -> tuple[str, Kind]:
    metadata = _object(body.get("metadata"))
    community = metadata.get("community_uuid")
    vendor_id = _uuid(metadata.get("uuid"))
    if vendor_id:
        prefix = _bounded(community, MAX_KEY - len(f"/{vendor_id}")) if isinstance(community, str) else ""
        return f"{prefix}/{vendor_id}", "vendor"
    time = _time(metadata.get("created_at")) or _time(metadata.get("created"))
    if not time:
        return delivery_id, "delivery"
    # Two rules that target one URL send equal bodies: only what tells events apart is hashed.
    content = [body.get("type"), body.get("action"), body.get("attributes"), time, community]
    return hashlib.sha256(canonical(content, raw)).hexdigest(), "content"


def _time(value: object) -> str | float | None:
    """Return what can name a moment; `true` would name the same one for ever."""
    return value if isinstance(value, str | int | float) and not isinstance(value, bool) else None


def _uuid(value: object) -> str | None:
    """Return a UUID in its one canonical form; the nil UUID is a placeholder, not an id."""
    if not isinstance(value, str) or not _UUID.fullmatch(value) or not value.strip("0-"):
        return None
    digits = value.replace("-", "").lower()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _bounded(text: str, limit: int) -> str:
    """Return the text, or its SHA-256 where it takes more bytes than the limit."""
    data = text.encode()
    return text if len(data) <= limit else hashlib.sha256(data).hexdigest()


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
