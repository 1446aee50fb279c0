"""How the records of a topic look in the archive: which columns, and whose folder a row goes to."""

from array import array
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from itertools import accumulate
from typing import Any

import pyarrow as pa

from events.topics import Topics
from sinks.archive import layout, raw_rows, receipt_rows, rows

Row = tuple[Any, ...]
_AT_MOST = 2**31 - 1
"""Bytes of one column whose places are 32-bit numbers."""


@dataclass(frozen=True)
class Shape:
    """One kind of rows."""

    folder: str
    """Below the archive's root."""
    schema: pa.Schema
    distinct: frozenset[str]
    """Columns whose values hardly repeat: a dictionary would cost and save nothing."""
    row: Callable[[str, int, Any], Row]
    """Makes the row of a topic's and partition's record, or raises MalformedRecord."""
    place: Callable[[Row], tuple[str, date]]
    """Returns the tenant and the day of a row."""

    def table(self, made: list[Row]) -> pa.Table:
        """Lay rows out in columns."""
        columns = zip(*made, strict=True)
        arrays = [_column(values, field.type) for values, field in zip(columns, self.schema, strict=True)]
        return pa.Table.from_arrays(arrays, schema=self.schema)


def _column(values: tuple[Any, ...], type_: pa.DataType) -> pa.Array:
    """Make a column; the bytes of a record, which are most of a row, are copied once."""
    if type(values[0]) is not bytes:
        return pa.array(values, type_)
    if None in values or sum(map(len, values)) > _AT_MOST:
        return pa.array(values, pa.binary()).cast(type_)
    # Arrow would append value by value to a buffer that grows. Text is not checked once more: it was read as JSON.
    ends = array("i", accumulate(map(len, values), initial=0))
    return pa.Array.from_buffers(type_, len(values), [None, pa.py_buffer(ends), pa.py_buffer(b"".join(values))])


ENRICHED = Shape(
    layout.DATA,
    rows.SCHEMA,
    frozenset(rows.DISTINCT),
    lambda topic, partition, record: rows.row(topic, partition, record.offset, record.value),
    rows.place,
)
RAW = Shape(
    layout.RAW,
    raw_rows.SCHEMA,
    frozenset({"appended_at", "event_id", "delivery_id", "received_at", "kafka_offset", "key", "value", "headers"}),
    raw_rows.row,
    raw_rows.place,
)
DELIVERIES = Shape(
    layout.DELIVERIES,
    receipt_rows.SCHEMA,
    frozenset({"receipt_at", "event_id", "alert_uuid", "latency", "run_id", "kafka_offset", "record"}),
    lambda topic, partition, record: receipt_rows.row(topic, partition, record.offset, record.value, record.timestamp),
    receipt_rows.place,
)


def archived(topics: Topics, names: list[str]) -> dict[str, Shape]:
    """Return the shape of each topic that is archived; names are `enriched`, `raw`, `deliveries`."""
    by_name = {
        "enriched": (topics.enriched, ENRICHED),
        "raw": (topics.raw, RAW),
        "deliveries": (topics.deliveries, DELIVERIES),
    }
    return dict(by_name[name] for name in names)
