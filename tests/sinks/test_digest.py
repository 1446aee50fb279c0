"""A digest in every type's own form: all it names is there, nothing hostile takes effect, every limit is kept."""

import asyncio
import importlib.util
import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.codec import decode_enriched, encode
from sandbox import message_limits
from sandbox.adaptive_card import cards
from sinks import digest_text, shelf
from sinks.adaptive_card import MAX_CARD, draw
from sinks.destinations import ifttt, mattermost, slack, telegram
from sinks.digest import Digest, Prepared
from sinks.mail import compose
from sinks.rules import Decision
from sinks.summary import summarise

_spec = importlib.util.spec_from_file_location("hostile", Path(__file__).with_name("hostile.py"))
assert _spec
assert _spec.loader
hostile = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(hostile)


def digest(*texts, named=100, urgent=lambda number: number % 2 == 0, urgency=lambda number: 50 + number % 50):
    made = Digest(named)
    for number, text in enumerate(texts):
        event = hostile.event(text, rule=text, entity=text, urgency=urgency(number))
        attributes = {"uuid": f"{number:08d}-7d1e-4c7a-9f0b-5a1f2f0c9d11", "short_id": f"AL{number:010d}"}
        event = event.model_copy(
            update={
                "event_id": f"c/{number}",
                "event": event.event.model_copy(update={"attributes": attributes}),
                "received_at": datetime(2026, 7, 29, 8, 6, number % 60, tzinfo=UTC),
            }
        )
        record = SimpleNamespace(topic="t", partition=0, offset=number, key=str(number).encode())
        made.fold(Prepared(record, event, Decision(notify=True, rules=("r",)), urgent=urgent(number)))
    return made


def forms(event) -> dict[str, str]:
    """Draw the event as each type does."""
    told = summarise(event)
    chat = mattermost.MattermostSettings(url="https://m.example/hooks/x")
    mail = compose(event, sender="a@b.example", to=["c@d.example"], enriched=True)
    return {
        "teams": json.dumps(draw(told), ensure_ascii=False),
        "mattermost": json.dumps(mattermost.message(told, chat), ensure_ascii=False),
        "slack": json.dumps(slack.message(told), ensure_ascii=False),
        "telegram": telegram.text(told),
        "email": mail.get_body(("plain",)).get_content(),
        "log": "".join(label for label, _ in told.items),
        "ifttt": json.dumps(ifttt.values(told), ensure_ascii=False),
    }


@pytest.mark.parametrize("text", ["A quiet title", "😀 漢字 " * 40, "<b>_*" * 50])
@pytest.mark.parametrize("type_", ["teams", "mattermost", "slack", "telegram"])
def test_as_many_as_a_type_claims_are_named_in_its_message(type_, text):
    named = shelf.find(type_).named
    shown = forms(digest(*[text] * (named * 3), named=named).event())[type_]
    assert sum(f"AL{number:010d}" in shown for number in range(named * 3)) == named
    assert f"and {named * 2} more" in shown or f"and {named * 2:,} more" in shown


@settings(max_examples=25)
@given(st.lists(hostile.TEXTS, min_size=1, max_size=60))
def test_hostile_texts_stay_within_every_limit(texts):
    made = digest(*texts)
    event = decode_enriched(encode(made.event()))
    assert event.event.attributes["count"] == len(texts)
    drawn = draw(summarise(event))
    assert len(orjson.dumps(drawn)) <= MAX_CARD
    cards(orjson.dumps(drawn))
    told = summarise(event)
    message_limits.slack(orjson.dumps(slack.message(told)))
    message_limits.telegram(orjson.dumps({"chat_id": 1, "text": telegram.text(told), "parse_mode": "HTML"}))
    settings_ = mattermost.MattermostSettings(url="https://m.example/hooks/x")
    body = orjson.dumps(mattermost.message(told, settings_))
    message_limits.mattermost(body)
    assert b"@channel" not in body
    assert "<script>" not in telegram.text(told)


def test_the_urgent_are_named_first_and_the_most_urgent_of_all_gives_the_colour():
    made = digest(*["t"] * 10, named=3, urgent=lambda number: number in (4, 7), urgency=lambda number: 10 * number)
    attributes = made.event().event.attributes
    assert [item["event_id"] for item in attributes["events"]] == ["c/7", "c/4", "c/9"]
    assert (attributes["count"], attributes["urgent"], attributes["urgency_current_value"]) == (10, 2, 90)
    assert attributes["levels"] == {"Low": 2, "Moderate": 2, "High": 2, "Major": 2, "Urgent": 2}
    assert summarise(made.event()).title == "10 events in one message, 2 of them urgent"


def test_the_same_events_make_the_same_id_and_others_another():
    assert digest("a", "b").id == digest("a", "b").id != digest("a").id
    bare = digest("secret words").event(bare=True)
    assert bare.event_id == digest("secret words").id
    assert "secret" not in encode(bare).decode()


@given(st.recursive(st.one_of(st.none(), st.booleans(), st.integers(), st.text()), st.lists, max_leaves=5), st.data())
def test_an_event_that_only_says_it_is_a_digest_is_shown_all_the_same(value, data):
    names = ("count", "urgent", "levels", "rules", "entities", "events", "first_received_at")
    given_ = {name: data.draw(st.one_of(st.just(value), st.just({"a": value}), st.just([{"title": value}]))) for name in names}  # fmt: skip
    event = digest("t").event()
    event = event.model_copy(update={"event": event.event.model_copy(update={"attributes": given_})})
    assert summarise(event).title
    forms(event)


@given(
    st.lists(st.tuples(st.text(max_size=44), st.text(max_size=300)), max_size=120),
    st.integers(0, 10**6),
    st.integers(200, 9_000),
)
def test_lines_keep_to_their_room_and_count_what_they_leave_out(items, more, most):
    items = [(label.replace("\n", " ").strip() or "x", title) for label, title in items]
    text = digest_text.lines(items, more, most)
    assert len(text) <= most
    shown = text.split("\n") if text else []
    left = more + len(items) - sum(not line.startswith("and ") for line in shown)
    if items and left:
        assert shown[-1] == f"and {left:,} more" or any(label.startswith("and ") for label, _ in items)


def test_the_log_prints_it_in_a_line(capsys):
    from sinks.destinations.log import Log, LogSettings

    asyncio.run(Log(LogSettings()).deliver(digest("one", "two").event()))
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert "AL0000000001 two" in out
