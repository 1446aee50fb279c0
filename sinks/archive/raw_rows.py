"""One raw record becomes one row: key, value and headers byte for byte, and what the headers say in columns."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa

from events.headers import RawHeaders

_TIME = pa.timestamp("us", tz="UTC")
_BELIEVABLE = timedelta(days=366)
_YEAR_9999 = 253_370_764_800_000
"""Milliseconds; a timestamp beyond is in no calendar."""

SCHEMA = pa.schema(
    [
        ("appended_at", _TIME),
        ("event_id", pa.string()),
        ("event_id_kind", pa.string()),
        ("delivery_id", pa.string()),
        ("received_at", _TIME),
        ("tenant", pa.string()),
        ("hook", pa.string()),
        ("origin", pa.string()),
        ("kafka_topic", pa.string()),
        ("kafka_partition", pa.int32()),
        ("kafka_offset", pa.int64()),
        ("key", pa.binary()),
        ("value", pa.binary()),
        ("headers", pa.list_(pa.struct([("name", pa.string()), ("value", pa.binary())]))),
    ],
    metadata={"tocsin": "raw/1"},
)
"""Columns of a file; a later version may add some, never change or drop one."""

_APPENDED_AT, _RECEIVED_AT, _TENANT = (
    SCHEMA.get_field_index(name) for name in ("appended_at", "received_at", "tenant")
)


def row(topic: str, partition: int, record: Any) -> tuple[Any, ...]:
    """Make the row of a record; there is none that cannot be one."""
    said = RawHeaders.from_kafka(record.headers)
    known = (
        (said.event_id, said.kind, said.delivery_id, said.received_at, said.tenant, said.hook, said.origin)
        if said
        else (None,) * 7
    )
    return (
        datetime.fromtimestamp(min(max(record.timestamp, 0), _YEAR_9999) / 1000, UTC),
        *known,
        topic,
        partition,
        record.offset,
        record.key,
        record.value,
        [{"name": name, "value": value} for name, value in record.headers],
    )


def place(row: tuple[Any, ...]) -> tuple[str, date]:
    """Return the tenant and the day (UTC) whose folder this row goes to: when it was received, if the clock was right."""
    appended_at: datetime = row[_APPENDED_AT]
    received_at: datetime | None = row[_RECEIVED_AT]
    believable = received_at is not None and abs(received_at - appended_at) <= _BELIEVABLE
    return row[_TENANT] or "default", (received_at if received_at and believable else appended_at).date()
