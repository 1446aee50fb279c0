"""One enriched record becomes one row: the columns one queries by, and the whole record beside them."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson
import pyarrow as pa

from events.errors import MalformedRecord

_TIME = pa.timestamp("us", tz="UTC")
_BELIEVABLE = timedelta(days=366)
"""An event further than this from its arrival has a broken clock, and must not open a folder for each of its dates."""

SCHEMA = pa.schema(
    [
        ("event_id", pa.string()),
        ("revision", pa.int64()),
        ("type", pa.string()),
        ("action", pa.string()),
        ("tenant", pa.string()),
        ("community", pa.string()),
        ("hook", pa.string()),
        ("origin", pa.string()),
        ("received_at", _TIME),
        ("event_at", _TIME),
        ("alert_uuid", pa.string()),
        ("short_id", pa.string()),
        ("title", pa.string()),
        ("urgency", pa.int64()),
        ("status", pa.string()),
        ("rule_name", pa.string()),
        ("rule_uuid", pa.string()),
        ("entity_name", pa.string()),
        ("entity_uuid", pa.string()),
        ("alert_type", pa.string()),
        ("alert_category", pa.string()),
        ("source", pa.string()),
        ("target", pa.string()),
        ("similar", pa.int64()),
        ("enrichment_status", pa.string()),
        ("enrichment_reason", pa.string()),
        ("link", pa.string()),
        ("kafka_topic", pa.string()),
        ("kafka_partition", pa.int32()),
        ("kafka_offset", pa.int64()),
        ("record", pa.string()),
    ],
    metadata={"tocsin": "enriched/1"},
)
"""Columns of a file; a later version may add some, never change or drop one."""

DISTINCT = ("event_id", "received_at", "event_at", "alert_uuid", "short_id", "link", "kafka_offset", "record")
"""Columns whose values hardly repeat: a dictionary would cost and save nothing."""

Row = tuple[Any, ...]
_TENANT = SCHEMA.get_field_index("tenant")
_RECEIVED_AT = SCHEMA.get_field_index("received_at")
_EVENT_AT = SCHEMA.get_field_index("event_at")


def row(topic: str, partition: int, offset: int, raw: bytes | None) -> Row:
    """Make the row of a record; what has an unexpected type inside it is null, for `record` keeps it as it came.

    Raises MalformedRecord for what no enriched record is: not a JSON object, without an id or a time of arrival.
    """
    if raw is None:
        raise MalformedRecord("tombstone: the record has no value")
    body = _load(raw)
    event_id = _text(body.get("event_id"))
    received_at = _time(body.get("received_at"))
    if not event_id:
        raise MalformedRecord("event_id: not a text")
    if received_at is None:
        raise MalformedRecord("received_at: not a time with a zone")
    event = _object(body.get("event"))
    attributes, metadata = _object(event.get("attributes")), _object(event.get("metadata"))
    alert, enrichment = _object(body.get("alert")), _object(body.get("enrichment"))
    type_ = _text(event.get("type"))
    return (
        event_id,
        _integer(body.get("revision")) or 0,
        type_,
        _text(event.get("action")),
        _text(body.get("tenant")) or "default",
        _text(metadata.get("community_uuid")) or _text(alert.get("community_uuid")),
        _text(body.get("hook")),
        _text(body.get("origin")),
        received_at,
        _time(metadata.get("created_at") or metadata.get("created"), UTC),
        _text(attributes.get("uuid" if type_ == "alert" else "alert_uuid")),
        _text(attributes.get("alert_short_id")) or _text(attributes.get("short_id")),
        *_alert_columns(alert, attributes),
        _text(enrichment.get("status")),
        _text(enrichment.get("reason")),
        _text(_object(body.get("links")).get("alert")),
        topic,
        partition,
        offset,
        raw,  # valid UTF-8, or it had been no JSON: a column of texts takes the bytes as they are
    )


def _alert_columns(alert: dict[str, Any], attributes: dict[str, Any]) -> Row:
    """Return `title` to `similar`; what the Alert API did not say is taken from a rich webhook body, if it was one."""
    rule, entity, kind = _object(alert.get("rule")), _object(alert.get("entity")), _object(alert.get("alert_type"))
    urgency = _integer(_object(alert.get("urgency")).get("current_value"))
    similar = _integer(alert.get("similar"))
    said = attributes.get
    return (
        _text(alert.get("title")),
        _integer(said("urgency_current_value")) if urgency is None else urgency,
        _text(_object(alert.get("custom_status")).get("label"))
        or _text(_object(alert.get("status")).get("name"))
        or _text(said("status_name")),
        _text(rule.get("name")) or _text(said("rule_name")),
        _text(rule.get("uuid")) or _text(said("rule_uuid")),
        _text(entity.get("name")) or _text(said("entity_name")),
        _text(entity.get("uuid")) or _text(said("entity_uuid")),
        _text(kind.get("value")) or _text(said("alert_type_value")),
        _text(kind.get("category")) or _text(said("alert_type_category")),
        _text(alert.get("source")),
        _text(alert.get("target")),
        _integer(said("similar")) if similar is None else similar,
    )


def place(row: Row) -> tuple[str, date]:
    """Return the tenant and the day (UTC) whose folder this row goes to: when it happened, else when it arrived."""
    received_at: datetime = row[_RECEIVED_AT]
    event_at: datetime | None = row[_EVENT_AT]
    believable = event_at is not None and abs(event_at - received_at) <= _BELIEVABLE
    return row[_TENANT], (event_at if event_at and believable else received_at).date()


def table(rows: Iterable[Row]) -> pa.Table:
    """Lay rows out in columns."""
    columns = zip(*rows, strict=True)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def _load(raw: bytes) -> dict[str, Any]:
    # Not the codec's reader of webhook bodies: the stream wraps a body, so its record may be deeper than one.
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise MalformedRecord(f"not JSON: {error.msg}") from error
    if type(body) is not dict:
        raise MalformedRecord(f"JSON, but not an object: {type(body).__name__}")
    return body


def _object(value: Any) -> dict[str, Any]:
    return value if type(value) is dict else {}


def _text(value: Any) -> str | None:
    return value if type(value) is str and value else None


def _integer(value: Any) -> int | None:
    # `type`, not isinstance: true is no number. JSON knows integers that a 64-bit column does not.
    return value if type(value) is int and -(2**63) <= value < 2**63 else None


def _time(value: Any, zone: Any = None) -> datetime | None:
    """Read ISO 8601 as UTC; a time without a zone is in `zone`, if one is given."""
    if type(value) is not str:
        return None
    try:
        time = datetime.fromisoformat(value)
        time = time if time.tzinfo or zone is None else time.replace(tzinfo=zone)
        return time.astimezone(UTC) if time.tzinfo else None
    except (ValueError, OverflowError):  # the year 1 east of Greenwich is in no calendar in UTC
        return None
