"""`tocsin rules`, as a person meets it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from sinks.rules_schema import schema
from sinks.rules_start import START

ALERT = {
    "uuid": "a1",
    "title": "PowerShell download",
    "urgency": {"current_value": 75},
    "entity": {"name": "Acme Finance - Lyon site"},
    "alert_type": {"category": "malicious-code"},
}
ENVIRONMENT = {"TEAMS_WEBHOOK_URL": "https://x.environment.api.powerplatform.com/w?sig=s3cr3t"}


def tocsin(folder: Path, *arguments: str, code: int = 0, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ops", "rules", *arguments], cwd=folder, capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert "s3cr3t" not in done.stdout + done.stderr
    return done.stdout + done.stderr


def test_from_nothing_to_a_file_that_is_understood(tmp_path):
    assert "`tocsin rules init`" in tocsin(tmp_path, "check", code=2)
    assert "tocsin.yml written" in tocsin(tmp_path, "init")
    assert "is there already" in tocsin(tmp_path, "init", code=2)
    assert "TEAMS_WEBHOOK_URL is not set" in tocsin(tmp_path, "check", code=2)
    said = tocsin(tmp_path, "check", **ENVIRONMENT)
    assert "3 rules for 2 targets" in said
    assert "rule urgent alerts: needs the alert for urgency; while that is not known it notifies" in said


def test_samples_are_told_why(tmp_path):
    (tmp_path / "tocsin.yml").write_text(START)
    (tmp_path / "alert.json").write_text(json.dumps(ALERT))
    (tmp_path / "calm.json").write_text(json.dumps(ALERT | {"urgency": {"current_value": 10}}))
    (tmp_path / "posted.json").write_text(
        json.dumps({"type": "alert", "action": "created", "attributes": {"uuid": "a"}})
    )
    said = tocsin(tmp_path, "test", "alert.json", "calm.json", "posted.json", **ENVIRONMENT).splitlines()
    assert said[0] == "alert.json: PowerShell download (Alert created)"
    assert said[1] == "  yes  urgent alerts -> soc-teams"
    assert said[5] == "  no   urgent alerts: urgency: >= 70 (no)"
    assert said[9] == "  yes  urgent alerts -> soc-teams  although urgency: >= 70 (not known)"


@pytest.mark.parametrize(
    ("content", "said"),
    [("{", "is not JSON"), ("[]", "neither an enriched record"), ('{"type": 1, "action": 2}', "neither an enriched")],
)
def test_a_sample_that_is_none(tmp_path, content, said):
    (tmp_path / "tocsin.yml").write_text(START)
    (tmp_path / "x.json").write_text(content)
    assert said in tocsin(tmp_path, "test", "x.json", code=2, **ENVIRONMENT)
    assert "cannot be read" in tocsin(tmp_path, "test", "y.json", code=2, **ENVIRONMENT)


def test_what_is_odd_is_noted(tmp_path):
    (tmp_path / "tocsin.yml").write_text(
        "targets:\n"
        "  soc: {type: slack, url: 'https://hooks.slack.com/services/s3cr3t'}\n"
        "  nobody: {type: log}\n"
        "rules:\n"
        "  - {name: a, match: all, notify: soc}\n"
        "  - {name: b, match: all, notify: soc}\n"
    )
    said = tocsin(tmp_path, "check")
    assert "target nobody: no rule notifies it" in said
    assert "rule b: tells nobody that rule a does not tell already" in said
    assert "target soc: url stands in the file in clear" in said


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("urgncy: '>= 70'", "tocsin.yml:4:34: rules.0.match.urgncy: unknown setting: did you mean 'urgency'?"),
        ("urgency: 70", "rules.0.match.urgency: write a comparison such as '>= 70'"),
        ("when: {zone: Europe/Pari}", "there is no time zone 'Europe/Pari'"),
        ("any: [{entty: x}]", "did you mean 'entity'?"),
        ("not: {urgency: severe}", "rules.0.match.not.urgency: write a comparison"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path, wrong, said):
    (tmp_path / "tocsin.yml").write_text(
        f"targets:\n  s: {{type: log}}\nrules:\n  - {{name: a, notify: s, match: {{{wrong}}}}}\n  - {{name: b, match: all, notify: s}}\n"
    )
    assert said in tocsin(tmp_path, "check", code=2)


def test_the_schema_takes_the_starting_file_and_refuses_a_slip():
    document = yaml.safe_load(START)
    jsonschema.Draft202012Validator.check_schema(schema())
    validator = jsonschema.Draft202012Validator(schema())
    assert list(validator.iter_errors(document)) == []
    rule = document["rules"][0]
    for name, value in [
        ("mute", {"days": "sat,sun"}),
        ("mute", {"days": ["sat", "sun"]}),
        ("mute", [{"from": "2026-12-24T00:00:00Z"}]),
        ("digest", "15m"),
        ("digest", {"hours": "20:00-08:00", "zone": "Europe/Paris"}),
        ("min_interval", "1h"),
        ("stop", True),
        ("match", {"recurrence": [10, 100], "flint": True}),
    ]:
        rule[name] = value
        assert list(validator.iter_errors(document)) == []
    rule["mute"] = {"dys": "sat"}
    assert list(validator.iter_errors(document))
    rule["mute"] = []
    document["rules"][0]["match"]["urgncy"] = 1
    assert list(validator.iter_errors(document))
