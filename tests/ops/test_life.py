"""A life put together from records: what became of each arrival, and what each target did."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.codec import encode
from events.headers import RawHeaders
from events.records import EnrichedEvent, Enrichment, Receipt, WebhookEvent
from ops import life, retries
from ops.life_find import key_in
from ops.life_partition import merged
from ops.life_targets import Place, Slip, from_receipts, retried, without_receipt
from ops.scan import Span
from sinks import rules_file

NOW = datetime(2026, 7, 29, 8, 0, tzinfo=UTC)
UUID = "0f4ae8a5-0b3c-4f86-a3a1-8d2f6c0d6b11"
RULES = """\
targets: {soc: {type: log}, mail: {type: log}, lone: {type: log}}
rules:
  - {name: urgent, match: {type: alert, urgency: ">= 70"}, notify: [soc, mail]}
  - {name: cases, match: {type: case}, notify: mail}
unmatched: drop
"""


@dataclass
class Record:
    offset: int
    value: bytes
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    timestamp: int = int(NOW.timestamp() * 1000)
    topic: str = "raw"
    partition: int = 3
    key: bytes | None = UUID.encode()


def webhook(offset: int, event_id: str, seconds: float = 0, action: str = "created", late: float = 0) -> life.Arrival:
    body = {"type": "alert", "action": action, "attributes": {"uuid": UUID}}
    at = NOW + timedelta(seconds=seconds)
    headers = RawHeaders(event_id, "vendor", f"d{offset}", at, hook="sekoia").to_kafka()
    written = int((at + timedelta(seconds=late)).timestamp() * 1000)
    return life.arrival(Record(offset, orjson.dumps(body), headers, written))


def event(event_id: str, seconds: float = 0, *, revision: int = 0, urgency: int | None = 80) -> EnrichedEvent:
    return EnrichedEvent(
        event_id=event_id,
        revision=revision,
        received_at=NOW + timedelta(seconds=seconds),
        event=WebhookEvent(type="alert", action="created", attributes={"uuid": UUID}),
        alert=None if urgency is None else {"uuid": UUID, "urgency": {"current_value": urgency}},
        enrichment=Enrichment(status="pending" if urgency is None else "complete"),
    )


def enriched(offset: int, *args: object, **options: object) -> life.Revision:
    found = life.revision(Record(offset, encode(event(*args, **options)), topic="enriched"), "a.parquet")  # type: ignore[arg-type]
    assert found is not None
    return found


def fates(arrivals: list[life.Arrival], revisions: list[life.Revision], **options: object) -> dict[int, str]:
    found = life.events(arrivals, revisions, **{"buried": [], "stream_at": 100, **options})  # type: ignore[arg-type]
    return {each.offset: each.fate for one in found for each in one.arrivals}


def test_copies_are_told_from_the_one_that_was_taken() -> None:
    arrivals = [webhook(5, "c/1"), webhook(6, "c/1", 1), webhook(9, "c/1", 3600)]
    assert fates(arrivals, [enriched(2, "c/1")]) == {5: "enriched", 6: "duplicate", 9: "duplicate"}


def test_what_the_stream_has_not_reached_waits() -> None:
    arrivals = [webhook(5, "c/1"), webhook(6, "c/2")]
    assert fates(arrivals, [enriched(2, "c/1")], stream_at=6) == {5: "enriched", 6: "waiting"}
    assert fates(arrivals, [], stream_at=None) == {5: "waiting", 6: "waiting"}


def test_a_lost_enriched_record_is_seen() -> None:
    assert fates([webhook(5, "c/1"), webhook(6, "c/1", 1)], []) == {5: "not found", 6: "duplicate"}


def test_a_dead_letter_is_named() -> None:
    broken = life.arrival(Record(7, b"{", RawHeaders("d7", "delivery", "d7", NOW).to_kafka()))
    assert broken.what.startswith("unreadable: not JSON")
    assert fates([broken], [], buried=["raw/3/7"]) == {7: "dead letter"}


def test_a_caught_up_alert_and_its_late_webhook_are_one() -> None:
    caught_up, late = webhook(5, f"created:c/{UUID}"), webhook(9, "c/1", 60)
    assert fates([caught_up, late], [enriched(2, f"created:c/{UUID}")]) == {5: "enriched", 9: "same alert"}
    # Two webhooks about one alert stay two events: one without a record is missing.
    assert fates([webhook(5, "c/1"), webhook(6, "c/2", 1)], [enriched(2, "c/1")]) == {5: "enriched", 6: "not found"}


def test_what_waited_in_a_spool_says_so() -> None:
    assert webhook(5, "c/1", late=0.4).spooled == 0
    assert webhook(5, "c/1", late=61.5).spooled == 61.5


def test_a_record_of_somebody_else_is_named_as_the_stream_names_it() -> None:
    body = {"type": "case", "action": "created", "attributes": {}, "metadata": {"uuid": UUID, "community_uuid": "c"}}
    assert life.arrival(Record(5, orjson.dumps(body))).event_id == f"c/{UUID}"


def receipt(outcome: str = "accepted", *, seconds: float = 1, **more: object) -> Slip:
    value = {"event_id": "c/1", "target": "soc", "outcome": outcome, **more}
    read = life.receipt(orjson.dumps(value))
    assert read is not None
    return Slip(read, NOW + timedelta(seconds=seconds))


def test_receipts_tell_what_happened() -> None:
    told = from_receipts("soc", 0, None, [receipt(rules=["urgent"], rules_version="ab", attempts=3, digest_id="D7")])
    assert (told.state, told.attempts, told.rules, told.digest, told.twice) == ("accepted", 3, ("urgent",), "D7", "")


@pytest.mark.parametrize(
    ("outcomes", "state", "twice"),
    [
        (["attempting", "accepted"], "accepted", False),
        (["attempting"], "being sent, or cut off", True),
        (["attempting", "attempting", "accepted"], "accepted", True),
        (["accepted", "accepted"], "accepted", True),
        (["dead_letter", "accepted"], "accepted", False),
    ],
)
def test_what_may_have_been_shown_twice_says_so(outcomes: list[str], state: str, twice: bool) -> None:
    slips = [receipt(each, seconds=n) for n, each in enumerate(outcomes)]
    told = from_receipts("soc", 0, None, slips)
    assert (told.state, bool(told.twice)) == (state, twice)


def test_what_is_no_receipt_is_none() -> None:
    assert [life.receipt(each) for each in (None, b"", b"[]", b"{}", b'{"event_id": 1}')] == [None] * 5
    assert life.receipt(encode(Receipt(event_id="c/1", target="soc", outcome="muted"))) is not None


def test_a_target_without_a_receipt_says_why() -> None:
    rules = rules_file.parse(RULES, "test", {})
    place = Place(10, ((12, 14),))

    def why(
        target: str, offset: int, urgency: int = 80, at: Place | None = place, *, whole: bool = True
    ) -> tuple[str, list[str]]:
        told = without_receipt(target, event("c/1", urgency=urgency), offset, rules, at, waits=3, whole=whole)
        return told.state, told.why

    assert why("soc", 11) == ("waiting", ["3 places of the partition are before it"])
    assert why("soc", 13)[0] == "no receipt"
    assert why("soc", 13)[1][0].startswith("today's rules match (urgent): ")
    assert why("soc", 13)[1][0].endswith("the receipt is lost")
    assert why("soc", 13, whole=False)[0] == "no receipt among those read"
    assert "lost" not in why("soc", 13, whole=False)[1][0]
    assert why("mail", 5, urgency=10) == ("not matched", ["urgent: not urgency: >= 70", "cases: not type: case"])
    assert why("lone", 5) == ("not matched", ["no rule names this target"])
    assert why("soc", 5, at=None)[0] == "never ran"
    assert why("other", 5)[0] == "finished without a receipt"
    assert why("other", 5, whole=False)[0] == "no receipt among those read"


def test_a_rule_that_stops_and_one_that_is_quiet_say_so() -> None:
    text = RULES.replace("rules:\n", "rules:\n  - {name: first, match: {type: alert}, notify: lone, stop: true}\n")
    told = without_receipt("soc", event("c/1"), 5, rules_file.parse(text, "test", {}), Place(10), waits=0)
    assert (told.state, told.why) == ("not matched", ["urgent: not asked: rule first stops before it"])
    text = RULES.replace("notify: [soc, mail]", 'notify: [soc, mail], mute: {hours: "00:00-24:00", zone: UTC}')
    told = without_receipt("soc", event("c/1"), 11, rules_file.parse(text, "test", {}), Place(11), waits=0)
    assert (told.state, told.why[-1]) == ("waiting", "nobody is to be told: urgent: mute")


def test_what_its_sink_tries_again_is_said() -> None:
    rules = rules_file.parse(RULES, "test", {})
    retry = retries.read(
        {"event_id": "c/1", "revision": 0, "attempts": 4, "reason": "HTTP 503", "next_at": "2026-07-29T08:00:30+00:00"}
    )
    ours = without_receipt("soc", event("c/1"), 11, rules, Place(11), waits=0)
    retried(ours, "c/1", retry)
    assert (ours.state, ours.attempts, ours.next_at) == ("tried again", 4, NOW + timedelta(seconds=30))
    behind = without_receipt("soc", event("c/2"), 12, rules, Place(11), waits=1)
    retried(behind, "c/2", retry)
    assert behind.state == "waiting"
    assert behind.why[-1] == "the target is away: c/1 was tried 4 times (HTTP 503), next at 08:00:30 UTC"


def test_what_a_sink_says_is_read_with_care() -> None:
    assert retries.read({"attempts": "many", "revision": None}).attempts == 0


def test_a_completion_that_was_told_as_pending_is_not_told_again() -> None:
    rules = rules_file.parse(RULES, "test", {})
    told = without_receipt("soc", event("c/1", revision=1), 5, rules, Place(10), waits=0)
    assert (told.state, told.why) == (
        "not matched",
        ["urgent: it was told when the alert was still waited for (on_complete)"],
    )


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (UUID.upper(), UUID),
        (f"created:c/{UUID}", UUID),
        (f"state:{UUID}:1785312000", UUID),
        (f"c/{UUID}", None),  # the vendor's id of an event, not of an alert
        ("ALab12cd", None),
        ("5" * 64, None),
    ],
)
def test_some_ids_tell_their_key(text: str, key: str | None) -> None:
    assert key_in(text) == key


spans = st.builds(lambda start, size: Span(start, start + size), st.integers(0, 300), st.integers(0, 60))


@given(st.lists(spans, max_size=12), st.integers(0, 400))
def test_spans_are_joined_and_the_newest_kept(given_spans: list[Span], limit: int) -> None:
    wanted = sorted({offset for span in given_spans for offset in range(span.start, span.end)})
    for bound in (None, limit):
        found = merged(given_spans, bound)
        read = [offset for span in found for offset in range(span.start, span.end)]
        assert read == (wanted if bound is None else wanted[max(0, len(wanted) - bound) :])
