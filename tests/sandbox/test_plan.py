"""The plan: every room gets what it needs and no other room's secrets."""

import socket
from dataclasses import fields
from pathlib import Path

import pytest

from sandbox import plan
from sandbox.plan import Layout, Ports
from sandbox.plan_watch import watch
from sandbox.supervisor import Process

SECRETS = {
    "SEKOIA_API_KEY": "the key",
    "TEAMS_WEBHOOK_URL": "https://teams.example",
    "INGEST_HOOKS": "a=b",
    "KAFKA_SASL_PASSWORD": "the password",
    "PATH": "/bin",
    "MATTERMOST_URL": "a rules file may name it",
}


def layout(**changes: object) -> Layout:
    settings = {"data": Path("/data"), "bootstrap": "127.0.0.1:9092", "ports": Ports(), "hooks": "soc=token,old=other"}
    return Layout(**(settings | {"environment": SECRETS} | changes))  # type: ignore[arg-type]


def rooms(**changes: object) -> dict[str, Process]:
    return {room.name: room for room in plan.rooms(layout(**changes))}


def test_names_are_those_selftest_kills_and_the_stream_is_last() -> None:
    assert list(rooms()) == ["ingest", "sink", "archive", "stream"]


def test_every_room_finds_kafka_and_its_port() -> None:
    ports = {"ingest": "INGEST", "sink": "SINKS", "archive": "ARCHIVE", "stream": "STREAM"}
    for name, room in rooms(prefix="x.").items():
        assert room.env["KAFKA_BOOTSTRAP_SERVERS"] == "127.0.0.1:9092"
        assert room.env["KAFKA_TOPIC_PREFIX"] == "x."
        assert room.env["TOCSIN_DATA"] == "/data"
        assert room.admin.endswith(":" + room.env[f"{ports[name]}_ADMIN_PORT"])
        assert room.log == Path(f"/data/logs/{name}.log")
        assert room.cwd == Path("/data")


@pytest.mark.parametrize(
    ("setting", "holders"),
    [
        ("SEKOIA_API_KEY", {"stream"}),
        ("TEAMS_WEBHOOK_URL", {"sink"}),
        ("INGEST_HOOKS", {"ingest"}),
        ("KAFKA_SASL_PASSWORD", {"ingest", "sink", "archive", "stream"}),
        ("PATH", {"ingest", "sink", "archive", "stream"}),
    ],
)
def test_a_setting_reaches_only_who_reads_it(setting: str, holders: set[str]) -> None:
    assert {name for name, room in rooms().items() if setting in room.env} == holders


def test_inbox_knows_kafka_and_the_rooms_and_no_secret_of_theirs() -> None:
    room = plan.inbox(layout(ports=Ports(inbox=1234)))
    assert room.env["INBOX_PORT"] == "1234"
    assert room.env["KAFKA_BOOTSTRAP_SERVERS"] == "127.0.0.1:9092"
    assert room.env["INBOX_ROOMS"].startswith("ingest=http://127.0.0.1:8081,stream=")
    assert room.admin.endswith(room.env["INBOX_ADMIN_PORT"])
    assert not {"SEKOIA_API_KEY", "TEAMS_WEBHOOK_URL", "INGEST_HOOKS"} & room.env.keys()


def test_catch_up_runs_when_it_is_asked_for_and_knows_the_key_and_the_spool_s_host() -> None:
    assert plan.catch_up(layout()) is None
    asked = {**SECRETS, "CATCH_UP_EVERY": "60s", "SILENCE_AFTER": "2h"}
    job = plan.catch_up(layout(environment=asked))
    assert job
    assert job.env["CATCH_UP_EVERY"] == "60s"
    assert job.env["SILENCE_AFTER"] == "2h"
    assert job.env["SEKOIA_API_KEY"] == "the key"
    assert job.env["INBOX_ROOMS"] == "ingest=http://127.0.0.1:8081"
    assert job.admin.endswith(job.env["CATCH_UP_ADMIN_PORT"])
    assert not {"TEAMS_WEBHOOK_URL", "INGEST_HOOKS"} & job.env.keys()
    others = rooms(environment=asked) | {"inbox": plan.inbox(layout(environment=asked))}
    assert not [name for name, room in others.items() if {"CATCH_UP_EVERY", "SILENCE_AFTER"} & room.env.keys()]
    assert "catch-up=http://127.0.0.1:8086" in others["inbox"].env["INBOX_ROOMS"]


def test_simulated_tenant_knows_no_secret_of_the_person() -> None:
    env = plan.simulate(layout()).env
    assert not {"SEKOIA_API_KEY", "TEAMS_WEBHOOK_URL", "INGEST_HOOKS", "KAFKA_SASL_PASSWORD"} & env.keys()


def test_simulated_tenant_takes_the_place_of_the_real_one() -> None:
    stream = rooms(tenant_url="http://127.0.0.1:8090")["stream"]
    assert stream.env["SEKOIA_API_BASE"] == "http://127.0.0.1:8090"
    assert stream.env["SEKOIA_API_KEY"] == plan.SIMULATED_KEY


def test_given_hooks_win_over_the_environment_and_extra_over_all() -> None:
    assert rooms()["ingest"].env["INGEST_HOOKS"] == "soc=token,old=other"
    assert rooms(extra={"ingest": {"INGEST_HOOKS": "x=y"}})["ingest"].env["INGEST_HOOKS"] == "x=y"


def test_hook_url_is_the_first_hook() -> None:
    assert layout().hook_url == "http://127.0.0.1:8080/hooks/token"


def test_layout_shows_no_secret_when_printed() -> None:
    shown = repr(layout(teams_url="https://secret.example"))
    assert not [secret for secret in (*SECRETS.values(), "token", "secret.example") if secret in shown]


def test_taken_port_makes_room_without_moving_the_others() -> None:
    with socket.create_server((plan.HOST, 0)) as taken:
        port = taken.getsockname()[1]
        wanted = Ports(ingest=port, ingest_admin=port + 1)
        found = Ports.near(wanted)
    numbers = [getattr(found, each.name) for each in fields(found)]
    assert found.ingest > port + 1
    assert len(set(numbers)) == len(numbers)


def test_free_ports_differ_and_are_free() -> None:
    ports = Ports.free()
    numbers = [getattr(ports, each.name) for each in fields(ports)]
    assert len(set(numbers)) == len(numbers)
    assert all(map(plan.is_free, numbers))


def test_bare_environment_has_none_of_our_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    assert plan.bare_environment().keys() & SECRETS.keys() == {"PATH", "MATTERMOST_URL"}


def test_the_watch_knows_the_key_the_targets_and_every_room() -> None:
    process = watch(layout(environment={**SECRETS, "HEARTBEAT_URL": "https://beat.example"}))
    assert process.env["SEKOIA_API_KEY"] == SECRETS["SEKOIA_API_KEY"]  # to know when it ends
    assert process.env["HEARTBEAT_URL"] == "https://beat.example"
    assert process.env["WATCH_ROOMS"].startswith("ingest=http://127.0.0.1:8081,stream=")
    assert "sinks=http://127.0.0.1:8083" in process.env["WATCH_ROOMS"]
    assert "INGEST_HOOKS" not in process.env
    assert "sinks=" not in watch(layout(), "sink").env["WATCH_ROOMS"]
    others = rooms(environment={"HEARTBEAT_URL": "https://beat.example", "WATCH_EVERY": "1s"})
    assert not [name for name, room in others.items() if {"HEARTBEAT_URL", "WATCH_EVERY"} & room.env.keys()]
