"""The oracle finds what is wrong, and only that."""

from dataclasses import replace
from datetime import UTC, datetime
from random import Random

import orjson
import pytest

from events.identity import identify
from events.records import EnrichedEvent, Enrichment, WebhookEvent
from sandbox import oracle, sabotage
from sandbox.evidence import Enriched, Evidence, Kill, Posted, Raw, Received
from sandbox.journal import Journal, Sent, read

NOW = datetime(2026, 8, 1, tzinfo=UTC)


def body(number):
    return orjson.dumps(
        {
            "type": "alert",
            "action": "created",
            "attributes": {"uuid": f"u{number}"},
            "metadata": {"created_at": f"2026-08-01T00:00:{number:02}Z", "community_uuid": "c"},
        }
    )


def whole(count=10):
    """Return a journal and the evidence of a run in which all went well."""
    sent, evidence = {}, Evidence()
    for number in range(count):
        raw = body(number)
        parsed = orjson.loads(raw)
        name = identify(parsed, raw, "d").event_id
        sent[raw] = Sent(raw, tries=1, acknowledged=1)
        evidence.raw.append(Raw(0, number, name, "content", raw))
        event = EnrichedEvent(
            event_id=name,
            received_at=NOW,
            event=WebhookEvent.model_validate(parsed),
            enrichment=Enrichment(status="complete"),
        )
        evidence.enriched.append(Enriched(0, 2 * number, event))
        evidence.posts.append(Posted(name, 100.0 + number))
        evidence.receipts.append(Received(name, "accepted", 100.5 + number))
        evidence.rows.append((name, 0))
    return sent, evidence


def test_a_good_run_is_good():
    verdict = oracle.judge(*whole())
    assert verdict.good
    assert (verdict.accepted, verdict.unique, verdict.enriched, verdict.delivered, verdict.archived) == (10,) * 5


@pytest.mark.parametrize("how", sabotage.KNOWN)
def test_every_sabotage_is_found(how):
    sent, evidence = whole()
    sabotage.spoil(evidence, how, Random(7))
    verdict = oracle.judge(sent, evidence)
    assert not verdict.good
    found = {
        "drop": verdict.missing,
        "double": verdict.doubled,
        "invent": verdict.invented,
        "reorder": verdict.reordered,
    }
    assert found[how]


def test_the_order_of_one_alert_counts_and_that_of_different_ones_does_not():
    for keys, reordered in [((b"a", b"a"), 1), ((b"a", b"b"), 0)]:
        sent, evidence = whole()
        for index, key in zip((3, 4), keys, strict=True):
            evidence.raw[index] = replace(evidence.raw[index], key=key)
            evidence.enriched[index] = replace(evidence.enriched[index], key=key)
        earlier, later = evidence.enriched[3:5]
        evidence.enriched[3:5] = replace(earlier, offset=later.offset), replace(later, offset=earlier.offset)
        assert len(oracle.judge(sent, evidence).reordered) == reordered


def test_a_record_under_another_key_than_raw_has_it_is_out_of_order():
    sent, evidence = whole()
    evidence.enriched[3] = replace(evidence.enriched[3], key=b"of another")
    assert len(oracle.judge(sent, evidence).reordered) == 1


@pytest.mark.parametrize("place", ["raw", "posts", "receipts", "rows"])
def test_what_is_missing_anywhere_is_found(place):
    sent, evidence = whole()
    del getattr(evidence, place)[3]
    assert oracle.judge(sent, evidence).missing


def test_a_repeat_is_allowed_only_for_what_was_in_flight_at_a_kill():
    sent, evidence = whole()
    evidence.posts.append(Posted(evidence.posts[4].event_id, 120.0))
    assert not oracle.judge(sent, evidence).good
    # The receipt of the fifth came at 104.5: it was posted before this kill and not yet told of.
    evidence.kills.append(Kill("sink", 104.2, 104.4))
    verdict = oracle.judge(sent, evidence)
    assert (verdict.repeated, verdict.in_flight_at_kill) == (1, 1)
    assert verdict.good


def test_the_journal_on_disk_says_what_was_noted(tmp_path):
    with Journal(tmp_path / "journal") as journal:
        journal.trying(b"a")
        journal.trying(b"a")
        journal.acknowledged(b"a")
    assert read(tmp_path / "journal") == {b"a": Sent(b"a", tries=2, acknowledged=1)}
