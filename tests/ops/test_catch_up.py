"""The catch-up feeds what no record tells of, and nothing else."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.codec import decode_webhook
from events.errors import NotReady
from events.identity import identify
from events.records import EnrichedEvent, Enrichment, WebhookEvent
from ops import catch_up_cli
from ops.catch_up import Known, Listed, missing
from ops.catch_up_pass import Point, listed_from

ALERT = Listed("3B0F6A52-7d1e-4c7a-9f0b-5a1f2f0c9d11", "ALx", "c1", 1000.0, 1600.0)


def feeds(known: Known, floor: float = 900, until: float = 2000, alert: Listed = ALERT) -> list[str]:
    return [each.event_id for each in missing([alert], known, floor, until)]


def webhook(action: str, at: float) -> WebhookEvent:
    time = datetime.fromtimestamp(at, UTC).isoformat()
    return WebhookEvent(type="alert", action=action, attributes={"uuid": ALERT.uuid}, metadata={"created_at": time})


def test_an_unknown_alert_is_fed_once_as_created() -> None:
    assert feeds(Known()) == [f"created:c1/{ALERT.uuid.lower()}"]


def test_a_late_webhook_has_the_same_key() -> None:
    [feed] = missing([ALERT], Known(), 900, 2000)
    event, body = decode_webhook(feed.value)
    assert identify(body, feed.value, "d").key == feed.key == ALERT.uuid.encode()
    assert event.created_at is not None
    assert event.created_at.timestamp() == ALERT.created_at


def test_a_change_is_fed_unless_a_record_reflects_it() -> None:
    known = Known()
    known.raw(webhook("created", 1000))
    assert feeds(known) == [f"state:{ALERT.uuid.lower()}:1600"]
    known.raw(webhook("updated", 1600.4))
    assert feeds(known) == []


def test_an_enriched_record_reflects_the_state_it_shows() -> None:
    event = EnrichedEvent(
        event_id="e",
        received_at=datetime.now(UTC),
        event=webhook("created", 1000),
        alert={"updated_at": 1600},
        enrichment=Enrichment(status="complete"),
    )
    known = Known()
    known.enriched(event)
    assert feeds(known) == []


def test_what_is_too_young_or_from_before_the_span_is_left() -> None:
    assert feeds(Known(), until=999) == []
    assert feeds(Known(), floor=1700) == []
    assert feeds(Known(), until=1100) == [f"created:c1/{ALERT.uuid.lower()}"]  # though it changed a moment ago


@given(st.lists(st.sampled_from(["created", "updated"])), st.floats(900, 2000))
def test_what_was_fed_is_known_in_the_next_pass(seen: list[str], until: float) -> None:
    known = Known()
    for action in seen:
        known.raw(webhook(action, 1000))
    for feed in missing([ALERT], known, 900, until):
        known.raw(decode_webhook(feed.value)[0])
    again = [each for each in missing([ALERT], known, 900, until) if each.event_id.startswith("created:")]
    assert again == []


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_nothing_listed_breaks_it(value: object) -> None:
    assert Listed.read({"uuid": value, "created_at": value}) is None
    Listed.read({"uuid": "u", "created_at": 1, "updated_at": value, "short_id": value, "community_uuid": value})


class Tenant:
    """Alerts by the second they changed in."""

    def __init__(self, seconds: list[int]) -> None:
        self.items: list[dict[str, Any]] = [
            {"uuid": f"u{n}", "created_at": at, "updated_at": at} for n, at in enumerate(sorted(seconds))
        ]

    async def updated(self, since: datetime, offset: int = 0) -> list[dict[str, Any]]:
        found = [each for each in self.items if each["updated_at"] >= int(since.timestamp())]
        return found[offset : offset + 100]


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 260)), max_size=6))
def test_every_alert_is_listed_however_many_share_a_second(seconds: list[tuple[int, int]]) -> None:
    tenant = Tenant([at for at, count in seconds for _ in range(count)])
    listed, _, ended = asyncio.run(listed_from(tenant, 0.5))
    assert ended
    assert {each.uuid for each in listed} == {each["uuid"] for each in tenant.items}


def test_the_point_is_kept(tmp_path: Path) -> None:
    assert Point.load(tmp_path) is None
    Point(2.0, 1.0, 3.0).save(tmp_path)
    assert Point.load(tmp_path) == Point(2.0, 1.0, 3.0)
    (tmp_path / "resume.json").write_bytes(orjson.dumps({"what": 1}))
    with pytest.raises(NotReady):
        Point.load(tmp_path)


@pytest.mark.parametrize("text", ["yesterday", "2026-07-29T08:00:00", "20d", "2999-01-01T00:00:00Z"])
def test_a_since_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(NotReady):
        catch_up_cli._begin(text, datetime.now(UTC))
