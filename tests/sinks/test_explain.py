"""Why a rule tells of an event or not, with what its settings make of it."""

from datetime import UTC, datetime
from typing import Any

from events.records import EnrichedEvent, Enrichment, WebhookEvent
from sinks.explain import explain_all
from sinks.rules import Rule

AT = datetime(2026, 7, 29, 8, 6, tzinfo=UTC)


def event(status: str = "complete", alert: Any = None) -> EnrichedEvent:
    said = WebhookEvent(type="alert", action="created", attributes={"uuid": "a"})
    return EnrichedEvent(event_id="e", received_at=AT, event=said, alert=alert, enrichment=Enrichment(status=status))


def explained(one: EnrichedEvent, *made: dict[str, Any]) -> list[tuple[bool, tuple[str, ...]]]:
    rules = [
        Rule.model_validate({"name": f"r{n}", "match": "all", "notify": "t", **rule}) for n, rule in enumerate(made)
    ]
    return [(found.notifies, found.notes) for found in explain_all(rules, one)]


def test_settings_are_noted():
    assert explained(
        event(alert={"similar": 12}),
        {"mute": {"days": "wed"}},
        {"digest": "1h", "min_interval": "15m"},
        {"match": {"recurrence": 10}},
        {"match": {"recurrence": 13}, "digest": "1h"},
    ) == [
        (True, ("muted at the time it came in",)),
        (True, ("in a digest until 2026-07-29T09:06:00+00:00", "unless it told of the alert less than 0:15:00 before")),
        (True, ("unless it told of as many events before",)),
        (False, ()),
    ]


def test_behind_a_rule_that_surely_stops_none_is_asked():
    stop = {"match": {"urgency": ">= 40"}, "stop": True}
    known = event(alert={"urgency": {"current_value": 50}})
    assert explained(known, stop, {}) == [(True, ()), (False, ("not asked: rule r0 stops before it",))]
    assert explained(event("pending"), stop, {}) == [(True, ()), (True, ())]


def test_an_expression_is_a_reason_of_its_own():
    rule = Rule.model_validate(
        {"name": "r", "match": {"type": "alert", "if": "urgency > 3", "flint": False}, "notify": "t"}
    )
    [found] = explain_all([rule], event("pending"))
    said = [(one.condition, one.verdict) for one in found.reasons]
    assert said == [("type: alert", True), ("flint: False", False), ("if: urgency > 3", None)]
