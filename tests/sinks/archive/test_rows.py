"""One row per record, whatever is in it: null where a type is not the column's, the record itself always whole."""

import json
from datetime import UTC, date, datetime, timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.errors import MalformedRecord
from sinks.archive import rows

MINIMAL = {"event_id": "e", "received_at": "2026-07-29T08:06:57.123456Z"}
FULL = MINIMAL | {
    "revision": 1,
    "tenant": "acme",
    "hook": "sekoia",
    "origin": "catch-up",
    "event": {
        "type": "alert",
        "action": "updated",
        "attributes": {"uuid": "u-1", "short_id": "AL1"},
        "metadata": {"community_uuid": "c-1", "created_at": "2026-07-28T23:59:59+02:00"},
    },
    "alert": {
        "title": "Überfall 🚨",
        "urgency": {"current_value": 70},
        "status": {"name": "Pending"},
        "rule": {"name": "R", "uuid": "r-1"},
        "entity": {"name": "E", "uuid": "n-1"},
        "alert_type": {"value": "malware", "category": "malicious-code"},
        "source": "10.0.0.1",
        "target": "10.0.0.2",
        "similar": 0,
    },
    "enrichment": {"status": "complete", "reason": "because"},
    "links": {"alert": "https://app.example/alerts/AL1"},
}


def row(value: object) -> dict[str, object]:
    return dict(zip(rows.SCHEMA.names, rows.row("t", 3, 7, orjson.dumps(value)), strict=True))


def test_every_column_of_a_full_record():
    found = row(FULL)
    assert orjson.loads(found.pop("record")) == FULL
    assert found == {
        "event_id": "e",
        "revision": 1,
        "type": "alert",
        "action": "updated",
        "tenant": "acme",
        "community": "c-1",
        "hook": "sekoia",
        "origin": "catch-up",
        "received_at": datetime(2026, 7, 29, 8, 6, 57, 123456, UTC),
        "event_at": datetime(2026, 7, 28, 21, 59, 59, tzinfo=UTC),
        "alert_uuid": "u-1",
        "short_id": "AL1",
        "title": "Überfall 🚨",
        "urgency": 70,
        "status": "Pending",
        "rule_name": "R",
        "rule_uuid": "r-1",
        "entity_name": "E",
        "entity_uuid": "n-1",
        "alert_type": "malware",
        "alert_category": "malicious-code",
        "source": "10.0.0.1",
        "target": "10.0.0.2",
        "similar": 0,
        "enrichment_status": "complete",
        "enrichment_reason": "because",
        "link": "https://app.example/alerts/AL1",
        "kafka_topic": "t",
        "kafka_partition": 3,
        "kafka_offset": 7,
    }


def test_what_the_alert_api_did_not_say_comes_from_a_rich_body():
    said = {"urgency_current_value": 20, "status_name": "Ongoing", "rule_name": "R", "entity_name": "E", "similar": 4}
    found = row(MINIMAL | {"event": {"type": "alert", "attributes": said}})
    assert (found["urgency"], found["status"], found["rule_name"], found["entity_name"]) == (20, "Ongoing", "R", "E")
    assert found["similar"] == 4
    asked = {"urgency": {"current_value": 0}, "custom_status": {"label": "Ours"}, "similar": 0, "rule": {"name": "Q"}}
    found = row(MINIMAL | {"event": {"type": "alert", "attributes": said}, "alert": asked})
    assert (found["urgency"], found["status"], found["rule_name"], found["similar"]) == (0, "Ours", "Q", 0)


@pytest.mark.parametrize(
    ("kind", "attributes", "uuid"),
    [
        ("alert", {"uuid": "a"}, "a"),
        ("alert", {"uuid": "a", "alert_uuid": "b"}, "a"),
        ("alert-comment", {"uuid": "c", "alert_uuid": "a"}, "a"),
        ("case", {"uuid": "c"}, None),
    ],
)
def test_the_alert_a_record_is_about(kind, attributes, uuid):
    assert row(MINIMAL | {"event": {"type": kind, "attributes": attributes}})["alert_uuid"] == uuid


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (None, "tombstone"),
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b'{"event_id": "\xed\xa0\x80"}', "not JSON"),
        (b"[]", "not an object"),
        (b"null", "not an object"),
        (b"{}", "event_id"),
        (b'{"event_id": ""}', "event_id"),
        (b'{"event_id": 5}', "event_id"),
        (b'{"event_id": "e"}', "received_at"),
        (b'{"event_id": "e", "received_at": 1753776417}', "received_at"),
        (b'{"event_id": "e", "received_at": "2026-07-29T08:06:57"}', "received_at"),
        (b'{"event_id": "e", "received_at": "0001-01-01T00:00:00+14:00"}', "received_at"),
    ],
)
def test_what_is_no_enriched_record(raw, reason):
    with pytest.raises(MalformedRecord, match=reason):
        rows.row("t", 3, 7, raw)


def test_as_deep_as_the_stream_can_write():
    """Ingest takes 200 levels, and the enriched record wraps them."""
    deep: object = 1
    for _ in range(249):
        deep = {"a": deep}
    value = MINIMAL | {"event": {"type": "alert", "attributes": deep}}
    assert row(value)["type"] == "alert"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(["2026-07-29T08:06:57Z", "2026-07-29", "x" * 5000, "\0", "\u202e", "'; DROP TABLE"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def hostile(draw) -> dict[str, object]:
    """A full record in which any part may be anything, or gone."""

    def spoil(value: object) -> object:
        if draw(st.integers(0, 5)) == 0:
            return draw(JSON)
        return {k: spoil(v) for k, v in value.items()} if isinstance(value, dict) else value

    return {name: spoil(value) for name, value in FULL.items()} | MINIMAL


@given(st.lists(hostile(), min_size=1, max_size=4))
def test_any_content_makes_rows_of_one_schema(values):
    made = [rows.row("t", 0, number, orjson.dumps(value)) for number, value in enumerate(values)]
    table = rows.table(made)
    table.validate(full=True)
    assert table.schema.equals(rows.SCHEMA, check_metadata=True)
    assert [json.loads(text) for text in table["record"].to_pylist()] == values
    assert table["kafka_offset"].to_pylist() == list(range(len(values)))


@pytest.mark.parametrize("value", [True, 1.0, 2**63, -(2**63) - 1, "70", [70], {}])
def test_a_number_column_takes_only_a_number_it_can_hold(value):
    raw = json.dumps(FULL | {"alert": {"urgency": {"current_value": value}}}).encode()
    assert rows.row("t", 0, 0, raw)[rows.SCHEMA.get_field_index("urgency")] is None


@pytest.mark.parametrize(
    ("event_at", "day"),
    [
        ("2026-07-28T23:59:59Z", date(2026, 7, 28)),
        ("2026-07-29T00:30:00+02:00", date(2026, 7, 28)),
        ("2026-07-28", date(2026, 7, 28)),
        ("2025-08-01T00:00:00Z", date(2025, 8, 1)),
        ("1970-01-01T00:00:00Z", date(2026, 7, 29)),
        ("9999-12-31T23:59:59Z", date(2026, 7, 29)),
        ("soon", date(2026, 7, 29)),
        (None, date(2026, 7, 29)),
        (5, date(2026, 7, 29)),
    ],
)
def test_the_day_is_the_events_unless_its_clock_cannot_be_right(event_at, day):
    raw = orjson.dumps(MINIMAL | {"event": {"type": "a", "metadata": {"created_at": event_at}}})
    assert rows.place(rows.row("t", 0, 0, raw)) == ("default", day)


def test_the_vendors_other_name_of_the_time():
    assert row(MINIMAL | {"event": {"metadata": {"created": "2026-07-28T10:00:00Z"}}})["event_at"] == datetime(
        2026, 7, 28, 10, tzinfo=UTC
    )


@given(st.timedeltas(timedelta(days=-800), timedelta(days=800)))
def test_a_broken_clock_opens_no_folder_of_its_own(off):
    arrived = datetime(2026, 7, 29, 12, tzinfo=UTC)
    record = {"event_id": "e", "received_at": arrived.isoformat(), "event": {}}
    record["event"] = {"metadata": {"created_at": (arrived + off).isoformat()}}
    _, day = rows.place(rows.row("t", 0, 0, orjson.dumps(record)))
    assert abs(day - arrived.date()) <= timedelta(days=367)


def test_the_schema_is_the_one_that_files_have():
    """A reader of old files relies on each: add a column here when you add one, never change or drop one."""
    kinds = {"revision": "int64", "urgency": "int64", "similar": "int64", "kafka_partition": "int32"}
    kinds |= {"kafka_offset": "int64", "received_at": "timestamp[us, tz=UTC]", "event_at": "timestamp[us, tz=UTC]"}
    names = (
        "event_id revision type action tenant community hook origin received_at event_at alert_uuid short_id title "
        "urgency status rule_name rule_uuid entity_name entity_uuid alert_type alert_category source target similar "
        "enrichment_status enrichment_reason link kafka_topic kafka_partition kafka_offset record"
    )
    assert " ".join(rows.SCHEMA.names) == names
    assert {field.name: str(field.type) for field in rows.SCHEMA if field.type != "string"} == kinds
    assert all(field.nullable for field in rows.SCHEMA)
