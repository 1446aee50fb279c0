"""One receipt becomes one row: what became of an event at a target, and when it was said."""

from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa

from events.codec import decode_receipt
from events.errors import MalformedRecord

SCHEMA = pa.schema(
    [
        ("receipt_at", pa.timestamp("us", tz="UTC")),
        ("event_id", pa.string()),
        ("revision", pa.int64()),
        ("alert_uuid", pa.string()),
        ("target", pa.string()),
        ("outcome", pa.string()),
        ("rules", pa.list_(pa.string())),
        ("rules_version", pa.string()),
        ("digest_id", pa.string()),
        ("replay_id", pa.string()),
        ("attempts", pa.int64()),
        ("status", pa.string()),
        ("run_id", pa.string()),
        ("latency", pa.float64()),
        ("kafka_topic", pa.string()),
        ("kafka_partition", pa.int32()),
        ("kafka_offset", pa.int64()),
        ("record", pa.string()),
    ],
    metadata={"tocsin": "receipt/1"},
)
"""Columns of a file; a later version may add some, never change or drop one."""

_LARGEST = 2**63
_YEAR_9999 = 253_370_764_800_000
"""Milliseconds; a timestamp beyond is in no calendar."""


def row(topic: str, partition: int, offset: int, raw: bytes | None, timestamp: int) -> tuple[Any, ...]:
    """Make the row of a receipt; `timestamp` is the record's, in milliseconds since 1970.

    Raises MalformedRecord.
    """
    receipt = decode_receipt(raw)
    if not all(-_LARGEST <= number < _LARGEST for number in (receipt.revision, receipt.attempts)):
        raise MalformedRecord("revision or attempts: more than 64 bits")
    return (
        datetime.fromtimestamp(min(max(timestamp, 0), _YEAR_9999) / 1000, UTC),
        receipt.event_id,
        receipt.revision,
        receipt.alert,
        receipt.target,
        receipt.outcome,
        list(receipt.rules),
        receipt.rules_version,
        receipt.digest_id,
        receipt.replay_id,
        receipt.attempts,
        receipt.status,
        receipt.run_id,
        receipt.latency,
        topic,
        partition,
        offset,
        raw,
    )


def place(row: tuple[Any, ...]) -> tuple[str, date]:
    """Return the day (UTC) whose folder this row goes to; receipts name no tenant."""
    return "default", row[0].date()
