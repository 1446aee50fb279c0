"""Which events a replay means, and which of them a target has already."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from events.codec import decode_enriched, encode
from events.errors import NotReady
from events.records import EnrichedEvent, Enrichment, WebhookEvent
from ops import replay_page, replay_run
from ops.replay import EVER, Counts, Got, Picking, Plan, conditions, doubt, marked, names, wants
from sinks import rules_file, shelf
from sinks.summary import summarise

NOW = datetime(2026, 7, 29, 8, 0, tzinfo=UTC)
RULES = rules_file.parse(
    """\
targets: {soc: {type: log}, mail: {type: log}}
rules:
  - {name: urgent, match: {type: alert, urgency: ">= 70"}, notify: soc}
  - {name: cases, match: {type: case}, notify: mail}
unmatched: drop
""",
    "test",
    {},
)


def plan(**more: object) -> Plan:
    span = {"since": NOW.isoformat(), "until": (NOW + timedelta(hours=1)).isoformat()}
    return Plan(**({"job": "j1", "target": "soc"} | span | more))  # type: ignore[arg-type]


def event(
    event_id: str = "c/1", *, kind: str = "alert", urgency: int | None = 80, revision: int = 0, minutes: int = 5
) -> EnrichedEvent:
    return EnrichedEvent(
        event_id=event_id,
        revision=revision,
        received_at=NOW + timedelta(minutes=minutes),
        event=WebhookEvent(type=kind, action="created", attributes={"uuid": f"U-{event_id}"}),
        alert=None if urgency is None else {"urgency": {"current_value": urgency}},
        enrichment=Enrichment(status="pending" if urgency is None else "complete"),
    )


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({}, ["urgent"]),  # the target's own rules
        ({"target": "mail"}, ["case"]),
        ({"rule": "cases"}, ["case"]),
        ({"where": 'type: alert, urgency: "< 70"'}, ["calm"]),
        ({"alert": "u-calm"}, ["calm"]),
        ({"alert": "u-calm", "where": "type: case"}, []),
    ],
)
def test_what_is_meant(asked: dict[str, str], wanted: list[str]) -> None:
    events = [event("urgent"), event("calm", urgency=10), event("case", kind="case", urgency=None)]
    means = wants(plan(**asked), RULES)
    assert [each.event_id for each in events if means(each)] == wanted


def test_what_cannot_be_meant_is_one_sentence() -> None:
    with pytest.raises(NotReady, match="There is no rule 'urgnt'"):
        wants(plan(rule="urgnt"), RULES)
    for text in ("urgency: [", "colour: red", "urgency: much"):
        with pytest.raises(NotReady, match="--where is written as in a rule"):
            conditions(text)


def picked(
    records: list[EnrichedEvent],
    *,
    got: set[str] = frozenset(),
    sent: set[int] = frozenset(),
    since: datetime | None = EVER,
    **more: object,
):  # type: ignore[no-untyped-def,assignment]
    asked = plan(**more)
    picking = Picking(asked, wants(asked, RULES), Got(set(got), since), set(sent))
    for offset, each in enumerate(records):
        picking.take(each, offset)
    counts = Counts()
    picking.add_to(counts, 0)
    return counts


def test_of_an_event_the_last_revision_goes_out_and_decides() -> None:
    records = [
        event("a", urgency=None),
        event("b", urgency=None),
        event("a", revision=1),
        event("b", revision=1, urgency=5),
    ]
    counts = picked(records)
    assert (counts.looked_at, counts.wanted, counts.picks) == (4, 1, {0: {2}})


def test_what_the_target_has_is_left_out_unless_asked_for() -> None:
    records = [event("a"), event("b")]
    assert (picked(records, got={"a"}).got, picked(records, got={"a"}).picks) == (1, {0: {1}})
    assert picked(records, got={"a"}, again=True).picks == {0: {0, 1}}


def test_what_nobody_knows_of_is_counted_unless_all_is_asked_for() -> None:
    records = [event("a", minutes=1), event("b", minutes=2), event("c", minutes=30), event("d", kind="case")]
    since = NOW + timedelta(minutes=10)
    counts = picked(records, got={"a"}, since=since)
    assert (counts.got, counts.left, counts.doubtful, counts.known_since) == (1, 2, 1, since)
    assert picked(records, got={"a"}, since=None).doubtful == 2
    assert picked(records, since=None, again=True).doubtful == 0


def test_a_record_that_may_be_about_an_alert_is_told_without_decoding() -> None:
    value = encode(event("A"))
    assert names("u-a", value)
    assert not names("u-b", value)
    assert names('u"b', value)  # a JSON text has it otherwise, so that it is decoded
    assert names("", value)


def test_what_the_job_has_sent_it_does_not_send_again() -> None:
    records = [event("a", urgency=None), event("b"), event("a", revision=1)]
    # Sent as revision 0, before the completion was there; --again does not mean this job's own.
    counts = picked(records, got={"a"}, sent={0}, again=True)
    assert (counts.sent, counts.picks) == (1, {0: {1}})


def test_the_span_is_of_arrival() -> None:
    counts = picked([event("a", minutes=-1), event("b", minutes=0), event("c", minutes=60)])
    assert (counts.looked_at, counts.picks) == (1, {0: {1}})


def test_a_record_sent_again_says_so_to_its_reader() -> None:
    again = decode_enriched(marked(encode(event()), "j1", NOW))
    assert orjson.loads(encode(again))["replay"]["job"] == "j1"
    assert summarise(again).warning.startswith("Sent again on request: it came in 2026-07-29 08:05 UTC")
    assert not summarise(event()).warning


def test_a_job_is_kept_to_be_gone_on_with(tmp_path: Path) -> None:
    kept = plan(where="type: alert", again=True, begun=NOW.isoformat())
    kept.save(tmp_path)
    assert Plan.load(tmp_path, "j1", NOW + timedelta(days=5)) == kept
    with pytest.raises(NotReady, match="began over 6 days ago"):
        Plan.load(tmp_path, "j1", NOW + timedelta(days=7))
    with pytest.raises(NotReady, match=r"There is no replay other in .*known are: j1"):
        Plan.load(tmp_path, "other", NOW)


def test_what_it_may_have_is_not_sent_unasked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def count(_self: object, _progress: object) -> Counts:
        return Counts(wanted=2, doubtful=1, picks={0: {1, 2}}, known_since=NOW)

    monkeypatch.setattr(replay_run.Replay, "count", count)
    monkeypatch.setattr(replay_page.sinks_main, "load", lambda _settings: RULES)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    with pytest.raises(NotReady, match=r"Nobody knows whether soc has 1 of them: .* before 2026-07-29 08:00 UTC"):
        replay_page.run(plan(), rate=1, yes=True)


def test_who_goes_on_with_a_job_is_not_told_to_send_again_what_it_has_sent() -> None:
    counts = Counts(sent=3, doubtful=1, known_since=NOW)
    assert doubt(plan(), counts).endswith(
        "Begin another job with a later --since for the rest: it leaves out what has a receipt."
    )
    assert "--again" in doubt(plan(), Counts(doubtful=1, known_since=NOW))


def test_only_what_disturbs_nobody_says_so() -> None:
    assert {name for name in shelf.types() if not shelf.find(name).tells_people} == {"log", "webhook"}


def test_the_time_that_reading_took_is_not_made_up_for():
    now = 0.0
    pace = replay_run._Pace(10.0, lambda: now)
    assert [pace.take(5), pace.take(5)] == [0.5, 1.0]
    now = 1.0
    assert pace.take(1) == pytest.approx(0.1)
    now = 600.0
    assert [pace.take(5), pace.take(5)] == [0.5, 1.0]
