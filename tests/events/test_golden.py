"""Bytes once written to a topic decode for ever, and mean the same. Never edit a golden file: add one."""

from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from events import codec
from events.headers import enriched_headers
from events.identity import identify

GOLDEN = Path(__file__).parent / "golden"


def golden(topic: str) -> list[object]:
    """Return one test parameter per golden file of a topic."""
    return [pytest.param(path.read_bytes(), id=path.stem) for path in sorted((GOLDEN / topic).glob("*.json"))]


def body(name: str) -> bytes:
    return (GOLDEN / "raw" / f"{name}.json").read_bytes()


@pytest.mark.parametrize("raw", golden("raw"))
def test_a_raw_body_decodes_and_nothing_of_it_is_lost(raw: bytes) -> None:
    event, posted = codec.decode_webhook(raw)
    assert posted == orjson.loads(raw)
    again = orjson.loads(codec.encode(event))
    assert {name: again[name] for name in posted} == {
        name: {} if value is None else value for name, value in posted.items()
    }


@pytest.mark.parametrize("raw", golden("enriched"))
def test_an_enriched_record_is_written_back_byte_for_byte(raw: bytes) -> None:
    assert codec.encode(codec.decode_enriched(raw)) == raw


@pytest.mark.parametrize("raw", golden("receipt"))
def test_a_receipt_decodes_and_nothing_of_it_is_lost(raw: bytes) -> None:
    """Older ones lack what was added since."""
    written, again = orjson.loads(raw), orjson.loads(codec.encode(codec.decode_receipt(raw)))
    assert {name: again.pop(name) for name in written} == written
    assert set(again.values()) <= {None}


def test_a_receipt_of_today_is_written_back_byte_for_byte() -> None:
    raw = (GOLDEN / "receipt" / "may-repeat.json").read_bytes()
    assert codec.encode(codec.decode_receipt(raw)) == raw


def test_what_consumers_read_from_the_webhook() -> None:
    created, _ = codec.decode_webhook(body("alert-created-documented"))
    assert (created.alert_uuid, created.short_id) == ("5e1f0b7a-93c4-4d02-8b6e-2f7a1c9d4e30", "ALh2Vn8Qw4Rt")
    assert created.community_uuid == "c07d5b18-64fa-4f3e-9a21-7be0d3f5a961"
    assert created.created_at == datetime(2026, 11, 2, 7, 15, 9, 204518, UTC)
    assert codec.decode_webhook(body("created-instead-of-created-at"))[0].created_at == created.created_at
    comment, _ = codec.decode_webhook(body("alert-comment-created"))
    assert (comment.alert_uuid, comment.short_id) == (created.alert_uuid, created.short_id)
    case, _ = codec.decode_webhook(body("case-created"))
    assert (case.alert_uuid, case.short_id) == (None, "CAj5Kr9Tz3Wm")
    empty, _ = codec.decode_webhook(body("nulls"))
    assert (empty.alert_uuid, empty.short_id, empty.community_uuid, empty.created_at) == (None, None, None, None)


def test_the_documented_body_keeps_its_event_id_for_ever() -> None:
    """An id that changes with a release would show every alert of the dedupe window a second time."""
    raw = body("alert-created-documented")
    identity = identify(orjson.loads(raw), raw, "d-1")
    assert identity.key == b"5e1f0b7a-93c4-4d02-8b6e-2f7a1c9d4e30"
    assert identity.event_id == "ac94d98eb710af2fa28fd07e6deaeb1a30bfe82237c3911bbe8f96884122de54"


def test_the_headers_of_an_enriched_record() -> None:
    event = codec.decode_enriched((GOLDEN / "enriched" / "revision-1.json").read_bytes())
    assert enriched_headers(event) == [
        ("event-id", b"c07d5b18-64fa-4f3e-9a21-7be0d3f5a961/d4b00001-5c6e-4f70-8a91-b2c3d4e5f607"),
        ("revision", b"1"),
        ("status", b"complete"),
        ("received-at", b"2026-11-02T07:15:10.018342+00:00"),
        ("urgency", b"%d" % event.urgency),
    ]
