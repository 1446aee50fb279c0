"""`rules try` without Kafka: it remembers what it would have told, as a target does."""

from datetime import UTC, datetime, timedelta

from events.records import EnrichedEvent, Enrichment, WebhookEvent
from ops.rules_history import Readers, Trial
from sinks import rules_file

FILE = """\
targets: {screen: {type: log}, night: {type: log}}
rules:
  - {name: drop, match: {similar: "= 7"}, notify: [], stop: true}
  - {name: counts, match: {recurrence: [10, 100]}, notify: screen}
  - {name: waits, match: all, notify: night, min_interval: 10m, digest: 1h}
unmatched: drop
"""
START = datetime(2026, 7, 29, tzinfo=UTC)


def event(number: int, similar: int) -> EnrichedEvent:
    said = WebhookEvent(type="alert", action="updated", attributes={"uuid": "a", "updated": {"similar": similar}})
    at = START + timedelta(minutes=4 * number)
    done = Enrichment(status="complete")
    return EnrichedEvent(event_id=f"e{number}", received_at=at, event=said, alert={"uuid": "a"}, enrichment=done)


def test_what_would_be_told_kept_quiet_and_dropped():
    rules = rules_file.parse(FILE, "f", {})
    old = rules_file.parse(FILE.replace('"= 7"', '"= 8"'), "f", {})
    trial = Trial(Readers(rules), Readers(old))
    for number, similar in enumerate([1, 7, 12, 13, 200, 201]):
        trial.add(event(number, similar), b"a")
    assert trial.events == 6
    assert trial.per_rule == {"counts": 2, "waits": 2}
    assert trial.per_target == {"screen": 2, "night": 2}
    assert trial.digested == {"night": 2}
    assert trial.muted == {"night": 3}
    assert trial.nobody == 2
    assert trial.newly == 0, "the old ones were quiet about it too"
