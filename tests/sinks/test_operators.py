"""What the pipeline says of itself: who is told, and that nobody outside can say it for the pipeline."""

from datetime import UTC, datetime

import pytest

from events.errors import NotReady
from events.records import EnrichedEvent, Enrichment, Links, WebhookEvent
from events.state_changes import CANARY, RAISED
from sinks import rules_file, rules_schema
from sinks.rules_remarks import few_hear, remarks
from sinks.rules_text import RulesText
from sinks.summary import summarise

TARGETS = """\
targets:
  soc: {type: teams, url: "https://x.environment.api.powerplatform.com/w?sig=a"}
  ops-chat: {type: mattermost, url: "https://chat.example.org/hooks/a"}
  ops-hook: {type: webhook, url: "https://hook.example.org/"}
rules:
  - {name: everything, match: all, notify: soc}
"""


def rules(text="operators: [ops-chat, ops-hook]\n"):
    return rules_file.parse(TARGETS + text, "tocsin.yml", {})


def change(target="", told=(), origin="watch", kind="tocsin", action=RAISED, **attributes):
    return EnrichedEvent(
        event_id="tocsin/target_unavailable/soc/raised/1",
        received_at=datetime(2026, 8, 1, tzinfo=UTC),
        origin=origin,
        event=WebhookEvent(
            type=kind,
            action=action,
            attributes={"title": "soc cannot be reached", "target": target, "told": list(told), **attributes},
        ),
        enrichment=Enrichment(status="not_applicable"),
        links=Links(alert="https://docs.example.org/runbook.md#tocsintargetunavailable"),
    )


def told_of(event, found):
    return {name for name in found.targets if found.decide(event, name).notify}


@pytest.mark.parametrize(
    ("operators", "about", "told"),
    [
        ("[ops-chat, ops-hook]", "", {"ops-chat", "ops-hook"}),
        ("[ops-chat, ops-hook]", "soc", {"ops-chat", "ops-hook"}),
        ("[ops-chat, ops-hook]", "ops-chat", {"ops-hook"}),
        ("ops-chat", "soc", {"ops-chat"}),
        ("ops-chat", "ops-chat", {"soc"}),  # rather a channel of analysts than nobody; the webhook is no person
    ],
)
def test_never_only_the_target_that_is_in_trouble_is_told(operators, about, told):
    assert told_of(change(about), rules(f"operators: {operators}\n")) == told


def test_a_rule_for_everything_does_not_send_it_to_the_analysts():
    found = rules()
    assert "soc" not in told_of(change(), found)
    assert found.decide(change(), "ops-chat").rules == ("operators",)


def test_a_rule_that_names_the_type_is_asked_as_well():
    text = TARGETS.replace("rules:\n", "rules:\n  - {name: ours, match: {type: tocsin}, notify: soc}\n")
    found = rules_file.parse(text + "operators: ops-chat\n", "tocsin.yml", {})
    assert told_of(change(), found) == {"soc", "ops-chat"}


def test_without_operators_the_rules_decide_as_of_any_event():
    assert told_of(change(), rules("")) == {"soc"}


def test_whom_the_watch_told_itself_is_not_told_again():
    found = rules()
    assert told_of(change(told=["ops-chat"]), found) == {"ops-hook"}
    decision = found.decide(change(told=["ops-chat"]), "ops-chat")
    assert decision.muted == "told by the watch itself"


def test_a_webhook_that_calls_itself_tocsin_is_an_event_as_any_other():
    outside = change(origin="webhook", told=["soc"])
    assert told_of(outside, rules()) == {"soc"}
    assert summarise(outside).link_text == "Open in Sekoia.io"


def test_newer_rules_bring_newer_operators():
    found = rules()
    found.adopt(rules("operators: soc\n"))
    assert told_of(change(), found) == {"soc"}


def test_a_message_names_what_is_behind_its_link():
    assert summarise(change()).link_text == "Open the runbook"
    assert summarise(change(action=CANARY)).link_text == "Confirm that it is seen"
    assert ("Runbook", "docs/runbook.md#x") in summarise(change(runbook="docs/runbook.md#x")).facts


@pytest.mark.parametrize(
    ("was", "wrong", "said"),
    [
        ("operators: [ops-chat", "operators: [ops-chta", "tocsin.yml:7:13: operators.0: there is no target 'ops-chta'"),
        ("operators:", "operator:", "tocsin.yml:7:1: operator: unknown setting: did you mean 'operators'?"),
        ("type: teams,", "type: teams, canary: {proof: read_back},", "read_back needs imap"),
        (
            "type: teams,",
            "type: teams, canary: {proof: human, bot: {url: 'https://x.org', token: t, channel: abcdefghijklmnopqrstuvwxyz}},",
            "are for proof: read_back",
        ),
        (
            "type: teams,",
            "type: teams, canary: {proof: read_back, imap: {server: i, username: u, password: p}},",
            "imap reads mail back: it is for type email",
        ),
        ("type: teams,", "type: teams, canary: {proof: humna},", "tocsin.yml:2:38: targets.soc.canary.proof"),
        ("type: teams,", "type: teams, canary: {porof: human},", "did you mean 'proof'?"),
    ],
)
def test_a_mistake_is_named_by_its_place(was, wrong, said):
    text = TARGETS + "operators: [ops-chat, ops-hook]\n"
    assert was in text
    with pytest.raises(NotReady) as error:
        rules_file.parse(text.replace(was, wrong), "tocsin.yml", {})
    assert said in str(error.value)


def test_a_token_inside_a_canary_comes_from_elsewhere_and_is_not_shown():
    bot = (
        "canary: {proof: read_back, bot: {url: 'https://x.org', token: '${BOT}', channel: abcdefghijklmnopqrstuvwxyz}}"
    )
    text = TARGETS.replace("type: mattermost,", f"type: mattermost, {bot},")
    found = rules_file.parse(text, "tocsin.yml", {"BOT": "s3cr3t"}).targets["ops-chat"]
    assert found.canary.bot.token.get_secret_value() == "s3cr3t"
    assert "s3cr3t" not in repr(found)


CHAT = "match: all, notify: [soc, ops-chat]"


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        ("", "operators: [ops-chat, ops-hook]", ""),
        ("", "operators: ops-chat", "7:12: ops-chat alone is told"),
        ("", "operators: [ops-chat, ops-chat]", "7:12: ops-chat alone is told"),
        ("", "", "6:3: soc alone is told"),  # by the rule for everything
        ("match: all, notify: soc", CHAT, ""),
        ("match: all, notify: soc", "match: {type: alert}, notify: [soc, ops-chat]", "nobody is told"),
        ("match: all, notify: soc", "match: all, notify: ops-hook", "nobody is told"),  # a program reads it
        ("match: all, notify: soc", f"{CHAT}, mute: {{hours: '22:00-06:00', zone: UTC}}", "nobody is told"),
    ],
)
def test_it_is_remarked_where_fewer_than_two_hear_of_the_pipelines_own_trouble(was, becomes, said):
    text = TARGETS.replace(was, becomes) if was else f"{TARGETS}{becomes}\n"
    text += "unmatched: drop\n"
    found = rules_file.parse(text, "t.yml", {})
    remarked = [one for one in remarks(found, RulesText(text, "t.yml")) if "pipeline itself" in one]
    assert len(remarked) == bool(said)
    assert all(said in one for one in remarked)
    assert bool(few_hear(found)) == bool(said)


def test_the_schema_has_both():
    found = rules_schema.schema()
    assert "operators" in found["properties"]
    assert "canary" in found["properties"]["targets"]["additionalProperties"]["oneOf"][0]["properties"]
