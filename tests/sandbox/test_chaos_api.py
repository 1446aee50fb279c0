"""What a run without the Alert API must be able to find."""

from dataclasses import replace
from datetime import timedelta

import orjson
import pytest

from events.headers import RawHeaders
from events.records import EnrichedEvent, Enrichment, WebhookEvent
from sandbox.chaos_api_report import judge
from sandbox.chaos_feed import delivered
from sandbox.evidence import Enriched, Evidence, Raw, Received

URGENCY = {f"u{number}": 10 * number for number in range(10)}
"""Three of the ten alerts are at 70 or above."""


def good_run():
    """Return the evidence of a run in which all were told after a second, and completed later."""
    found = Evidence()
    for number in range(10):
        body = orjson.dumps(
            {
                "type": "alert",
                "action": "created",
                "attributes": {"uuid": f"u{number}"},
                "metadata": {"created_at": f"2026-08-01T00:00:{number:02}Z"},
            }
        )
        headers = RawHeaders.from_kafka(delivered(body).headers)
        found.raw.append(Raw(0, number, headers.event_id, headers.kind, body))
        event = EnrichedEvent(
            event_id=headers.event_id,
            received_at=headers.received_at,
            event=WebhookEvent.model_validate_json(body),
            enrichment=Enrichment(status="pending"),
        )
        completed = event.model_copy(update={"revision": 1, "enrichment": Enrichment(status="complete")})
        found.enriched += [Enriched(0, 2 * number, event), Enriched(0, 2 * number + 1, completed)]
        at = (headers.received_at + timedelta(seconds=1)).timestamp()
        found.receipts.append(Received(headers.event_id, "delivered", at))
    return found


def test_a_good_run_says_so_in_one_line():
    outcome = judge(good_run(), URGENCY, 0)
    assert outcome.code == 0
    assert (outcome.sent, outcome.urgent) == (10, 3)
    assert outcome.slowest == pytest.approx(1.0, abs=0.01)
    assert outcome.line() == "urgent_unnotified_within_15s=0 completed=10 blocks_caused=0"


def test_an_urgent_event_nobody_was_told_of_fails_the_run():
    found = good_run()
    found.receipts.pop()
    assert judge(found, URGENCY, 0).code == 1
    assert "urgent_unnotified_within_15s=1" in judge(found, URGENCY, 0).line()


def test_an_urgent_event_told_too_late_fails_the_run_and_its_first_receipt_counts():
    found = good_run()
    last = found.receipts.pop()
    found.receipts.append(replace(last, at=last.at + 14.5))
    assert judge(found, URGENCY, 0).unnotified == 1
    found.receipts.append(last)
    assert judge(found, URGENCY, 0).unnotified == 0


def test_one_that_is_not_urgent_need_not_be_told():
    found = good_run()
    del found.receipts[0]
    assert judge(found, URGENCY, 0).code == 0


def test_an_event_that_was_never_completed_fails_the_run():
    found = good_run()
    found.enriched.pop()
    assert judge(found, URGENCY, 0).completed == 9
    assert judge(found, URGENCY, 0).code == 1


def test_a_block_of_our_own_making_fails_the_run():
    assert judge(good_run(), URGENCY, 1).code == 1


def test_a_run_without_anything_urgent_proves_nothing():
    assert judge(good_run(), dict.fromkeys(URGENCY, 0), 0).code == 1
