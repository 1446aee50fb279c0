"""Conditions on what is no alert: reports, rules of the catalog, silent intakes, playbooks that failed."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from events.records import EnrichedEvent, Enrichment, WebhookEvent
from sinks.conditions import Conditions, compile_conditions
from sinks.facts import Facts
from sinks.rule_index import RuleIndex

REPORT = {
    "uuid": "p1",
    "name": "FLINT 2026-031 - A loader for banks",
    "description": "How it comes in, and what it leaves.",
    "tlp": "amber",
    "threats": ["Example Spider", {"name": "Loader"}],
    "sectors": "finance",
    "countries": ["France", "Spain"],
    "confidence": 80,
}
CATALOG = {"name": "PowerShell Download From URL", "description": "A cradle", "pattern": "process.name", "severity": 0}


def event(
    kind: str, given: dict[str, Any], names: dict[str, Any] | None = None, alert: dict[str, Any] | None = None
) -> EnrichedEvent:
    return EnrichedEvent(
        event_id="e",
        received_at=datetime(2026, 7, 29, 8, 6, tzinfo=UTC),
        event=WebhookEvent(type=kind, action="created", attributes=given),
        names=names or {},
        alert=alert,
        enrichment=Enrichment(status="complete" if alert else "not_applicable"),
    )


def verdict(match: dict[str, Any], one: EnrichedEvent) -> bool | None:
    asked = Conditions.model_validate(match)
    said = compile_conditions(asked)(Facts(one))
    assert list(RuleIndex([asked]).possible(Facts(one))) == ([] if said is False else [(0, said)])
    return said


def report(given: dict[str, Any], names: dict[str, Any] | None = None) -> EnrichedEvent:
    return event("content-proposal", given, names)


@pytest.mark.parametrize(
    ("match", "said"),
    [
        ({"name": "*loader*"}, True),
        ({"name": "*ransom*"}, False),
        ({"description": "*leaves?"}, True),
        ({"tlp": "AMBER"}, True),
        ({"tlp": ["red", "green"]}, False),
        ({"threat": "example spider"}, True),
        ({"threat": "Loader"}, True),
        ({"sector": "finance"}, True),
        ({"sector": "energy"}, False),
        ({"country": "spain"}, True),
        ({"confidence": ">= 70"}, True),
        ({"confidence": "> 80"}, False),
        ({"flint": True}, True),
        ({"flint": False}, False),
        ({"not": {"flint": True}}, False),
    ],
    ids=str,
)
def test_a_report_that_tells_of_itself(match, said):
    assert verdict(match, report(REPORT)) is said
    assert verdict(match, report({"uuid": "p1"}, {"report": REPORT})) is said, "told by a look-up"


@pytest.mark.parametrize(
    "match",
    [{"tlp": "red"}, {"threat": "x"}, {"confidence": "< 5"}, {"flint": True}, {"flint": False}, {"name": "x"}],
    ids=str,
)
def test_what_is_told_of_no_report_is_not_known(match):
    assert verdict(match, report({"uuid": "p1"})) is None
    assert verdict(match, event("case", {"uuid": "c1"})) is False, "a case is complete as it is"


@pytest.mark.parametrize(
    ("given", "names", "said"),
    [
        ({"flint": False, "name": "FLINT 2026-031"}, {}, False),
        ({"flint": True}, {"report": "An overview"}, True),
        ({}, {"report": "[FLINT 2026-031] A loader"}, True),
        ({}, {"report": "flintlock"}, False),
    ],
)
def test_a_report_is_the_vendors_own_by_its_field_else_by_its_name(given, names, said):
    assert verdict({"flint": True}, report(given, names)) is said
    assert verdict({"flint": False}, report(given, names)) is not said


@pytest.mark.parametrize(
    ("match", "kind", "given", "said"),
    [
        ({"name": "powershell*"}, "rule", CATALOG, True),
        ({"pattern": "process.*"}, "rule", CATALOG, True),
        ({"severity": "< 10"}, "rule", CATALOG, True),
        ({"severity": ">= 70"}, "rule", CATALOG, False),
        ({"intake": "fortigate*"}, "intake", {"intake_name": "Fortigate Paris"}, True),
        ({"intake": "u-7"}, "intake", {"intake_uuid": "u-7"}, True),
        ({"crashed": True}, "playbook", {"crashed": True}, True),
        ({"crashed": True}, "playbook", {"crashed": False}, False),
        ({"crashed": False}, "playbook", {"crashed": False}, True),
        ({"crashed": True}, "playbook", {}, False),
    ],
    ids=str,
)
def test_other_things(match, kind, given, said):
    assert verdict(match, event(kind, given)) is said


def test_the_rule_of_an_alert_has_severity_and_pattern():
    alert = {"uuid": "a", "rule": {"severity": 70, "pattern": "detection:\n  selection: x"}}
    assert verdict({"severity": ">= 70", "pattern": "detection:*"}, event("alert", {}, alert=alert)) is True
    assert verdict({"severity": "= 40"}, event("alert", {}, alert={"urgency": {"severity": 40}})) is True


@pytest.mark.parametrize("match", [{"flint": "yes"}, {"crashed": 1}, {"confidence": "high"}, {"similar": "low"}])
def test_a_mistake_is_refused(match):
    with pytest.raises(ValidationError):
        Conditions.model_validate(match)
