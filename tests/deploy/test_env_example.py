"""`.env.example` lists every setting the code has, and setting nothing in it is what it does."""

import ast
from pathlib import Path

import pytest
from dotenv import dotenv_values
from pydantic import SecretStr

from ops import settings

ROOT = Path(__file__).parents[2]
ROOMS = ("events", "ingest", "stream", "sinks", "inbox", "ops")


def test_the_example_is_that_of_the_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """When this fails, run `python -m ops.settings > .env.example`."""
    monkeypatch.delenv("TOCSIN_DATA", raising=False)
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == settings.example()


def test_every_model_of_settings_is_in_it() -> None:
    parents = {
        node.name: {ast.unparse(parent) for parent in node.bases}
        for room in ROOMS
        for file in (ROOT / room).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    }
    found = {"BaseSettings"}
    while more := {name for name, bases in parents.items() if bases & found} - found:
        found |= more
    extended = set().union(*(parents[name] for name in found - {"BaseSettings"}))
    assert found - extended == {model.__name__ for model in settings.MODELS}


def test_copying_it_sets_nothing() -> None:
    assert dotenv_values(ROOT / ".env.example", encoding="utf-8") == {}


def test_what_it_shows_is_what_holds_anyway(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each line with a value, its `#` taken away, is read and changes no setting."""
    monkeypatch.chdir(tmp_path)
    for model in settings.MODELS:
        for name in settings.names(model):
            monkeypatch.delenv(name, raising=False)
    before = [model() for model in settings.MODELS]
    lines = [line[1:] for line in settings.example().splitlines() if line.startswith("#") and line[1:2].isupper()]
    Path(".env").write_text("\n".join(line for line in lines if not line.endswith("=")), encoding="utf-8")
    assert [model() for model in settings.MODELS] == before


def test_no_secret_has_a_default() -> None:
    fields = [(name, field) for model in settings.MODELS for name, field in settings.names(model).items()]
    secrets = [name for name, field in fields if isinstance(field.get_default(), SecretStr)]
    assert {"KAFKA_SASL_PASSWORD", "SEKOIA_API_KEY", "INGEST_HOOKS", "TEAMS_WEBHOOK_URL"} <= set(secrets)
    lines = settings.example().splitlines()
    assert [name for name in secrets if f"#{name}=" not in lines] == []
