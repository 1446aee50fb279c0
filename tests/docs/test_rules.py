"""docs/rules.md: its files are read, its conditions hold, its settings do what the page says."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from events.records import EnrichedEvent, Enrichment, WebhookEvent
from sinks import cel
from sinks.conditions import Conditions, compile_conditions
from sinks.facts import CROSSINGS_KEPT, Facts
from sinks.fields import MANY
from sinks.memory import KEPT
from sinks.quiet import LONGEST, SHORTEST
from sinks.rules import Rule, Rules
from sinks.rules_file import parse
from sinks.rules_remarks import remarks
from sinks.rules_text import RulesText
from tests.docs.snippets import DOCS, snippets

PAGE = "rules.md"
ENVIRONMENT = {
    "TEAMS_WEBHOOK_URL": "https://x.environment.api.powerplatform.com/w?sig=s",
    "SMTP_PASSWORD": "p",
    "MATTERMOST_URL": "https://chat.example.org/hooks/x",
    "INTEL_URL": "https://intel.example.org/in",
    "INTEL_SECRET": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
}
ALERT: dict[str, Any] = {
    "uuid": "a1",
    "title": "PowerShell download",
    "urgency": {"current_value": 75, "criticity": 80},
    "status": {"name": "Pending"},
    "custom_status": {"label": "Pending", "stage": "Open"},
    "similar": 14,
    "entity": {"name": "Acme Finance - Lyon"},
    "assets": ["as1", "as2"],
    "rule": {"name": "PowerShell Download From URL", "severity": 70, "pattern": "process.name: powershell.exe"},
    "alert_type": {"category": "malicious-code", "value": "malware"},
    "kill_chain_short_id": "KCa1B2c3D4e5",
    "source": "FIN-WS-042 (10.20.30.42)",
    "target": "2001:db8::7",
    "ttps": [{"name": "PowerShell"}],
}
NOON, NIGHT = datetime(2026, 7, 29, 10, 0, tzinfo=UTC), datetime(2026, 7, 29, 1, 0, tzinfo=UTC)
REPORT = {
    "name": "FLINT 2026-031: ransomware",
    "description": "It asks banks for money",
    "tlp": "amber",
    "threats": ["Example Spider"],
    "sectors": ["finance"],
    "countries": ["France"],
    "confidence": 85,
}
OTHER = {"intake_name": "Fortigate Paris", "crashed": True}


def event(kind: str = "alert", at: datetime = NOON, **changes: Any) -> EnrichedEvent:
    given = {"alert": {"updated": {"status": "x"}}, "content-proposal": REPORT}.get(kind, OTHER)
    about: dict[str, Any] = {"alert": ALERT, "status": "complete", **changes}
    return EnrichedEvent(
        event_id="e",
        received_at=at,
        hook="sekoia-1",
        event=WebhookEvent(type=kind, action="updated", attributes=given),
        alert=about["alert"] if kind == "alert" else None,
        names={"community": "Acme", "assets": {"as1": "dc01"}},
        enrichment=Enrichment(status=about["status"] if kind == "alert" else "not_applicable"),
    )


EVENTS = (event(), event("content-proposal"), event("other"))


def rows(heading: str, until: str) -> list[tuple[str, str]]:
    """Return name and example of each row of the tables between two headings."""
    text = (DOCS / PAGE).read_text(encoding="utf-8")
    part = text[text.index(f"\n## {heading}\n") : text.index(f"\n## {until}\n")]
    found, name = [], ""
    for line in part.splitlines():
        if match := re.match(r"\| (?:`(\w+)` )?\| `(.*?)` \|", line):
            name = match[1] or name
            found.append((name, match[2]))
    return found


CONDITIONS = rows("Conditions", "What is not known yet")
SETTINGS = rows("What else a rule may say", "What is remembered, and where")


@pytest.mark.parametrize(("name", "example"), CONDITIONS)
def test_each_condition_is_one_and_holds(name, example):
    written = yaml.safe_load(example)
    assert list(written) == [name]
    check = compile_conditions(Conditions.model_validate(written))
    assert [check(Facts(one)) for one in EVENTS].count(True) >= 1


def test_no_condition_is_left_out():
    known = {field.alias or name for name, field in Conditions.model_fields.items()}
    assert {name for name, _ in CONDITIONS} == known


@pytest.mark.parametrize(("name", "example"), SETTINGS)
def test_each_setting_is_one(name, example):
    written = yaml.safe_load(example)
    assert list(written) == [name]
    assert getattr(Rule.model_validate({"name": "r", "match": "all", "notify": "t", **written}), name)


def test_no_setting_is_left_out():
    assert {name for name, _ in SETTINGS} == set(Rule.model_fields) - {"name", "match", "notify"}


def told(rules: Rules, one: EnrichedEvent) -> dict[str, tuple[str, ...]]:
    decisions = {name: rules.decide(one, name) for name in rules.targets}
    return {name: decision.rules for name, decision in decisions.items() if decision.notify}


def test_the_file_does_what_is_said_of_it():
    rules = example()
    urgent = told(rules, event())
    assert urgent == {
        "soc-teams": ("urgent alerts", "alerts that keep coming"),
        "soc-mail": ("urgent alerts",),
        "finance-chat": ("everything of finance",),
    }
    assert told(rules, event("content-proposal")) == {"threat-intel": ("reports",)}
    assert told(rules, event("other")) == {}
    assert told(rules, event(alert=ALERT | {"entity": {"name": "Lab 3"}})) == {}
    calm = ALERT | {"urgency": {"current_value": 30}, "similar": 1, "entity": {"name": "Acme Paris"}}
    assert told(rules, event(alert=calm)) == {"soc-teams": ("the night, in the morning",)}
    assert rules.decide(event(alert=calm), "soc-teams").digest is None
    morning = datetime(2026, 7, 29, 6, 0, tzinfo=UTC)
    assert rules.decide(event(at=NIGHT, alert=calm), "soc-teams").digest == morning
    waited_for = event(at=NIGHT, alert=None, status="pending")
    assert "soc-mail" in told(rules, waited_for)
    assert rules.decide(waited_for, "soc-teams").digest is None


def example() -> Rules:
    return parse(snippets(PAGE, "yaml")[0], PAGE, ENVIRONMENT)


def test_nothing_is_wrong_with_the_file():
    notes = remarks(example(), RulesText(snippets(PAGE, "yaml")[0], PAGE))
    assert [note for note in notes if "needs the alert" not in note] == []


def test_the_other_rules_are_rules():
    first, second = (Rule.model_validate(yaml.safe_load(text)[0]) for text in snippets(PAGE, "yaml")[1:])
    check = compile_conditions(first.match)
    assert check(Facts(event(at=NIGHT))) is True
    assert check(Facts(event())) is False
    assert check(Facts(event(at=NIGHT, alert=None, status="pending"))) is None
    assert (second.when_unknown, second.on_complete) == ("skip", "new")


def test_the_figures_of_the_page_are_those_of_the_code():
    text = " ".join((DOCS / PAGE).read_text(encoding="utf-8").split())
    assert f"at most {cel.cel_text.LONGEST:,} characters long, loops stand in each other two deep" in text
    assert cel.cel_text.DEEPEST == 2
    assert f"{cel.ITEMS} entries of a list and {cel.CHARACTERS:,} characters of a text" in text
    assert (SHORTEST.total_seconds(), LONGEST.days, CROSSINGS_KEPT.days) == (1, 7, 7)
    assert f"beyond {KEPT:,} alerts per target" in text
    listed = text[text.index("where there may be several (") :]
    assert set(re.findall(r"`(\w+)`", listed[: listed.index(")")])) == MANY


def test_the_readme_shows_rules_of_the_file_to_begin_with():
    shown = yaml.safe_load(snippets("../README.md", "yaml")[0])["rules"]
    whole = yaml.safe_load(snippets(PAGE, "yaml")[0])["rules"]
    assert len(shown) == 4
    assert [rule for rule in shown if rule not in whole] == []
