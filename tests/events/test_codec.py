"""Bytes to records and back: tolerant of what Sekoia may add, plain about what is wrong."""

import contextlib
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import codec
from events.codec import MAX_DEPTH
from events.errors import MalformedRecord
from events.records import EnrichedEvent, Enrichment, WebhookEvent
from events.topics import MAX_BODY

SECRET = "hunter2-in-the-value"


def enriched(**changes: Any) -> dict[str, Any]:
    record = {
        "event_id": "e-1",
        "received_at": "2026-11-02T07:15:10.018342+00:00",
        "event": {"type": "alert", "action": "created"},
        "enrichment": {"status": "pending"},
    }
    return record | changes


def nested(depth: int) -> bytes:
    """Return a webhook body with objects and lists `depth` levels deep."""
    inside = depth - 2  # the body and its attributes
    return b'{"type":"t","action":"a","attributes":{"x":' + b"[" * inside + b"]" * inside + b"}}"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (None, "tombstone: the record has no value"),
        (b"", "not JSON: "),
        (b"\x00\x01\xff", "not JSON: "),
        (b'{"type":"alert"', "not JSON: "),
        (b'{"type":"alert","action":"created"} trailing', "not JSON: "),
        (b'{"type":NaN,"action":"a"}', "not JSON: "),
        (b'{"type":"\xff","action":"a"}', "not JSON: "),
        (b"[1,2]", "JSON, but not an object: list"),
        (b"null", "JSON, but not an object: NoneType"),
        (b'"text"', "JSON, but not an object: str"),
        (b"{}", "type: Field required"),
        (b'{"type":"alert"}', "action: Field required"),
        (b'{"type":null,"action":"a"}', "type: Input should be a valid string"),
        (b'{"type":7,"action":"a"}', "type: Input should be a valid string"),
        (b'{"type":"t","action":["a"]}', "action: Input should be a valid string"),
        (b'{"type":"t","action":"a","attributes":[]}', "attributes: Input should be a valid dictionary"),
        (b'{"type":"t","action":"a","metadata":"m"}', "metadata: Input should be a valid dictionary"),
        (b" " * (MAX_BODY + 1), f"larger than {MAX_BODY} bytes: {MAX_BODY + 1}"),
        (nested(MAX_DEPTH + 1), f"nested deeper than {MAX_DEPTH} levels"),
        (nested(1000), f"nested deeper than {MAX_DEPTH} levels"),
        (nested(100_000), "not JSON: "),
    ],
)
def test_what_is_no_webhook_is_refused_with_a_plain_reason(raw: bytes | None, reason: str) -> None:
    with pytest.raises(MalformedRecord) as refused:
        codec.decode_webhook(raw)
    assert str(refused.value).startswith(reason)


@pytest.mark.parametrize(
    "raw",
    [
        SECRET.encode(),
        orjson.dumps(SECRET),
        orjson.dumps({"type": {"x": SECRET}, "action": "a"}),
        orjson.dumps({"type": "t", "action": "a", "attributes": SECRET}),
        orjson.dumps({"type": "t", "action": "a", "metadata": [SECRET]}),
        orjson.dumps(enriched(received_at=SECRET)),
        orjson.dumps(enriched(enrichment={"status": SECRET})),
        orjson.dumps(enriched(revision=SECRET)),
        orjson.dumps(enriched(alert=SECRET)),
        orjson.dumps({"event_id": "e", "target": "t", "outcome": SECRET}),
    ],
)
@pytest.mark.parametrize("decode", [codec.decode_webhook, codec.decode_enriched, codec.decode_receipt])
def test_a_reason_never_repeats_the_value(decode: Any, raw: bytes) -> None:
    """The reason ends in a header, a log and a page; the value may hold what only the record's readers may see."""
    with pytest.raises(MalformedRecord) as refused:
        decode(raw)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("decode", [codec.decode_enriched, codec.decode_receipt])
def test_a_tombstone_is_malformed_everywhere(decode: Any) -> None:
    with pytest.raises(MalformedRecord, match="tombstone"):
        decode(None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"revision": -1},
        {"revision": 2},
        {"received_at": "2026-11-02T07:15:10"},  # without a zone it names no moment
        {"event": {"type": "alert"}},
        {"enrichment": {}},
        {"event_id": None},
    ],
)
def test_what_is_no_enriched_event_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(MalformedRecord):
        codec.decode_enriched(orjson.dumps(enriched(**wrong)))


def test_the_least_a_record_may_hold() -> None:
    event, _ = codec.decode_webhook(b'{"type":"t","action":"a"}')
    assert (event.attributes, event.metadata) == ({}, {})
    assert codec.decode_enriched(orjson.dumps(enriched())).links.alert is None
    assert codec.decode_receipt(b'{"event_id":"e","target":"t","outcome":"delivered"}').attempts == 1


def test_a_body_at_each_limit_still_travels_the_whole_way() -> None:
    for raw in (nested(MAX_DEPTH), nested(3) + b" " * (MAX_BODY - len(nested(3)))):
        event, _ = codec.decode_webhook(raw)
        record = EnrichedEvent(
            event_id="e", received_at=datetime.now(UTC), event=event, enrichment=Enrichment(status="pending")
        )
        assert codec.decode_enriched(codec.encode(record)) == record


def test_a_record_too_deep_to_write_is_malformed_not_a_crash() -> None:
    """The alert comes from outside too."""
    alert: dict[str, Any] = {}
    for _ in range(400):
        alert = {"inner": alert}
    with pytest.raises(MalformedRecord, match="nested too deep"):
        codec.encode(codec.decode_enriched(orjson.dumps(enriched())).model_copy(update={"alert": alert}))


def test_many_brackets_are_not_depth() -> None:
    raw = orjson.dumps({"type": "t", "action": "a", "attributes": {"x": [{}, []] * 1000, "y": "[" * 5000}})
    assert codec.decode_webhook(raw)[0].attributes["y"] == "[" * 5000


names = st.text(st.characters(exclude_categories=["Cs"]))
texts = names | st.sampled_from(["created_at", "model_fields", "copy", "__class__", "model_config", "alert_uuid"])
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(texts, values, max_size=4), st.dictionaries(texts, values, max_size=4))
def test_fields_of_tomorrow_are_kept(extra: dict[str, Any], attributes: dict[str, Any]) -> None:
    posted = extra | {"type": "t", "action": "a", "attributes": attributes, "metadata": {}}
    event, body = codec.decode_webhook(orjson.dumps(posted))
    assert body == posted
    assert orjson.loads(codec.encode(event)) == posted
    record = codec.decode_enriched(orjson.dumps(enriched(event=posted, alert=extra)))
    assert codec.decode_enriched(codec.encode(record)) == record
    assert isinstance(record.event, WebhookEvent)


@given(st.binary(max_size=60) | values.map(orjson.dumps))
def test_any_bytes_are_read_or_malformed(raw: bytes) -> None:
    for decode in (codec.decode_webhook, codec.decode_enriched, codec.decode_receipt):
        with contextlib.suppress(MalformedRecord):
            decode(raw)
