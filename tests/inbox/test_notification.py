"""What an event says on the page, whatever it holds."""

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events.records import EnrichedEvent, Enrichment, WebhookEvent
from inbox import notification
from inbox.text import clean, link, pretty
from tests.inbox.conftest import NOW, alert, event

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = ["uuid", "short_id", "alert_uuid", "updated", "title", "rule", "entity", "urgency", "status", "comments"]


@pytest.mark.parametrize(
    ("action", "updated", "said"),
    [
        ("created", {}, "Alert raised"),
        ("deleted", {}, "Alert deleted"),
        ("updated", {"status": "x", "status_name": "Acknowledged"}, "Status changed to Acknowledged"),
        ("updated", {"status": "x"}, "Status changed to Pending"),
        ("updated", {"similar": 15}, "15 similar events"),
        ("updated", {"dynamic_urgency_value": 20}, "Urgency now 20"),
        ("updated", {"kill_chain": "x", "assignee": "y"}, "Alert changed: kill chain, assignee"),
        ("updated", {}, "Alert changed"),
    ],
)
def test_what_happened_to_an_alert(action, updated, said):
    assert notification.read(event(action=action, given={"updated": updated})).headline == said


def test_comment_is_found_in_the_alert_when_the_webhook_brings_ids_only():
    comments = [{"uuid": "other", "content": "no"}, {"uuid": "comment", "content": "Host isolated", "author": "Ada"}]
    read = notification.read(event(type_="alert-comment", of=alert(comments=comments)))
    assert (read.headline, read.text, read.author) == ("Comment", "Host isolated", "Ada")
    assert read.thread == notification.read(event()).thread


@pytest.mark.parametrize(
    ("value", "level"),
    [(0, "low"), (19, "low"), (20, "moderate"), (40, "high"), (60, "major"), (80, "urgent"), (100, "urgent")],
)
def test_level_is_ours(value, level):
    assert notification.read(event(of=alert(urgency={"current_value": value}))).level == level


@pytest.mark.parametrize("value", [None, "80", True, float("nan"), [80]])
def test_urgency_that_is_no_number_is_unknown(value):
    assert notification.read(event(of=alert(urgency={"current_value": value}))).level == "unknown"


def test_status_of_the_community_wins():
    custom = alert(custom_status={"label": "Waiting ☕"})
    assert notification.read(event(of=custom)).status == "Waiting ☕"


def test_a_record_without_its_alert_says_so():
    read = notification.read(event(status="pending"))
    assert (read.pending, read.title, read.urgency) == ("Details not available yet", "", None)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(
    type_=st.sampled_from(["alert", "alert-comment", "case", "content-proposal", "", "new\u202etype"]),
    action=st.sampled_from(["created", "updated", "", "alerts-updated"]),
    attributes=st.dictionaries(st.sampled_from(NAMES), JSON),
    known=st.none() | st.dictionaries(st.sampled_from(NAMES), JSON),
    names=st.dictionaries(st.sampled_from(["community"]), JSON),
)
def test_anything_is_read(type_, action, attributes, known, names):
    read = notification.read(
        EnrichedEvent(
            event_id="e",
            received_at=NOW,
            event=WebhookEvent(type=type_, action=action, attributes=attributes),
            alert=known,
            names=names,
            enrichment=Enrichment(status="complete"),
        )
    )
    assert read.headline
    assert read.type
    assert read.urgency is None or 0 <= read.urgency <= 100


def test_hostile_text_is_visible_bounded_and_undisguised():
    assert clean("invoice_\u202efdp.exe\x00\u2066", 50) == "invoice_fdp.exe"
    assert clean("a\tb\r\nc\u2028d", 50) == "a b c d"
    assert clean("a\r\n\n b ", 50, lines=True) == "a\nb"
    assert len(clean("x" * 100_000, 200)) == 200
    assert clean("👩\u200d👧", 50) == "👩\u200d👧"
    assert clean({"a": 1}, 50) == clean(None, 50) == clean(True, 50) == ""


@settings(deadline=None)
@given(st.text())
def test_clean_text_stays_as_it_is(text):
    once = clean(text, 20)
    assert len(once) <= 20
    assert clean(once, 20) == once


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "data:text/html,x", "//x", "https://x y", "https://x\u202e", None, 5]
)
def test_only_web_addresses_are_links(address):
    assert link(address) == ""


def test_raw_body_shows_what_cannot_be_seen():
    shown = pretty({"title": "a\u202eb\x07", "n": "🧨"}, 1000)
    assert "a\\u202eb\\u0007" in shown
    assert "🧨" in shown
    assert orjson.loads(shown) == {"title": "a\u202eb\x07", "n": "🧨"}
    assert pretty("x" * 500, 100).endswith("… 402 more characters")


@pytest.mark.parametrize("blank", "\u034f\u115f\u1160\u2800\u3164\uffa0")
def test_letters_that_draw_nothing_make_no_title(blank):
    assert clean(blank * 20, 200) == ""
    assert clean(f"pay{blank}pal", 200) == "paypal"
    assert blank not in pretty({"title": blank}, 200)
