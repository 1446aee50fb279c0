"""Every setting with its value and its source, secrets masked, and slips of the fingers noticed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from ops import settings
from ops.cli import app
from ops.near_misses import known, near_misses
from ops.settings_in_force import MASK, in_force

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in known():
        monkeypatch.delenv(name, raising=False)


def found(monkeypatch, environment, file=""):
    Path(".env").write_text(file, encoding="utf-8")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return {each.name: each for each in in_force(environment, dotenv_values(".env"))}


def test_each_setting_of_the_example_is_shown_once(monkeypatch):
    shown = found(monkeypatch, {})
    lines = settings.example().splitlines()
    listed = [line[1:].partition("=")[0] for line in lines if line.startswith("#") and line[1:2].isupper()]
    assert list(shown) == [name for name in dict.fromkeys(listed) if not name.startswith("LOG_")]
    assert {each.source for each in shown.values()} == {"default"}
    assert all(each.value == each.default for each in shown.values())


def test_the_environment_wins_over_the_file_and_both_over_the_default(monkeypatch):
    shown = found(monkeypatch, {"INGEST_PORT": "9001"}, "INGEST_PORT=9000\nSTREAM_DEDUPE_WINDOW=48h\n")
    port, window = shown["INGEST_PORT"], shown["STREAM_DEDUPE_WINDOW"]
    assert (port.value, port.default, port.source) == ("9001", "8080", "environment")
    assert (window.value, window.source) == ("48h", ".env")


def test_a_name_that_is_empty_is_not_set_where_the_room_ignores_it(monkeypatch):
    shown = found(monkeypatch, {"KAFKA_TOPIC_PREFIX": ""})
    assert (shown["KAFKA_TOPIC_PREFIX"].value, shown["KAFKA_TOPIC_PREFIX"].source) == ("tocsin.", "default")


def test_no_secret_is_shown_even_beside_a_mistake(monkeypatch):
    secret = "swordfish-of-the-soc"
    shown = found(monkeypatch, {"SEKOIA_API_KEY": secret, "SEKOIA_REQUESTS_PER_SECOND": "many", "INGEST_HOOKS": secret})
    assert shown["SEKOIA_API_KEY"].value == shown["INGEST_HOOKS"].value == MASK
    assert shown["SEKOIA_REQUESTS_PER_SECOND"].wrong == "a valid number"
    assert secret not in repr(shown)


def test_the_command_says_what_is_wrong_and_exits_2(monkeypatch):
    monkeypatch.setenv("INGEST_PORT", "door")
    done = CliRunner().invoke(app, ["settings", "--set"], env={"COLUMNS": "120"})
    assert done.exit_code == 2
    assert "INGEST_PORT" in done.output
    assert "must be a valid integer" in done.output
    assert "STREAM_ADMIN_PORT" not in done.output


def test_json_has_every_setting():
    done = CliRunner().invoke(app, ["settings", "--json"])
    assert done.exit_code == 0
    assert {"name", "value", "default", "source", "wrong"} == set(json.loads(done.output)[0])


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("INGEST_HOOK", "INGEST_HOOKS"),
        ("KAFKA_BOOTSTRAP_SERVER", "KAFKA_BOOTSTRAP_SERVERS"),
        ("SEKOIA_APIKEY", "SEKOIA_API_KEY"),
        ("STREAM_DEDUP_WINDOW", "STREAM_DEDUPE_WINDOW"),
        ("TOCSIN_RULE", "TOCSIN_RULES"),
        ("sinks_strat", "SINKS_START"),
        ("SINK_ALLOW_NETWORKS", "SINKS_ALLOW_NETWORKS"),
        ("SEKIOA_API_KEY", "SEKOIA_API_KEY"),
        ("KAKFA_TOPIC_PREFIX", "KAFKA_TOPIC_PREFIX"),
    ],
)
def test_a_near_miss_is_named_with_what_was_meant(slip, meant):
    assert near_misses([slip, "PATH"]) == {slip: meant}


@pytest.mark.parametrize(
    "name", ["KAFKA_HEAP_OPTS", "KAFKA_LOG4J_OPTS", "PATH", "INGESTION_PORT", "ARCHIVE_OF_MINE", "SLACK_WEBHOOK_URL"]
)
def test_what_belongs_to_others_is_left_alone(name):
    assert near_misses([name]) == {}


@given(st.sampled_from(known()))
def test_a_known_name_is_never_a_miss(name):
    assert near_misses([name, name.lower()]) == {}


def test_the_page_of_the_docs_is_that_of_the_models():
    """When this fails, run `python -m ops.settings reference > docs/settings.md`."""
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == settings.reference()


def test_every_command_warns_of_a_near_miss_and_does_its_work(tmp_path):
    environment = {**os.environ, "INGEST_PROT": "8080", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "ops", "rules", "schema"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "INGEST_PROT" in done.stderr
    assert "INGEST_PORT" in done.stderr
