"""A made-up history: every record is what its room would write, and what is left out is known; the judge sees each fault."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import count
from types import SimpleNamespace

import httpx
import pytest
import respx

from events.codec import decode_enriched, decode_receipt, decode_webhook
from events.headers import RawHeaders, as_text
from sandbox import history_live
from sandbox.history_forms import Known
from sandbox.history_live import Traffic, p99
from sandbox.history_records import BACKFILL, TARGET, URGENT, History, Planted, Size
from sandbox.history_report import Drill, Replayed
from sandbox.history_site import past

END = datetime(2026, 7, 29, 8, tzinfo=UTC)
SIZE = Size(4_000, END - timedelta(hours=6), END)


def made():
    tenant, known, never = past(SIZE, 5, END - timedelta(minutes=20))
    history = History(SIZE, tenant, known, "v1")
    return list(history.events()), history.planted, known, never


def test_the_records_are_what_the_rooms_write():
    events, _, known, never = made()
    assert len(events) == SIZE.records
    seen = Counter()
    for each in events:
        raw, headers = decode_webhook(each.raw[0])[0], RawHeaders.from_kafka(each.raw[1])
        seen[headers.event_id] += 1
        assert (raw.alert_uuid.encode(), raw.created_at) == (each.key, headers.received_at)
        for receipt in map(decode_receipt, each.receipts):
            assert (receipt.event_id, receipt.alert) == (headers.event_id, raw.alert_uuid)
        if each.enriched is None:
            continue
        event, told = decode_enriched(each.enriched[0]), as_text(each.enriched[1])
        assert (event.event, event.received_at, event.event_id) == (raw, headers.received_at, told["event-id"])
        assert ("created" in told) == (raw.action == "created")
        assert event.alert["uuid"] == raw.alert_uuid
    assert max(seen.values()) == 1  # copies are made when it is written
    assert {each.uuid for each in known} <= {each.key.decode() for each in events}
    assert not {each["attributes"]["uuid"] for each in never} & {each.key.decode() for each in events}


def test_what_is_left_out_is_known():
    events, planted, _, _ = made()
    ids = {as_text(each.raw[1])["event-id"]: each for each in events}
    assert {name for name, each in ids.items() if each.enriched is None} == set(planted.enriched)
    told = {name: {decode_receipt(one).target for one in each.receipts} for name, each in ids.items()}
    assert {name for name, each in told.items() if TARGET not in each} == {*planted.enriched, *planted.receipts}
    assert (len(planted.enriched), len(planted.receipts), len(planted.whole)) == (SIZE.gaps,) * 3
    begin = SIZE.at(SIZE.first_replayed)
    urgent = {
        name
        for name, each in ids.items()
        if each.enriched
        and (event := decode_enriched(each.enriched[0])).urgency >= URGENT
        and event.received_at >= begin
    }
    assert {name for name in urgent if BACKFILL not in told[name]} == planted.expected
    assert 0 < len(planted.expected) < len(urgent)


def drill(**more):
    planted = Planted([Known("u1", "AL1", 0)], {"e1": "u2"}, {"e2": "u3"}, ["a.parquet"], {"e3", "e4"})
    gaps = [
        {"kind": "lost webhook", "place": "AL1", "event": "created:c/u1", "alert": "u1"},
        {"kind": "lost enriched record", "place": "raw/0/1", "event": "e1", "alert": "u2"},
        {"kind": "lost archive file", "place": "a.parquet", "event": "", "alert": ""},
        {"kind": "lost receipt", "place": "enriched/0/7", "event": "e2", "alert": "u3"},
    ]
    return Drill(
        **{
            "planted": planted, "gaps": gaps, "why": {"u1": 1.5, "AL1": 2.25}, "lost": Counter(u1=1), "told": Counter(e1=1),
            "receipts": Replayed({"e2"}, Counter(e2=1)), "replayed": Replayed({"e3", "e4"}, Counter(e3=1, e4=1)),
            "quiet": 0.5, "busy": 0.55,
        } | more
    )  # fmt: skip


def test_a_good_drill():
    assert drill().wrong() == []
    assert drill().line() == (
        "why_s=2.25 gaps_planted=4 gaps_named=4 catchup_mended=1 enriched_mended=1 receipts_mended=1 replay_expected=2 "
        "replay_got=2 replay_doubled=0 live_p99_s=0.50/0.55 live_p99_ratio=1.10"
    )


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"gaps": drill().gaps[1:]}, "lost webhook: 1 planted, 0 named"),
        ({"gaps": [*drill().gaps, drill().gaps[1] | {"event": "e9"}]}, "named and not planted: lost enriched record"),
        ({"lost": Counter(u1=2)}, "1 webhooks lost, 0 alerts told of once"),
        ({"replayed": Replayed({"e3", "e4"}, Counter(e3=1))}, "backfill: 2 expected, 1 came, 0 doubled"),
        ({"replayed": Replayed({"e3"}, Counter(e3=2))}, "backfill: 1 expected, 1 came, 1 doubled"),
        ({"replayed": Replayed({"e3"}, Counter(e3=1, e9=1))}, "backfill: 1 expected, 1 came, 1 doubled"),
        ({"receipts": Replayed({"e2"}, Counter())}, "withheld receipts: 1 expected, 0 came"),
        ({"left": {"lost receipt": 3, "lost archive file": 1}}, "still named at the end: 3 lost receipt"),
        ({"told": Counter(e1=2)}, "1 enriched records lost, 0 told of once after --mend"),
        ({"unexplained": ["why u1"]}, "why u1"),
    ],
)
def test_each_fault_is_seen(more, said):
    (line,) = drill(**more).wrong()
    assert line.startswith(said)


@pytest.mark.parametrize(("answers", "posts"), [((503, 503, 200), 3), ((429,), 1)])
def test_a_webhook_is_posted_again_where_there_was_no_room(monkeypatch, answers, posts):
    monkeypatch.setattr(history_live, "AGAIN", 0.0)
    with respx.mock:
        hook = respx.post("http://hook.test/").mock(side_effect=[httpx.Response(code) for code in answers])
        sent = Traffic(None, "http://hook.test/", 25.0).post([{"a": 1}])
        if answers[-1] == 200:
            asyncio.run(sent)
        else:
            with pytest.raises(httpx.HTTPStatusError):
                asyncio.run(sent)
    assert hook.call_count == posts


@pytest.mark.parametrize(("over", "sent"), [(True, 2), (False, 4)])
def test_new_alerts_come_while_something_goes_on_but_not_for_ever(over, sent):
    async def scenario():
        until = asyncio.Event()
        if over:
            until.set()
        tenant = SimpleNamespace(create_alert=lambda: {"attributes": {"uuid": str(next(numbers))}})
        return await Traffic(tenant, "http://hook.test/", 100.0).run(0.02, until, most=0.04)

    numbers = count()
    with respx.mock:
        respx.post("http://hook.test/").mock(return_value=httpx.Response(200))
        assert len(asyncio.run(scenario())) == sent


def test_an_event_that_never_came_leaves_no_figure():
    assert p99([0.1] * 50 + [float("inf")]) == float("inf")
    assert p99([n / 100 for n in range(101)]) == pytest.approx(0.99, abs=0.01)
