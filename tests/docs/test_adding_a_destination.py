"""The destination of the page is put on the shelf as the page says, and meets what every destination meets."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sinks import rules_file, shelf

_spec = importlib.util.spec_from_file_location("snippets", Path(__file__).with_name("snippets.py"))
assert _spec
assert _spec.loader
snippets = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(snippets)

ROOT = Path(__file__).parents[2]
PAGE = "adding-a-destination.md"
LEAST = 20
"""Cases the suite has for one type; fewer means that it did not find it."""


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """Copy what a destination needs, with the page's two files added and nothing else touched."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("events", "sinks", "tests/sinks"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "archive"))
    shutil.copytree(ROOT / "sinks" / "archive", folder / "sinks" / "archive")
    shutil.copy(ROOT / "pyproject.toml", folder)
    (source,) = snippets.snippets(PAGE, "python")
    (sample,) = snippets.snippets(PAGE, "json")
    (folder / "sinks/destinations/ntfy.py").write_text(source, "utf-8")
    (folder / "tests/sinks/conformance/ntfy.json").write_text(sample, "utf-8")
    return folder


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(folder), "SINKS_ALLOW_NETWORKS": "127.0.0.0/8,::1/128"}
    argv = [sys.executable, "-P", "-m", *command]
    return subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_it_passes_the_conformance_suite(copy):
    names = [path.name for path in (copy / "tests/sinks").glob("test_conformance*.py")]
    files = [f"tests/sinks/{name}" for name in names]
    done = run(copy, "pytest", "-q", "-p", "no:cacheprovider", *files, "-k", "ntfy or every_destination")
    assert done.returncode == 0, done.stdout[-3000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed
    assert int(passed[1]) >= LEAST


def test_it_is_linted_as_everything_else(copy):
    done = run(copy, "ruff", "check", "sinks/destinations/ntfy.py")
    assert done.returncode == 0, done.stdout
    done = run(copy, "ruff", "format", "--check", "sinks/destinations/ntfy.py")
    assert done.returncode == 0, done.stdout


def test_a_rules_file_may_name_it_at_once(copy):
    (copy / "tocsin.yml").write_text(snippets.snippets(PAGE, "yaml")[0], "utf-8")
    script = (
        "from pathlib import Path; from sinks import rules_file; "
        "print(*rules_file.read(Path('tocsin.yml'), {'NTFY_TOKEN': 'x'}).targets)"
    )
    argv = [sys.executable, "-P", "-c", script]
    done = subprocess.run(
        argv, cwd=copy, env=os.environ | {"PYTHONPATH": str(copy)}, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["phone"], done.stderr[-2000:]


def test_the_targets_of_the_other_page_are_read_as_they_stand():
    text = "".join(snippets.snippets("destinations.md", "yaml"))
    *targets, whole = snippets.snippets("destinations.md", "yaml")
    made = "targets:\n" + "".join(re.sub("^", "  ", target, flags=re.MULTILINE).rstrip(" ") for target in targets)
    names = re.findall(r"^  ([a-z-]+):", made, re.MULTILINE)
    made += f"rules:\n  - name: all\n    match: all\n    notify: [{', '.join(names)}]\n"
    values = dict.fromkeys(re.findall(r"\$\{(\w+)\}", text), "https://chat.example.org/x?sig=1")
    values |= dict.fromkeys(("SOAR_NEW", "SOAR_OLD"), "whsec_c2ltdWxhdGVkLXRvY3Npbi1yZWNlaXZlci1zZWNyZXQ=")
    values |= {"TELEGRAM_TOKEN": "1:a", "IFTTT_KEY": "k"}
    rules = rules_file.parse(made, "destinations.md", values)
    assert {target.type for target in rules.targets.values()} == set(shelf.types()) - {"log"}
    assert len(rules_file.parse(whole, "destinations.md", {}).targets) == 5
