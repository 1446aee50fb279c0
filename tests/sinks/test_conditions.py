"""Conditions: each by example, and three laws that hold for all of them."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from events.records import EnrichedEvent, Enrichment, WebhookEvent
from sinks.conditions import Conditions, compile_conditions
from sinks.facts import Facts
from sinks.hours import Hours, within

ALERT = {
    "uuid": "a1",
    "title": "T",
    "rule": {"uuid": "r1", "name": "PowerShell Download From URL"},
    "entity": {"uuid": "e1", "name": "Acme Finance - Lyon site"},
    "urgency": {"current_value": 75, "criticity": 80},
    "status": {"uuid": "s1", "name": "Pending"},
    "custom_status": {"label": "Under investigation", "stage": "In progress"},
    "alert_type": {"category": "malicious-code", "value": "malware"},
    "source": "FIN-WS-042 (10.20.30.42)",
    "target": "2001:db8::7",
    "assets": ["as1", "as2"],
    "kill_chain_short_id": "KC1",
    "similar": 14,
}

NAMES = {"community": {"uuid": "c1", "name": "Acme"}, "assets": {"as1": {"name": "dc01"}, "as2": {"name": "dc02"}}}


def event(
    alert: dict[str, Any] | None = ALERT, kind: str = "alert", status: str = "complete", **attributes: Any
) -> EnrichedEvent:
    return EnrichedEvent(
        event_id="e",
        received_at=datetime(2026, 7, 29, 8, 6, tzinfo=UTC),  # a Wednesday
        event=WebhookEvent(type=kind, action="updated", attributes=attributes, metadata={"community_uuid": "c1"}),
        alert=alert,
        names={} if alert is None else NAMES,
        enrichment=Enrichment(status=status),
    )


def verdict(match: dict[str, Any], one: EnrichedEvent) -> bool | None:
    return compile_conditions(Conditions.model_validate(match))(Facts(one))


YES = [
    {},
    {"type": "alert"},
    {"type": ["case", "al*"]},
    {"action": "UPDATED"},
    {"urgency": ">= 70"},
    {"urgency": "major"},
    {"urgency": "< 76"},
    {"asset_criticality": ">= 80"},
    {"similar": "> 10"},
    {"status": "under investigation"},
    {"status": "Pending"},
    {"stage": "in progress"},
    {"entity": "acme*"},
    {"entity": "e1"},
    {"rule": "*powershell*"},
    {"alert_type": "malware", "category": "malicious-*"},
    {"source": "10.0.0.0/8"},
    {"source": "FIN-*"},
    {"target": "2001:db8::/32"},
    {"target": "2001:DB8::7"},
    {"asset": "dc0?"},
    {"asset": "as2"},
    {"community": "Acme"},
    {"community": "c1"},
    {"kill_chain": "KC1"},
    {"tenant": "default"},
    {"when": {"days": "mon-fri", "hours": "08:00-18:00"}},
    {"not": {"urgency": "urgent"}},
    {"any": [{"urgency": ">= 90"}, {"entity": "*Lyon*"}]},
    {"all": [{"urgency": ">= 70"}, {"not": {"type": "case"}}]},
]
NO = [
    {"type": "case"},
    {"urgency": ">= 76"},
    {"urgency": "urgent"},
    {"entity": "acme"},
    {"source": "192.168.0.0/16"},
    {"changed": "status"},
    {"asset": "dc03"},
    {"when": {"days": "sat,sun"}},
    {"when": {"days": ["sat", "sun"]}},
    {"when": {"hours": "22:00-06:00"}},
    {"not": {"rule": "*powershell*"}},
    {"any": [{"urgency": ">= 90"}, {"entity": "*Paris*"}]},
    {"urgency": ">= 70", "entity": "*Paris*"},
]
NEEDS_ALERT = [match for match in YES if set(match) & {"urgency", "status", "entity", "rule", "source", "asset", "not"}]


@pytest.mark.parametrize("match", YES, ids=str)
def test_holds(match):
    assert verdict(match, event()) is True


@pytest.mark.parametrize("match", NO, ids=str)
def test_does_not_hold(match):
    assert verdict(match, event()) is False


@pytest.mark.parametrize("match", NEEDS_ALERT, ids=str)
def test_is_not_known_before_the_alert_is(match):
    assert verdict(match, event(alert=None, status="pending")) is None


def test_what_can_be_said_without_the_alert_is_said():
    pending = event(alert=None, status="pending", urgency_current_value=80, rule_name="R")
    assert verdict({"urgency": "urgent"}, pending) is True
    assert verdict({"rule": "x"}, pending) is False
    assert verdict({"type": "case", "entity": "x"}, pending) is False
    assert verdict({"any": [{"type": "alert"}, {"entity": "x"}]}, pending) is True


def test_a_field_an_event_can_never_have_is_a_no():
    assert verdict({"urgency": ">= 0"}, event(alert=None, kind="case", status="not_applicable")) is False


def test_what_an_update_changed():
    assert verdict({"changed": "status"}, event(updated={"status": "x", "status_name": "Closed"})) is True
    assert verdict({"changed": "status"}, event(updated=["status"])) is False


def test_a_number_in_an_update_is_newer_than_the_alert():
    assert verdict({"similar": ">= 100"}, event(updated={"similar": 100})) is True


TREES = st.recursive(
    st.sampled_from([match for match in [*YES, *NO] if match]),
    lambda inner: st.one_of(
        inner.map(lambda one: {"not": one}),
        st.lists(inner, min_size=1, max_size=3).map(lambda many: {"any": many}),
        st.lists(inner, min_size=1, max_size=3).map(lambda many: {"all": many}),
    ),
    max_leaves=8,
)


@given(TREES)
def test_what_was_said_before_the_alert_came_stays_true(match):
    """Law: knowing more turns `not known` into an answer and changes no answer."""
    early, late = verdict(match, event(alert=None, status="pending")), verdict(match, event())
    assert late is not None
    assert early in {None, late}


@given(TREES, TREES, st.booleans())
def test_de_morgan(left, right, pending):
    one = event(alert=None, status="pending") if pending else event()
    assert verdict({"not": {"any": [left, right]}}, one) is verdict({"all": [{"not": left}, {"not": right}]}, one)


@given(
    TREES,
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda s: st.lists(s) | st.dictionaries(st.sampled_from(list(ALERT)), s),
    ),
)
def test_an_alert_of_any_shape_makes_no_error(match, shape):
    alert = shape if isinstance(shape, dict) else dict.fromkeys(ALERT, shape)
    assert verdict(match, event(alert=alert, updated=shape)) in {True, False}


@pytest.mark.parametrize(
    "match",
    [
        {"urgency": "70"},
        {"urgency": 70},
        {"urgency": "severe"},
        {"urgncy": ">= 70"},
        {"when": {"days": "monday"}},
        {"when": {"hours": "8-18"}},
        {"when": {"zone": "Europe/Atlantis"}},
        {"any": {"type": "alert"}},
    ],
    ids=str,
)
def test_a_mistake_is_refused(match):
    with pytest.raises(ValidationError):
        Conditions.model_validate(match)


@pytest.mark.parametrize(
    ("hours", "at", "inside"),
    [
        (Hours(days="mon-fri", hours="08:00-18:00", zone="Europe/Paris"), "2026-07-29T06:00:00+00:00", True),
        (Hours(days="mon-fri", hours="08:00-18:00", zone="Europe/Paris"), "2026-07-29T05:59:00+00:00", False),
        (Hours(days="mon-fri", hours="08:00-18:00", zone="Europe/Paris"), "2026-12-29T06:30:00+00:00", False),
        (Hours(days="fri", hours="22:00-06:00"), "2026-08-01T05:59:00+00:00", True),  # Saturday morning
        (Hours(days="fri", hours="22:00-06:00"), "2026-07-31T05:59:00+00:00", False),  # Friday morning
        (Hours(days="sat-mon"), "2026-08-03T12:00:00+00:00", True),
        (Hours(days="sat-mon"), "2026-08-04T00:00:00+00:00", False),
        (Hours(hours="00:00-24:00"), "2026-08-04T23:59:59+00:00", True),
    ],
)
def test_hours(hours, at, inside):
    assert within(hours)(datetime.fromisoformat(at)) is inside
