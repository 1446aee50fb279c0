"""Rules follow their file while the sinks run."""

import asyncio
import os
import signal
from datetime import UTC, datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from events.records import EnrichedEvent, Enrichment, WebhookEvent
from sinks import rules_file
from sinks.reload import Reload, reloading
from sinks.rules import Rules

FILE = """\
targets:
  screen: {type: log}
  other: {type: log}
rules:
  - {name: cases, match: {type: case}, notify: [screen, other]}
unmatched: drop
"""

EVENT = EnrichedEvent(
    event_id="e",
    received_at=datetime(2026, 7, 29, tzinfo=UTC),
    event=WebhookEvent(type="alert", action="created"),
    enrichment=Enrichment(status="complete"),
)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "tocsin.yml"
    path.write_text(FILE)
    return path


def said(reload: Reload) -> dict[str, Any]:
    with capture_logs() as logs:
        reload.look()
    assert len(logs) == 1
    return dict(logs[0])


def test_a_changed_file_decides_from_now_on(path):
    rules = rules_file.read(path, {})
    reload = Reload(path, rules, ["screen"])
    before = rules.decide(EVENT, "screen")
    path.write_text(FILE.replace("type: case", "type: alert, action: created"))
    assert said(reload)["event"] == "rules_adopted"
    after = rules.decide(EVENT, "screen")
    assert (before.notify, after.notify) == (False, True)
    assert after.version == rules.version != before.version
    with capture_logs() as logs:
        reload.look()
    assert not logs


def test_a_broken_file_keeps_the_old_rules_and_says_where(path):
    rules = rules_file.read(path, {})
    version, reload = rules.version, Reload(path, rules, ["screen"])
    path.write_text(FILE.replace("type: case", "typo: case"))
    line = said(reload)
    assert line["event"] == "rules_refused"
    assert "tocsin.yml:5" in line["reason"]
    assert rules.version == version
    path.unlink()
    reload.look()  # between the old file and the new one there may be none
    assert rules.version == version


def test_targets_that_need_a_restart_are_named(path):
    rules = rules_file.read(path, {})
    reload = Reload(path, rules, ["screen", "other"])
    path.write_text(
        FILE.replace("  other: {type: log}\n", '  new: {type: webhook, url: "https://x.example.org"}\n').replace(
            "[screen, other]", "[screen, new]"
        )
    )
    assert said(reload)["restart_for"] == [
        "other (removed; runs on with its old rules)",
        "new (not run by this process)",
    ]
    assert not rules.decide(EVENT, "other").notify


def test_sighup_reads_the_file(path):
    rules = rules_file.read(path, {})

    async def hang_up() -> None:
        async with asyncio.timeout(60), reloading(path, rules, ["screen"]):
            path.write_text(FILE.replace("type: case", "type: alert"))
            os.kill(os.getpid(), signal.SIGHUP)
            while not rules.decide(EVENT, "screen").notify:
                await asyncio.sleep(0)

    asyncio.run(hang_up())


def decided(on_complete: str, when_unknown: str, urgency: int) -> tuple[bool, bool]:
    rule = f"{{type: alert, urgency: '>= 70'}}, on_complete: {on_complete}, when_unknown: {when_unknown}"
    rules: Rules = rules_file.parse(FILE.replace("{type: case}", rule), "f", {})
    pending = EVENT.model_copy(update={"enrichment": Enrichment(status="pending")})
    whole = EVENT.model_copy(update={"revision": 1, "alert": {"urgency": {"current_value": urgency}}})
    return rules.decide(pending, "screen").notify, rules.decide(whole, "screen").notify


@pytest.mark.parametrize(
    ("on_complete", "when_unknown", "urgency", "told"),
    [
        ("new", "match", 80, (True, False)),
        ("new", "skip", 80, (False, True)),
        ("new", "skip", 10, (False, False)),
        ("always", "match", 80, (True, True)),
        ("always", "match", 10, (True, False)),
        ("never", "skip", 80, (False, False)),
    ],
)
def test_a_completion_is_told_as_the_rule_asks(on_complete, when_unknown, urgency, told):
    assert decided(on_complete, when_unknown, urgency) == told


def test_a_name_that_came_with_the_completion_was_not_known_before():
    rule = "{type: alert, asset: dc01}, when_unknown: skip"
    rules = rules_file.parse(FILE.replace("{type: case}", rule), "f", {})
    whole = EVENT.model_copy(update={"revision": 1, "alert": {"assets": ["a"]}, "names": {"assets": {"a": "dc01"}}})
    assert rules.decide(whole, "screen").notify
