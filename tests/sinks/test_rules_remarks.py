"""What `rules check` notes about a file that can be used, each with its place."""

import pytest

from sinks import rules_file
from sinks.rules_remarks import looked_up, remarks
from sinks.rules_text import RulesText

TARGETS = """\
targets:
  soc: {type: log}
  chat: {type: log}
rules:
"""
END = "unmatched: drop\n"


def notes(text: str) -> list[str]:
    return remarks(rules_file.parse(text, "f", {"HOOK": "x"}), RulesText(text, "f"))


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (["{name: a, match: all, notify: soc}"], "f:3:9: target chat: no rule notifies it"),
        (
            ["{name: a, match: {urgency: '>= 101'}, notify: [soc, chat]}"],
            "f:5:22: rule a: never matches once the alert is known: urgency: >= 101 cannot be",
        ),
        (
            ["{name: a, match: {any: [{type: x}, {not: {}}]}, notify: [soc, chat]}"],
            "f:5:40: rule a: one of its alternatives never holds: not: the other",
        ),
        (
            ["{name: a, match: all, notify: soc, stop: true}", "{name: b, match: {type: x}, notify: chat}"],
            "f:6:22: rule b: is never reached: rule a stops before it",
        ),
        (
            [
                "{name: a, match: {urgency: '> 50'}, notify: soc, stop: true}",
                "{name: b, match: {urgency: major}, notify: chat}",
            ],
            "f:6:22: rule b: is never reached once the alert is known: rule a stops before it",
        ),
        (
            ["{name: a, match: {type: x}, notify: [soc, chat]}", "{name: b, match: {type: x, hook: y}, notify: chat}"],
            "f:6:5: rule b: tells nobody that rule a does not tell already",
        ),
        (
            ["{name: a, match: {urgency: '> 5'}, notify: [soc, chat]}"],
            "f:5:5: rule a: needs the alert for urgency; while",
        ),
        (
            ["{name: a, match: {if: alert.x == 1}, notify: [soc, chat]}"],
            "rule a: needs the alert for alert; while that",
        ),
        (
            ["{name: a, match: {asset: dc01}, notify: [soc, chat], when_unknown: skip}"],
            "f:5:5: rule a: knows names of asset only if the API key may look them up",
        ),
        (
            ["{name: a, match: {tlp: red}, notify: [soc, chat]}"],
            "f:5:5: rule a: asks tlp; of a report that does not tell",
        ),
    ],
)
def test_noted(rules, said):
    found = notes(TARGETS + "".join(f"  - {rule}\n" for rule in rules) + END)
    assert any(note.startswith(said) or said in note for note in found), found


@pytest.mark.parametrize(
    "rules",
    [
        ["{name: a, match: {type: x}, notify: [soc, chat]}", "{name: b, match: all, notify: [soc, chat]}"],
        ["{name: a, match: {type: x}, notify: soc, stop: true}", "{name: b, match: all, notify: chat}"],
        [
            "{name: a, match: {type: x}, notify: soc, min_interval: 1h}",
            "{name: b, match: {type: x}, notify: [soc, chat]}",
        ],
        [
            "{name: a, match: {type: x}, notify: soc, mute: {days: sat}}",
            "{name: b, match: {type: x}, notify: [soc, chat]}",
        ],
        [
            "{name: a, match: {type: x}, notify: [soc, chat]}",
            "{name: b, match: {type: x}, notify: soc, on_complete: always}",
        ],
    ],
)
def test_nothing_to_note(rules):
    assert notes(TARGETS + "".join(f"  - {rule}\n" for rule in rules) + END + "operators: [soc, chat]\n") == []


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (
            "{type: slack, url: 'https://hooks.slack.com/services/s3cr3t'}",
            "f:2:25: target t: url stands in the file in clear",
        ),
        (
            "{type: email, server: h, sender: a@b.c, to: [a@b.c], username: u, password: s3cr3t}",
            "password stands in the",
        ),
        (
            "{type: webhook, url: '${HOOK}', secrets: [whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=]}",
            "secrets stands in the file in clear",
        ),
    ],
)
def test_a_secret_in_clear(target, said):
    text = f"targets:\n  t: {target}\nrules:\n  - {{name: a, match: all, notify: t}}\n"
    environment = {"HOOK": "https://h.example.org/x"}
    found = remarks(rules_file.parse(text, "f", environment), RulesText(text, "f"))
    found = [note for note in found if "pipeline itself" not in note]  # there is one target, so there is that, too
    assert len(found) == 1
    assert said in found[0]
    assert "s3cr3t" not in found[0]
    assert "whsec" not in found[0]


def test_what_is_looked_up():
    text = (
        TARGETS + "  - {name: a, match: {any: [{asset: x}, {if: names.community == 'y'}]}, notify: [soc, chat]}\n" + END
    )
    assert looked_up(rules_file.parse(text, "f", {})) == {"asset", "name"}
