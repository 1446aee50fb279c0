"""A raw record comes out of the archive as it went in: key, value and headers, byte for byte."""

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.errors import MalformedRecord
from events.headers import RawHeaders
from sinks.archive.read import files
from sinks.archive.shapes import DELIVERIES, RAW
from sinks.archive.storage import Folder
from sinks.archive.writer import PartitionWriter, parquet

NOON = datetime(2026, 7, 29, 12, tzinfo=UTC)


def record(offset=0, *, value=b"{}", key=b"k", headers=(), timestamp=1_785_326_400_000):
    return SimpleNamespace(offset=offset, value=value, key=key, headers=headers, timestamp=timestamp)


def said(received_at: datetime, tenant: str = "default"):
    return RawHeaders("e", "vendor", "d", received_at, tenant, "hook").to_kafka()


@given(
    st.none() | st.binary(),
    st.none() | st.binary(),
    st.lists(st.tuples(st.text(), st.none() | st.binary())),
    st.integers(-1, 2**63 - 1),
)
def test_bytes_are_kept(value, key, headers, timestamp):
    made = RAW.row("t", 0, record(value=value, key=key, headers=headers, timestamp=timestamp))
    RAW.place(made)
    [row] = RAW.table([made]).to_pylist()
    assert (row["value"], row["key"]) == (value, key)
    assert [(each["name"], each["value"]) for each in row["headers"]] == headers


def test_a_file_gives_them_back(tmp_path):
    """Surrogates, a zero byte and a header without a value go through Parquet and back."""
    given = [
        record(0, value=b"\xff\x00{", headers=[("a", b"\xfe"), ("a", b""), ("b", None)]),
        record(1, value=None, key=None, headers=said(NOON - timedelta(days=1), "a/b")),
    ]
    writer = PartitionWriter(Folder(tmp_path), "r", 0, "w", RAW)
    writer.claim(log_start=0, log_end=2)
    writer.commit(2, writer.write(given).files)
    found = sorted(
        (row for path in files(tmp_path) for row in pq.ParquetFile(path).read().to_pylist()),
        key=lambda row: row["kafka_offset"],
    )
    assert [(row["value"], row["key"]) for row in found] == [(each.value, each.key) for each in given]
    assert [[(each["name"], each["value"]) for each in row["headers"]] for row in found] == [
        list(each.headers) for each in given
    ]
    assert [path.relative_to(tmp_path).parts[:3] for path in files(tmp_path)] == [
        ("raw", "tenant=default", "date=2026-07-29"),
        ("raw", "tenant=a%2Fb", "date=2026-07-28"),
    ]


@pytest.mark.parametrize(
    ("received_at", "day"),
    [(NOON - timedelta(days=3), date(2026, 7, 26)), (datetime(1999, 1, 1, tzinfo=UTC), date(2026, 7, 29))],
)
def test_a_broken_clock_opens_no_folder(received_at, day):
    assert RAW.place(RAW.row("t", 0, record(headers=said(received_at)))) == ("default", day)


def test_a_receipt_is_a_row():
    value = b'{"event_id":"e","target":"t","outcome":"delivered","rules":["a","b"],"alert":"u","latency":1.5}'
    made = DELIVERIES.row("d", 3, record(7, value=value))
    [row] = DELIVERIES.table([made]).to_pylist()
    assert (row["event_id"], row["rules"], row["alert_uuid"], row["latency"]) == ("e", ["a", "b"], "u", 1.5)
    assert (row["receipt_at"], row["kafka_offset"], row["record"]) == (NOON, 7, value.decode())
    assert DELIVERIES.place(made) == ("default", date(2026, 7, 29))
    assert parquet(DELIVERIES.table([made]), DELIVERIES.distinct).startswith(b"PAR1")
    with pytest.raises(MalformedRecord):
        DELIVERIES.row("d", 3, record(value=b'{"event_id":"e"}'))
