"""What keeps the tree small, named and portable: sizes, names, docstrings, texts, pins, help and links."""

import ast
import re
import subprocess
from pathlib import Path

import click
import pytest
import typer

from ops.cli import app

ROOT = Path(__file__).parents[1]
PRODUCT = ("events", "ingest", "stream", "sinks", "inbox", "ops", "sandbox")
NO_NAMES = {"utils", "util", "common", "helpers", "helper", "manager", "base", "core", "misc"}
LINES, FUNCTION_LINES = 250, 40
SCENARIO_LINES, SCENARIO_FUNCTION_LINES = 350, 50
"""Tests and benchmarks may be longer, functions inside a function count by themselves: a scenario reads best in one piece."""

MADE = {".git", ".venv", "data", "build", "dist", "__pycache__"}
MADE_ENDINGS = ("_cache", ".egg-info", ".hypothesis")
QUOTED = {"LICENSE", "requirements.txt", "sandbox/kafka-jars.sha256"}
"""Text of others, or made by a tool."""

# Written apart, so that this file does not break its own rules.
FORBIDDEN = {
    "path of one machine": re.compile(
        r"(?<![\w.}~*/])/(?:" + "|".join(("wor" + "k", "roo" + "t", "hom" + "e")) + r")/"
    ),
    "package index": re.compile("pypi" + r"\.org/simple|python" + "hosted" + r"|--(?:extra-)?index" + "-url"),
    "unfinished": re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|X" + r"XX)\b"),
}


def files() -> list[Path]:
    """Every tracked file; without git, every file that no tool made."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    return sorted(path for path in ROOT.rglob("*") if path.is_file() and not is_made(path.relative_to(ROOT)))


def is_made(path: Path) -> bool:
    return not MADE.isdisjoint(path.parts) or path.name == ".env" or any(p.endswith(MADE_ENDINGS) for p in path.parts)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


MODULES = {name(path): path.read_text("utf-8") for path in files() if path.suffix == ".py"}
TREES = {module: ast.parse(text) for module, text in MODULES.items()}


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def too_long(module: str, lines: int, function_lines: int) -> list[str]:
    found = len(MODULES[module].splitlines())
    problems = [f"{module}: {found} lines"] if found > lines else []
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = length(node)
            if not module.startswith(PRODUCT):
                size -= sum(
                    length(each) for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
                )
            if size > function_lines:
                problems.append(f"{module}: {node.name} has {size} lines")
    return problems


def test_the_tree_is_seen():
    assert {module.partition("/")[0] for module in MODULES} >= {*PRODUCT, "tests"}
    assert len(MODULES) > 80


def test_without_git_the_same_files_are_seen(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(
        subprocess, "run", lambda *_, **__: subprocess.CompletedProcess((), 128, "", "not a repository")
    )
    walked = {name(path) for path in files()}
    assert set(MODULES) <= walked
    assert not [each for each in walked if each.startswith((".venv/", ".git/", "data/", ".mypy_cache/"))]


def test_files_and_functions_are_small():
    product = [module for module in MODULES if module.startswith(PRODUCT)]
    problems = [line for module in product for line in too_long(module, LINES, FUNCTION_LINES)]
    others = MODULES.keys() - set(product)
    problems += [
        line for module in sorted(others) for line in too_long(module, SCENARIO_LINES, SCENARIO_FUNCTION_LINES)
    ]
    assert problems == []


def test_names_say_what_is_inside():
    parts = {(module, Path(part).stem) for module in MODULES for part in Path(module).parts}
    assert [module for module, part in parts if part in NO_NAMES] == []


def test_every_module_says_what_it_is():
    assert [module for module, tree in TREES.items() if not ast.get_docstring(tree)] == []


def test_every_package_says_what_it_is_for():
    folders = {str(Path(module).parent) for module in MODULES if module.startswith(PRODUCT)}
    assert [folder for folder in sorted(folders) if f"{folder}/__init__.py" not in MODULES] == []


@pytest.mark.parametrize("rule", FORBIDDEN)
def test_texts_are_about_the_product_on_any_machine(rule):
    problems = []
    for path in files():
        if name(path) in QUOTED:
            continue
        try:
            lines = path.read_text("utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        problems += [f"{name(path)}:{n}: {line}" for n, line in enumerate(lines, 1) if FORBIDDEN[rule].search(line)]
    assert problems == []


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("path of one machine", "see /wor" + "k/main"),
        ("path of one machine", '"/hom' + 'e/me/x"'),
        ("package index", "--index" + "-url=x"),
        ("unfinished", "# TO" + "DO: later"),
    ],
)
def test_the_rules_find_what_they_are_for(rule, text):
    assert FORBIDDEN[rule].search(text)


def test_every_requirement_is_pinned_by_hash_and_names_no_index():
    text = (ROOT / "requirements.txt").read_text("utf-8")
    entries = re.sub(r"\\\n", " ", text)
    lines = [line for line in entries.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert len(lines) > 50
    assert [line for line in lines if not re.match(r"[a-z0-9._-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line)] == []
    assert "://" not in text


def commands() -> dict[str, click.Command]:
    found: dict[str, click.Command] = {}

    def walk(command: click.Command, path: str) -> None:
        found[path] = command
        for each in getattr(command, "commands", {}).values():
            walk(each, f"{path} {each.name}")

    walk(typer.main.get_command(app), "tocsin")
    return found


@pytest.mark.parametrize("path", commands())
def test_every_command_and_option_is_explained(path):
    command = commands()[path]
    assert len(command.help or "") > 30
    options = [option for option in command.params if option.name != "help"]
    assert [option.name for option in options if not getattr(option, "help", None)] == []


def documents() -> list[Path]:
    return [path for path in files() if path.suffix == ".md" and name(path) != "CHANGELOG.md"]


@pytest.mark.parametrize("path", documents(), ids=name)
def test_what_a_document_points_to_exists(path):
    text = path.read_text("utf-8")
    links = [link for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) if "://" not in link]
    assert [link for link in links if not (path.parent / link).exists()] == []
    rooms = "|".join((*PRODUCT, "docs", "tests"))
    places = re.findall(rf"`((?:{rooms})/[\w./-]*)`", text)
    assert [place for place in places if not (ROOT / place).exists()] == []
    ours = {path.removeprefix("tocsin ").split()[0] for path in commands() if " " in path}
    assert set(re.findall(r"`tocsin ([a-z-]+)", text)) - ours == set()
    targets = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert set(re.findall(r"(?:`|^)make ([a-z0-9-]+)", text, re.MULTILINE)) - set(targets) == set()


def test_documents_named_in_the_code_exist():
    named = {(module, found) for module, text in MODULES.items() for found in re.findall(r"docs/[\w/.-]+\.md", text)}
    assert [(module, found) for module, found in named if not (ROOT / found).exists()] == []
