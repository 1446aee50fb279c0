"""The command as a person types it: help that says what is needed, and one sentence for each mistake at start."""

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ops.cli import app

AWAY = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
HOOK = {"INGEST_HOOKS": "sekoia=0123456789abcdef0123456789abcdef"}
KEY = {"SEKOIA_API_KEY": "no-real-key"}
TEAMS = {"TEAMS_WEBHOOK_URL": "https://127.0.0.1:1/hook", "SINKS_ALLOW_NETWORKS": "127.0.0.1/32"}
WITHIN = 60
"""Seconds on a loaded machine; one or two on an idle one."""


def tocsin(*argv: str, cwd: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "HOME": str(cwd), **settings}
    command = [sys.executable, "-P", "-m", "ops", *argv]
    return subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, timeout=WITHIN, check=False)


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one thing that was said, after making sure that it is one."""
    said = done.stderr.splitlines()
    assert done.returncode == 2, done.stderr
    assert len(said) == 1, done.stderr
    assert said[0].startswith("tocsin: ")
    return said[0].removeprefix("tocsin: ")


MISTAKES = [
    ("ingest", {}, "INGEST_HOOKS is not set"),
    ("ingest", AWAY | {"INGEST_HOOKS": "a-token-without-a-name"}, "INGEST_HOOKS: entry 1 is not name=token"),
    ("ingest", HOOK, "KAFKA_BOOTSTRAP_SERVERS is not set"),
    ("ingest", HOOK | AWAY | {"INGEST_PORT": "http"}, "INGEST_PORT must be a valid integer."),
    ("stream", AWAY, "SEKOIA_API_KEY is not set"),
    ("stream", KEY, "KAFKA_BOOTSTRAP_SERVERS is not set"),
    ("stream", KEY | AWAY, "Kafka does not answer at 127.0.0.1:1 ("),
    ("stream", KEY | AWAY | {"STREAM_DEDUPE_WINDOW": "soon"}, "STREAM_DEDUPE_WINDOW must be a duration, such as 90s"),
    ("stream", KEY | AWAY | {"SEKOIA_REGION": "Paris"}, "SEKOIA_REGION must be 'FRA1'"),
    ("sink teams", AWAY, "There is no target: set TEAMS_WEBHOOK_URL"),
    ("sink teams", TEAMS, "KAFKA_BOOTSTRAP_SERVERS is not set"),
    ("sink teams", TEAMS | AWAY, "Kafka does not answer at 127.0.0.1:1 ("),
    ("sink teems", TEAMS | AWAY, "There is no target 'teems': did you mean 'teams'?"),
    ("sink --type pigeon", TEAMS | AWAY, "pigeon"),
    (
        "sink teams",
        TEAMS | AWAY | {"SINKS_START": "soon"},
        "SINKS_START must be 'now' or 'earliest', or a valid datetime",
    ),
    ("sink teams", TEAMS | AWAY | {"TOCSIN_RULES": "nowhere.yml"}, "nowhere.yml"),
    ("sink archive", {}, "KAFKA_BOOTSTRAP_SERVERS is not set"),
    ("sink archive", AWAY, "Kafka does not answer at 127.0.0.1:1 ("),
    ("sink archive", AWAY | {"ARCHIVE_URL": "nowhere"}, "ARCHIVE_URL is not the address of a folder"),
    ("topics check", {}, "KAFKA_BOOTSTRAP_SERVERS is not set"),
    ("topics check", AWAY, "Kafka at 127.0.0.1:1 cannot be reached: check KAFKA_BOOTSTRAP_SERVERS"),
    ("topics check", {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:99999"}, "KAFKA_BOOTSTRAP_SERVERS must be host:port"),
    ("topics create", AWAY | {"KAFKA_PARTITIONS": "0"}, "KAFKA_PARTITIONS must be greater than or equal to 1."),
    ("simulate --quirk shy", {}, "There is no quirk 'shy'"),
    ("simulate --hook-url localhost", {}, "--hook-url must be a whole address"),
]


@pytest.mark.parametrize(("command", "settings", "said"), MISTAKES, ids=[f"{c}: {s[:30]}" for c, _, s in MISTAKES])
def test_a_mistake_at_start_is_one_sentence(command, settings, said, tmp_path):
    assert said in sentence(tocsin(*command.split(), cwd=tmp_path, **settings))


def test_no_sentence_shows_a_secret(tmp_path):
    secret = "hunter2-hunter2-hunter2"
    settings = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "INGEST_HOOKS": secret, "TEAMS_WEBHOOK_URL": secret}
    for command in (["ingest"], ["sink", "teams"]):
        assert secret not in sentence(tocsin(*command, cwd=tmp_path, **settings))


@pytest.mark.parametrize(
    ("command", "settings"),
    [(["ingest"], HOOK | AWAY), (["simulate", "--port"], {}), (["broker", "--port"], {})],
    ids=["ingest", "simulate", "broker"],
)
def test_a_taken_port_is_one_sentence(command, settings, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        if command[-1] == "--port":
            command = [*command, port]
        no_jars = str(tmp_path / "m2")  # what is told comes before any download
        assert port in sentence(tocsin(*command, cwd=tmp_path, INGEST_PORT=port, M2_REPO=no_jars, **settings))


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("command", "settings"),
    [("ingest", HOOK), ("stream", KEY), ("sink teams", TEAMS), ("sink archive", {})],
    ids=["ingest", "stream", "sink", "archive"],
)
def test_missing_topics_are_one_sentence_that_names_the_command(command, settings, kafka, topic_prefix, tmp_path):
    where = {"KAFKA_BOOTSTRAP_SERVERS": kafka, "KAFKA_TOPIC_PREFIX": topic_prefix, "KAFKA_PARTITIONS": "4"}
    free = {f"INGEST_{name}": str(free_port()) for name in ("PORT", "ADMIN_PORT")}
    said = sentence(tocsin(*command.split(), cwd=tmp_path, **settings, **where, **free))
    assert topic_prefix in said
    assert "tocsin topics create" in said


@pytest.mark.kafka
def test_the_topics_commands_print_and_answer_with_their_code(kafka, topic_prefix, tmp_path):
    where = {"KAFKA_BOOTSTRAP_SERVERS": kafka, "KAFKA_TOPIC_PREFIX": topic_prefix, "KAFKA_PARTITIONS": "2"}
    codes = [tocsin("topics", verb, cwd=tmp_path, **where).returncode for verb in ("check", "create", "check")]
    assert codes == [1, 0, 0]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def paths() -> list[str]:
    command = typer.main.get_command(app)
    found = [""]
    for name, each in getattr(command, "commands", {}).items():
        found += [name, *(f"{name} {inner}" for inner in getattr(each, "commands", {}))]
    return found


NEEDS = {
    "ingest": ["INGEST_HOOKS", "KAFKA_BOOTSTRAP_SERVERS", "tocsin topics create"],
    "stream": ["SEKOIA_API_KEY", "KAFKA_BOOTSTRAP_SERVERS"],
    "sink": ["TEAMS_WEBHOOK_URL", "TOCSIN_RULES", "ARCHIVE_URL", "KAFKA_BOOTSTRAP_SERVERS"],
    "broker": ["TOCSIN_DATA", "KAFKA_BOOTSTRAP_SERVERS"],
    "simulate": ["SEKOIA_API_BASE", "TEAMS_WEBHOOK_URL", "list-lag=5s"],
    "topics create": ["KAFKA_BOOTSTRAP_SERVERS", "KAFKA_PARTITIONS"],
    "topics check": ["KAFKA_BOOTSTRAP_SERVERS"],
    "up": ["SEKOIA_API_KEY", "KAFKA_BOOTSTRAP_SERVERS"],
    "": [".env.example"],
}


@pytest.mark.parametrize("path", paths())
def test_help_works_and_says_what_is_needed(path):
    done = CliRunner().invoke(app, [*path.split(), "--help"], env={"COLUMNS": "100", "TERM": "dumb"})
    assert done.exit_code == 0
    text = " ".join(done.output.replace("│", " ").split())
    assert [need for need in NEEDS.get(path, []) if need not in text] == []


def test_help_needs_no_room(tmp_path):
    """A container with one room's packages still explains every command."""
    code = (
        "import sys\n"
        "sys.argv = ['tocsin', 'stream', '--help']\n"
        "import ops.cli\n"
        "try:\n    ops.cli.main()\nexcept SystemExit:\n    pass\n"
        "print(sorted({'faust', 'fastapi', 'pyarrow', 'aiokafka', 'httpx'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_package_that_is_missing_is_one_sentence(tmp_path):
    with contextlib.suppress(FileExistsError):
        (tmp_path / "hide").mkdir()
    (tmp_path / "hide" / "faust.py").write_text("raise ModuleNotFoundError('gone', name='faust')")
    done = tocsin("stream", cwd=tmp_path, PYTHONPATH=str(tmp_path / "hide"), **KEY, **AWAY)
    assert sentence(done).startswith("faust is not installed; install the room's extra")
