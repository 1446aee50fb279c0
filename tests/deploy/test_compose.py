"""The compose file and the images, as far as they can be checked without a Docker engine."""

import importlib.metadata
import json
import re
from pathlib import Path

import dotenv
import httpx
import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from events.errors import NotReady
from inbox.settings import InboxSettings
from ingest.settings import IngestSettings
from ops import settings
from ops.catch_up_settings import CatchUpSettings
from ops.cli import app
from ops.watch_change import Change
from ops.watch_settings import WatchSettings
from sandbox import alert_gate
from sandbox.receivers import TeamsReceiver
from sinks import rules_file, rules_remarks
from sinks.archive.settings import ArchiveSettings
from sinks.settings import SinksSettings
from stream.settings import StreamSettings

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
IMAGES = {name: service for name, service in COMPOSE["services"].items() if "build" in service}
ROOMS = {name: service for name, service in IMAGES.items() if name != "simulate"}
ADMIN = {
    "ingest": IngestSettings,
    "stream": StreamSettings,
    "sink-teams": SinksSettings,
    "stream-more": StreamSettings,
    "sink-operators": SinksSettings,
    "sink-archive": ArchiveSettings,
    "inbox": InboxSettings,
    "watch": WatchSettings,
    "catch-up": CatchUpSettings,
}
"""The long-running rooms; `topics` runs once, and `simulate` is none."""


OPERATORS = {"OPERATORS_SMTP_SERVER", "OPERATORS_MAIL"}
"""What the rules file asks for besides settings."""

SINKS = {"sink-teams": "teams", "sink-operators": "operators"}
"""The services that send, and the target of each."""


def rules_text(name):
    """Return the rules file a service mounts."""
    [mount] = [each for each in ROOMS[name]["volumes"] if each.startswith("./")]
    source, inside, mode = mount.split(":")
    assert (inside, mode) == (ROOMS[name]["environment"]["TOCSIN_RULES"], "ro")
    return (ROOT / source).read_text("utf-8")


def environment(name, own):
    """Return what is in a container's environment where the operator has set these values of their own."""
    found = {}
    for key, value in ROOMS[name]["environment"].items():
        passed_on = re.fullmatch(r"\$\{\w+(?::-(.*)|:\?.*)\}", value or "${KEY:?}")
        found[key] = own.get(key) or passed_on[1] if passed_on else value
    return found


TEAMS = {"TEAMS_WEBHOOK_URL": "https://example.invalid/x"}
MAIL = {"OPERATORS_SMTP_SERVER": "smtp.example.org", "OPERATORS_MAIL": "operators@example.org"}


def test_more_than_one_target_hears_from_the_watch_and_each_has_a_sink_that_reads_the_same_file():
    text = rules_text("watch")
    assert set(re.findall(r"\$\{(\w+)\}", text)) == OPERATORS | TEAMS.keys()
    for name in ("watch", *SINKS):
        rules = rules_file.parse(rules_text(name), name, environment(name, TEAMS | MAIL))
        assert rules_remarks.few_hear(rules) == ""
        assert set(rules.operators) <= set(SINKS.values()) == rules.targets.keys()
        assert rules.version == rules_file.parse(text, "watch", environment("watch", TEAMS | MAIL)).version
        assert rules.targets["operators"].settings.server == "smtp.example.org"
    for name, target in SINKS.items():
        assert ROOMS[name]["command"] == ["sink", target]


@pytest.mark.parametrize("missing", sorted(OPERATORS))
def test_who_tells_operators_says_what_is_missing_and_alerts_are_sent_without(missing):
    own = TEAMS | MAIL | {missing: ""}
    for name in ("watch", "sink-operators"):
        with pytest.raises(NotReady, match=f"{missing} is not set"):
            rules_file.parse(rules_text(name), name, environment(name, own))
    assert "teams" in rules_file.parse(rules_text("sink-teams"), "sink-teams", environment("sink-teams", own)).targets


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        ("target_unavailable/teams", {"operators"}),
        ("target_paused/operators", {"teams"}),
        ("room_down/stream", {"teams", "operators"}),
    ],
)
def test_a_sink_decides_of_the_pipelines_trouble_as_the_watch_does(condition, told):
    event = Change(condition, raised=True, since=1_700_000_000.0, at=1_700_000_001.0).event()
    for name in ("watch", *SINKS):
        rules = rules_file.parse(rules_text(name), name, environment(name, TEAMS | MAIL))
        assert {target for target in rules.targets if rules.decide(event, target).notify} == told


def known_settings():
    of_models = {name for model in settings.MODELS for name in settings.names(model)}
    return of_models | set(re.findall(r"^#([A-Z_]+)=", settings.WITHOUT_MODEL, re.MULTILINE))


def test_every_room_is_a_service():
    assert set(ROOMS) == {"topics", *ADMIN}


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_gets_only_settings_the_code_knows(name):
    assert set(ROOMS[name]["environment"]) - known_settings() - OPERATORS == set()


@pytest.mark.parametrize("name", ROOMS)
def test_a_setting_is_passed_on_or_demanded_but_no_default_is_written_twice(name):
    """A default in this file would silently win over the code's when that changes."""
    said = {key: value for key, value in ROOMS[name]["environment"].items() if value is not None}
    # Inside a container these differ for good, and the catch-up goes on.
    places = {
        "KAFKA_BOOTSTRAP_SERVERS",
        "INGEST_HOST",
        "INBOX_HOST",
        "ARCHIVE_URL",
        "STREAM_DATA",
        "TOCSIN_RULES",
        "WATCH_ROOMS",
        "INBOX_ROOMS",
    }
    differ = places | OPERATORS | {"CATCH_UP_EVERY"} | {key for key in said if key.endswith("_ADMIN_HOST")}
    assert [key for key, value in said.items() if key not in differ and not value.startswith(f"${{{key}:?")] == []


@pytest.mark.parametrize("name", IMAGES)
def test_a_room_runs_a_command_that_exists(name):
    service = IMAGES[name]
    assert f"FROM room AS {service['build']['target']}\n" in (ROOT / "Dockerfile").read_text()
    done = CliRunner().invoke(app, [*service["command"], "--help"])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("name", IMAGES)
def test_a_room_has_no_rights(name):
    service = IMAGES[name]
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"user", "privileged", "cap_add", "network_mode", "pid"} & service.keys()


def asks(test, model):
    """Whether a health check asks the private port the code takes by default, by what an image has."""
    assert test[:2] == ["python", "-c"]
    compile(test[2], "health check", "exec")
    return f"http://127.0.0.1:{model.model_fields['admin_port'].default}/healthz" in test[2]


@pytest.mark.parametrize("name", ADMIN)
def test_a_room_is_asked_for_its_health_where_it_answers(name):
    healthcheck = ROOMS[name]["healthcheck"]
    assert healthcheck["test"][0] == "CMD"
    assert asks(healthcheck["test"][1:], ADMIN[name])
    assert healthcheck["start_period"] == "60s"  # the first look at the topics may take that long


def test_the_watch_finds_every_room():
    """By the names of services, or those they share."""
    asked = {url.host: (name, url.port) for name, url in addresses("watch", WatchSettings).items()}
    assert asked.keys() == {"ingest", "stream-workers", *SINKS, "sink-archive", "catch-up"}
    for host, (_, port) in asked.items():
        found = [
            name
            for name in ADMIN
            if host == name or host in ROOMS[name].get("networks", {}).get("default", {}).get("aliases", ())
        ]
        assert found
        for name in found:
            assert ADMIN[name].model_fields["admin_port"].default == port
            assert ROOMS[name]["environment"][f"{ADMIN[name].model_config['env_prefix']}ADMIN_HOST"] == "0.0.0.0"
    for page in ("catch-up", "inbox"):
        assert addresses(page, InboxSettings).items() <= addresses("watch", WatchSettings).items()


def addresses(name, model):
    rooms = ROOMS[name]["environment"][f"{model.model_config['env_prefix']}ROOMS"]
    return {room: httpx.URL(url) for room, url in model(rooms=rooms, _env_file=None).room_addresses().items()}


@pytest.mark.parametrize("name", ADMIN)
def test_a_room_comes_back_and_starts_when_kafka_and_the_topics_are_there(name):
    service = ROOMS[name]
    assert service["restart"] == "unless-stopped"
    assert service["depends_on"] == {
        "kafka": {"condition": "service_healthy"},
        "topics": {"condition": "service_completed_successfully"},
    }
    assert "healthcheck" in COMPOSE["services"]["kafka"]


def test_data_outlives_the_containers():
    mounts = {name: service.get("volumes", []) for name, service in COMPOSE["services"].items()}
    named = {mount.partition(":")[0] for each in mounts.values() for mount in each if not mount.startswith("./")}
    assert set(COMPOSE["volumes"]) == named
    kafka = COMPOSE["services"]["kafka"]
    assert kafka["environment"]["KAFKA_LOG_DIRS"] == mounts["kafka"][0].partition(":")[2]
    assert ROOMS["sink-archive"]["environment"]["ARCHIVE_URL"].startswith(
        "file://" + mounts["sink-archive"][0].partition(":")[2]
    )
    assert "TOCSIN_DATA=" + mounts["stream"][0].partition(":")[2] in (ROOT / "Dockerfile").read_text()


def test_only_hook_and_pages_are_reachable_and_only_from_this_machine():
    assert {name: service["ports"] for name, service in COMPOSE["services"].items() if "ports" in service} == {
        "ingest": ["127.0.0.1:8080:8080"],
        "inbox": ["127.0.0.1:8070:8070"],
        "simulate": ["127.0.0.1:8090:8090"],
    }


def test_it_is_a_compose_file_by_the_specification():
    """The schema is that of compose-spec, as check-jsonschema ships it."""
    (path,) = [each for each in importlib.metadata.files("check-jsonschema") if each.name == "compose-spec.json"]
    schema = json.loads(path.locate().read_text("utf-8"))
    jsonschema.validators.validator_for(schema)(schema).validate(COMPOSE)
    wrong = COMPOSE | {"services": {"kafka": COMPOSE["services"]["kafka"] | {"profile": ["scale"]}}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validators.validator_for(schema)(schema).validate(wrong)


def test_without_a_profile_there_is_one_of_each_room_and_no_simulation():
    profiles = {name: service["profiles"] for name, service in COMPOSE["services"].items() if "profiles" in service}
    assert profiles == {
        "stream-more": ["scale"],
        "sink-operators": ["watch"],
        "inbox": ["bell"],
        "watch": ["watch"],
        "catch-up": ["watch"],
        "simulate": ["simulate"],
    }
    for name, service in COMPOSE["services"].items():  # nothing waits for what only a profile starts
        assert not set(service.get("depends_on", ())) & profiles.keys(), name


def test_more_stream_workers_are_stream_workers():
    more, stream = COMPOSE["services"]["stream-more"], COMPOSE["services"]["stream"]
    own = {"profiles", "environment", "volumes", "deploy"}
    assert {name: value for name, value in more.items() if name not in own} == {
        name: value for name, value in stream.items() if name not in own
    }
    assert more["environment"] == stream["environment"] | {"STREAM_DATA": "/tmp/stream"}


def test_the_simulation_has_every_value_that_is_demanded_and_its_parts_find_each_other():
    text = (ROOT / "docker-compose.yml").read_text()
    given = dotenv.dotenv_values(ROOT / "deploy/simulate.env")
    assert set(re.findall(r"\$\{(\w+):\?", text)) <= given.keys()
    assert set(re.findall(r"\$\{(\w+)", text)) - given.keys() == {"STREAM_MORE", *OPERATORS}
    assert given["INGEST_HOOKS"].partition("=")[2] == given["SIMULATE_TOKEN"]
    assert given["SEKOIA_API_KEY"] == alert_gate.API_KEY
    assert given["TEAMS_WEBHOOK_URL"] == TeamsReceiver(sig="simulated").url(given["SEKOIA_API_BASE"])
    passed_on = {name for service in COMPOSE["services"].values() for name in service.get("environment", {})}
    assert given.keys() - passed_on == {"SIMULATE_TOKEN"}
