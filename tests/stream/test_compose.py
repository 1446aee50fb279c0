"""An enriched record is what the model would be written as, and never too large."""

from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.codec import decode_enriched, encode
from events.headers import RawHeaders, as_text, enriched_headers
from events.records import EnrichedEvent, Enrichment, Links, WebhookEvent
from events.topics import MAX_ENRICHED
from stream import compose
from stream.cache import Answer, read
from stream.compose import Finding

APP = "https://app.sekoia.io"
AT = datetime(2026, 7, 29, 8, 6, 57, tzinfo=UTC)
times = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(max_size=5), json, max_size=4)


def headers(at=AT, event_id="c/1"):
    return RawHeaders(event_id, "vendor", "d", at, "default", "soc", "webhook")


@given(
    times, st.text(max_size=8), objects, objects, objects, st.none() | objects, st.text(max_size=5), st.text(max_size=9)
)
def test_the_bytes_are_those_of_the_model(at, kind, attributes, metadata, extra, alert, name, reason):
    body = extra | {"type": kind, "action": "x", "attributes": attributes, "metadata": metadata}
    event = WebhookEvent.model_validate(orjson.loads(orjson.dumps(body)))
    answer = read(alert or None, at)
    record = compose.first(event, headers(at), Finding("complete", reason, answer, {"community": name}), APP)
    short_id = event.short_id if event.alert_uuid else None
    model = EnrichedEvent(
        event_id="c/1",
        received_at=at,
        hook="soc",
        event=event,
        alert=alert or None,
        names={"community": name},
        enrichment=Enrichment(status="complete", reason=reason, fetched_at=at if answer else None),
        links=Links(alert=compose.link(APP, short_id)),
    )
    assert record.value == encode(model)
    assert sorted(record.headers()) == sorted(enriched_headers(model))
    assert decode_enriched(record.value).enrichment == model.enrichment


def event(**attributes):
    return WebhookEvent(type="alert", action="created", attributes={"uuid": "u", "short_id": "AL1"} | attributes)


def test_the_link_is_the_alerts_and_harmless():
    record = compose.first(event(short_id="../x?<b>"), headers(), Finding("pending", "away"), APP)
    assert decode_enriched(record.value).links.alert == f"{APP}/operations/alerts/..%2Fx%3F%3Cb%3E"
    answer = Answer(b'{"short_id":"AL2"}', AT, "AL2")
    record = compose.first(event(), headers(), Finding("complete", None, answer), APP)
    assert decode_enriched(record.value).links.alert == f"{APP}/operations/alerts/AL2"


def test_a_completion_keeps_the_event_and_says_what_it_is():
    first = compose.first(event(), headers(), Finding("pending", "away", None, {"community": "Acme"}), APP, "c/u")
    assert dict(first.headers())["created"] == b"c/u"
    second = compose.completion(first.value, Finding("complete", None, Answer(b'{"title":"T"}', AT)), APP)
    old, new = decode_enriched(first.value), decode_enriched(second.value)
    assert (new.event_id, new.event, new.received_at, new.names) == (
        old.event_id,
        old.event,
        old.received_at,
        old.names,
    )
    assert (new.revision, new.alert, new.enrichment.status) == (1, {"title": "T"}, "complete")
    assert dict(second.headers()) == {
        "event-id": b"c/1",
        "revision": b"1",
        "status": b"complete",
        "received-at": b"2026-07-29T08:06:57.000000+00:00",
    }


def test_attempts_are_counted_on_in_the_completion_and_left_out_where_there_were_none():
    first = compose.first(event(), headers(), Finding("pending", "away", attempts=2), APP)
    second = compose.completion(first.value, Finding("complete", attempts=3), APP)
    assert [decode_enriched(each.value).enrichment.attempts for each in (first, second)] == [2, 5]
    assert encode(decode_enriched(second.value)) == second.value
    assert b"attempts" not in compose.first(event(), headers(), Finding("complete"), APP).value


def test_an_oversize_alert_loses_its_large_fields_only():
    alert = {"title": "kept", "details": "x" * (2 * MAX_ENRICHED)}
    found = Finding("complete", None, Answer(orjson.dumps(alert), AT))
    for record in (
        compose.first(event(), headers(), found, APP),
        compose.completion(compose.first(event(), headers(), Finding("pending"), APP).value, found, APP),
    ):
        assert len(record.value) < MAX_ENRICHED
        assert decode_enriched(record.value).alert == {"title": "kept"}
        assert decode_enriched(record.value).enrichment.reason == "oversize"


def test_a_trace_goes_along_in_value_and_header_through_the_completion_too():
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    record = compose.first(event(), headers()._replace(traceparent=trace), Finding("pending", "away"), APP)
    assert dict(record.headers())["traceparent"] == trace.encode()
    assert decode_enriched(record.value).traceparent == trace
    assert encode(decode_enriched(record.value)) == record.value
    completed = compose.completion(record.value, Finding("complete"), APP)
    assert dict(completed.headers())["traceparent"] == trace.encode()
    assert decode_enriched(completed.value).traceparent == trace
    assert b"traceparent" not in compose.first(event(), headers(), Finding("pending"), APP).value


def test_an_alert_of_many_fields_that_are_not_large_fits_too():
    alert = {"uuid": "u", "title": "T"} | {f"field {number}": "x" * 4000 for number in range(500)}
    answer = Answer(orjson.dumps(alert), AT)
    record = compose.first(event(), headers(), Finding("complete", None, answer), APP)
    assert len(record.value) < MAX_ENRICHED
    found = decode_enriched(record.value)
    assert (found.alert["uuid"], found.alert["title"], found.enrichment.reason) == ("u", "T", "oversize")


@pytest.mark.parametrize(
    ("alert", "told", "urgency"),
    [
        ({"urgency": {"current_value": 85.9}}, 10, "85"),
        ({"urgency": "high"}, 10, "10"),
        (None, 70, "70"),
        (None, "x", None),
        ({"urgency": {"current_value": True}}, 10, None),
    ],
)
def test_the_header_says_how_urgent_it_is(alert, told, urgency):
    found = Finding("complete", None, read(alert, AT))
    record = compose.first(event(urgency_current_value=told), headers(), found, APP)
    assert as_text(record.headers()).get("urgency") == urgency
    again = compose.completion(record.value, found, APP)
    assert as_text(again.headers()).get("urgency") == urgency
