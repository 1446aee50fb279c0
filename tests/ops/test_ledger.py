"""The account of one partition, without Kafka: what counts as there, as waiting, as lost, and as nobody's to judge."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

import orjson
import pytest

from events.codec import encode
from events.headers import RawHeaders, enriched_headers
from events.records import EnrichedEvent, Enrichment, Receipt, WebhookEvent
from ops.gaps import Limits
from ops.ledger import Ledger
from ops.life_targets import Place
from ops.scan import Span
from sinks import rules_file
from stream.created import CREATED

NOW = datetime(2026, 7, 29, 8, 0, tzinfo=UTC)
UUID = "0f4ae8a5-0b3c-4f86-a3a1-8d2f6c0d6b11"
RULE = "{name: alerts, match: {type: alert}, notify: soc}"
offsets = count()


@dataclass
class Record:
    value: bytes
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    topic: str = "raw"
    offset: int = field(default_factory=lambda: next(offsets))
    timestamp: int = int(NOW.timestamp() * 1000)
    partition: int = 3
    key: bytes | None = b"k"


def ledger(rule: str = RULE, **limits: object) -> Ledger:
    rules = rules_file.parse(f"targets: {{soc: {{type: log}}}}\nrules: [{rule}]\nunmatched: drop", "test", {})
    past = Place(10**6)
    given = {
        "since": NOW - timedelta(hours=1), "until": NOW + timedelta(hours=1), "stream": past, "targets": {"soc": past},
        "archived": None,
    }  # fmt: skip
    return Ledger(Limits(**(given | limits)), rules)  # type: ignore[arg-type]


def webhook(event_id: str, action: str = "created") -> Record:
    body = {
        "type": "alert",
        "action": action,
        "attributes": {"uuid": UUID},
        "metadata": {"community_uuid": "c"},
    }
    return Record(orjson.dumps(body), RawHeaders(event_id, "vendor", "d", NOW).to_kafka())


def enriched(event_id: str, **more: object) -> Record:
    event = EnrichedEvent(
        event_id=event_id,
        received_at=NOW,
        event=WebhookEvent(type="alert", action="created", attributes={"uuid": UUID}),
        enrichment=Enrichment(status="complete"),
    )
    headers = enriched_headers(event)
    if not event_id.startswith("created:"):
        headers.append((CREATED, f"c/{UUID}".encode()))
    return Record(encode(event), headers, "enriched", **more)  # type: ignore[arg-type]


def kinds(account: Ledger) -> list[str]:
    return [gap.kind for gap in account.gaps]


@pytest.mark.parametrize(("made", "came"), [("c/1", "c/1"), (f"created:c/{UUID}", "c/1"), ("c/1", f"created:c/{UUID}")])
def test_an_event_is_there_also_where_a_catch_up_and_a_webhook_made_one(made: str, came: str) -> None:
    account = ledger()
    account.enriched(enriched(made))
    assert account.raw(webhook(came))
    assert account.raw(webhook(came)), "a copy"
    assert (account.stream.expected, account.stream.there) == (1, 1)


def test_another_webhook_about_the_alert_is_an_event_of_its_own() -> None:
    account = ledger()
    account.enriched(enriched("c/1"), judged=False)
    for come in (webhook("c/2"), webhook("c/2")):
        assert not account.raw(come)
        account.lost(come)
    assert kinds(account) == ["lost enriched record"]


def test_a_copy_of_what_came_before_the_span_is_found_further_back() -> None:
    account = ledger()
    late = webhook("c/1")
    assert not account.raw(late)
    account.enriched(enriched("c/1"), judged=False)
    account.lost(late)
    assert (account.gaps, account.stream.there, account.archive.expected) == ([], 1, 0)


def test_what_a_stage_has_not_reached_waits() -> None:
    account = ledger(stream=Place(0), targets={"soc": Place(0)}, archived=set(), archived_to=0)
    account.raw(webhook("c/1"))
    account.enriched(enriched("c/0"))
    assert (account.stream.waiting, account.targets["soc"].waiting, account.archive.waiting) == (1, 1, 1)
    assert account.gaps == []


def test_what_is_too_young_is_not_judged() -> None:
    account = ledger(until=NOW)
    assert account.raw(webhook("c/1"))
    account.enriched(enriched("c/0"))
    assert (account.stream.expected, account.targets) == (0, {})


def test_rows_of_a_lost_file_are_the_file_s() -> None:
    account = ledger(archived={50}, archived_to=60, in_lost_files=[Span(51, 55)])
    for offset in (50, 52, 57, 60):
        account.enriched(enriched(f"c/{offset}", offset=offset))
    assert (account.archive.expected, account.archive.there, account.archive.waiting) == (4, 1, 1)
    assert [gap.place for gap in account.gaps if gap.kind == "lost row"] == ["enriched/3/57"]


def test_what_is_muted_must_have_a_receipt_too() -> None:
    muted = RULE.replace("notify", 'mute: {hours: "00:00-24:00", zone: UTC}, notify')
    account = ledger(muted)
    account.receipt(Record(encode(Receipt(event_id="c/1", target="soc", outcome="muted"))))
    account.enriched(enriched("c/1"))
    account.enriched(enriched("c/2"))
    assert (account.targets["soc"].there, kinds(account)) == (1, ["lost receipt"])


def test_rules_that_go_by_what_was_told_before_are_not_judged() -> None:
    account = ledger(RULE.replace("notify", "min_interval: 10m, notify"))
    account.enriched(enriched("c/1"))
    assert (account.gaps, account.not_judged["soc"], account.targets["soc"].expected) == ([], 1, 0)


def test_a_try_that_was_begun_is_no_receipt() -> None:
    account = ledger()
    account.receipt(Record(orjson.dumps({"event_id": "c/1", "target": "soc", "outcome": "attempting"})))
    account.enriched(enriched("c/1"))
    assert kinds(account) == ["lost receipt"]


def test_what_headers_and_receipts_answer_is_not_read() -> None:
    account = ledger()
    account.receipt(Record(encode(Receipt(event_id="c/1", target="soc", outcome="delivered", rules_version="v"))))
    told, came = enriched("c/1"), webhook("c/1")
    told.value = came.value = b"{"
    account.enriched(told)
    assert account.raw(came)
    assert (account.targets["soc"].there, account.stream.there, account.gaps) == (1, 1, [])
    assert account.first_told == {"soc": {"v": told.timestamp}}


def test_each_revision_has_a_receipt_of_its_own() -> None:
    account = ledger(RULE.replace("notify", "on_complete: always, notify"))
    account.receipt(Record(encode(Receipt(event_id="c/1", revision=1, target="soc", outcome="delivered"))))
    first, second = enriched("c/1"), enriched("c/1")
    second.headers = [(name, b"1" if name == "revision" else value) for name, value in second.headers]
    for each in (first, second):
        account.enriched(each)
    assert (account.targets["soc"].there, kinds(account)) == (1, ["lost receipt"])


@pytest.mark.parametrize("value", [b"", b"[]", b"{", b'{"event_id": 1, "target": "soc", "outcome": "delivered"}'])
def test_what_is_no_receipt_tells_nothing(value: bytes) -> None:
    account = ledger()
    account.receipt(Record(value))
    account.enriched(enriched("c/1"))
    assert kinds(account) == ["lost receipt"]
