"""The compose file and the images, as far as they can be checked without a Docker engine."""

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from events.settings import KafkaSettings
from ingest.settings import IngestSettings
from sinks.archive.settings import ArchiveSettings
from sinks.settings import SinksSettings
from stream.settings import SekoiaSettings, StreamSettings

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
ROOMS = {name: service for name, service in COMPOSE["services"].items() if "build" in service}
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MODELS = (KafkaSettings, IngestSettings, StreamSettings, SekoiaSettings, SinksSettings, ArchiveSettings)


def known_settings():
    names = set()
    for model in MODELS:
        for name, field in model.model_fields.items():
            names.add(str(field.validation_alias or model.model_config["env_prefix"] + name.upper()))
    return names


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_gets_only_settings_the_code_knows(name):
    assert set(ROOMS[name]["environment"]) - known_settings() == set()


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_runs_a_command_that_exists_without_rights(name):
    service = ROOMS[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    dockerfile = (ROOT / service["build"]["dockerfile"]).read_text()
    command = service.get("command") or ast.literal_eval(re.search(r"^CMD (.*)$", dockerfile, re.MULTILINE)[1])
    done = subprocess.run(
        [sys.executable, "-m", "ops", *command, "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_only_ingest_is_reachable_and_only_from_this_machine():
    assert {name: service["ports"] for name, service in COMPOSE["services"].items() if "ports" in service} == {
        "ingest": ["127.0.0.1:8080:8080"]
    }


def dockerfiles():
    return sorted(ROOT.glob("*/Dockerfile")) + sorted(ROOT.glob("*/*/Dockerfile"))


@pytest.mark.parametrize("path", dockerfiles(), ids=lambda path: path.parent.name)
def test_an_image_holds_what_its_room_imports_and_is_not_root(path):
    text = path.read_text()
    extra = re.search(r'"\.\[(\w+)\]"', text)[1]
    assert re.search(r"^USER (\d+)$", text, re.MULTILINE)[1] != "0"
    assert "HEALTHCHECK" in text
    installed = closure([*PYPROJECT["dependencies"], *PYPROJECT["optional-dependencies"][extra]])
    missing = {name for name in imports(path.parent) if name not in installed}
    assert missing == set()


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
