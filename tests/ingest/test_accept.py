"""From a body to a record."""

from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.codec import MAX_DEPTH
from events.errors import MalformedRecord
from events.headers import RawHeaders
from ingest.accept import accept

NOW = datetime(2026, 7, 29, 8, 7, tzinfo=UTC)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
ENVELOPES = st.fixed_dictionaries(
    {},
    optional={
        "type": JSON,
        "action": JSON,
        "attributes": JSON | st.fixed_dictionaries({"uuid": JSON | st.uuids().map(str)}, optional={"alert_uuid": JSON}),
        "metadata": JSON | st.fixed_dictionaries({"created_at": JSON}, optional={"uuid": JSON, "community_uuid": JSON}),
    },
)


def headers(record):
    read = RawHeaders.from_kafka(record.headers)
    assert read is not None
    return read


@given(ENVELOPES)
def test_any_object_becomes_a_record_of_the_same_bytes(envelope):
    body = orjson.dumps(envelope, option=orjson.OPT_INDENT_2)
    record = accept(body, "soc", delivery_id="d1", received_at=NOW)
    assert record.value is body
    assert record.key
    assert len(record.key) <= 200
    assert headers(record).received_at == NOW
    assert headers(record).delivery_id == "d1"


@given(ENVELOPES)
def test_equal_content_has_equal_ids_unless_it_carries_no_time(envelope):
    first = headers(accept(orjson.dumps(envelope), "soc", delivery_id="d1", received_at=NOW))
    again = headers(accept(orjson.dumps(envelope), "lab", delivery_id="d2", received_at=NOW))
    assert (first.event_id == again.event_id) == (first.kind != "delivery")
    assert first.kind == again.kind


def reason_of(body):
    """Return why a body is malformed, "" when it is not."""
    try:
        accept(body, "soc", delivery_id="d", received_at=NOW)
    except MalformedRecord as error:
        return str(error)
    return ""


@given(st.binary())
def test_any_bytes_are_accepted_or_malformed(body):
    reason = reason_of(body)
    assert "\n" not in reason
    assert reason or isinstance(orjson.loads(body), dict)


@pytest.mark.parametrize("depth", [100, 190, 250, 500, 990, 1020, 1030, 5000])
@pytest.mark.parametrize("leaf", [b"1.5", b"1", b'"x"'])
def test_nesting_never_breaks_it(depth, leaf):
    nested = b"[" * depth + leaf + b"]" * depth
    body = (
        b'{"type":"a","action":"b","attributes":{"x":' + nested + b'},"metadata":{"created_at":"2026-07-29T08:06:57Z"}}'
    )
    assert (reason_of(body) == "") == (depth < MAX_DEPTH)


TRACE = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (TRACE, TRACE.decode()),
        (None, None),
        (b"", None),
        (TRACE.upper(), None),
        (TRACE + b"-x", None),
        (TRACE + b"\n", None),
        (TRACE.replace(b"00-4b", b"ff-4b"), None),
        (b"00-" + b"0" * 32 + b"-00f067aa0ba902b7-01", None),
        (b"00-4bf92f3577b34da6a3ce929d0e0e4736-" + b"0" * 16 + b"-01", None),
        (b"\xff\xfe", None),
    ],
)
def test_a_trace_context_is_kept_only_when_well_formed(given, kept):
    record = accept(b"{}", "soc", delivery_id="d", received_at=NOW, traceparent=given)
    assert headers(record).traceparent == kept


@pytest.mark.parametrize(
    ("body", "key", "kind"),
    [
        (
            b'{"event_version":1,"event_type":"alert","uuid":"e","attributes":{"event":"alert-created","alert_uuid":"a"}}',
            b"a",
            "delivery",
        ),
        (b'{"type":"alert","action":"created","attributes":{"uuid":"a"},"metadata":{"version":3}}', b"a", "delivery"),
        (
            (
                b'{"type":"alert","action":"merged","attributes":{"uuid":"a"},'
                b'"metadata":{"version":"4.1","created_at":"2026-07-29T08:06:57+00:00"}}'
            ),
            b"a",
            "content",
        ),
        (b'{"type":"intake","action":"silent","attributes":{"uuid":"i"},"metadata":null}', b"i", "delivery"),
        (b'{"type":"playbook","action":"error"}', b"d", "delivery"),
        (
            b'{"metadata":{"uuid":"71a2b3c4-0000-4000-8000-000000000001"}}',
            b"/71a2b3c4-0000-4000-8000-000000000001",
            "vendor",
        ),
        (b'{"attributes":[{"uuid":"a"}],"type":7}', b"d", "delivery"),
    ],
)
def test_what_is_not_known_today_is_taken_and_keyed_by_what_it_is_about(body, key, kind):
    record = accept(body, "soc", delivery_id="d", received_at=NOW)
    assert (record.key, headers(record).kind, record.value) == (key, kind, body)
