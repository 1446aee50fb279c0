"""What waits in a spool is seen without disturbing it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from events.headers import RawHeaders, isoformat
from ingest.accept import RawRecord
from ingest.spool import Entry, Spool
from ingest.switch import Switch
from ops import spool_look

NOW = datetime(2026, 7, 29, 8, 0, tzinfo=UTC)
TOPIC = "t.raw.v1"


def entry(key: bytes, minutes: int) -> Entry:
    headers = RawHeaders(f"c/{minutes}", "vendor", f"d{minutes}", NOW + timedelta(minutes=minutes)).to_kafka()
    return Entry(0, late=False, record=RawRecord(key, b"{}", headers))


def test_what_waits_is_told_by_key_and_by_age(tmp_path: Path) -> None:
    assert spool_look.holding(tmp_path, TOPIC, b"a") == []
    assert spool_look.oldest(tmp_path, TOPIC) == (0, None)
    switch = Switch(tmp_path / "switch")
    with Spool(tmp_path, TOPIC, max_bytes=1024 * 1024, switch=switch) as spool:
        assert spool.oldest() is None
        assert spool_look.oldest(tmp_path, TOPIC) == (0, None)
        spool.write([entry(b"a", 1), entry(b"b", 2), entry(b"a", 3)])
        assert [each.event_id for each in spool_look.holding(tmp_path, TOPIC, b"a")] == ["c/1", "c/3"]
        assert spool_look.oldest(tmp_path, TOPIC) == (3, NOW + timedelta(minutes=1))
        assert spool.oldest() == isoformat(NOW + timedelta(minutes=1))
    switch.close()
