"""A change that breaks old consumers, or leaves old records unreadable, fails here; so add a topic v2 instead."""

import copy
import importlib.util
from pathlib import Path
from typing import Any

import orjson
import pytest

from events.asyncapi import document
from events.records import EnrichedEvent, Enrichment, Receipt, WebhookEvent
from events.schema import schemas

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden" / "schema"

_spec = importlib.util.spec_from_file_location("compatibility", Path(__file__).with_name("compatibility.py"))
compatibility = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(compatibility)


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_the_schemas_break_no_consumer_of_an_older_one(path: Path) -> None:
    """Never edit a golden schema: once a release adds a field, add its schema under the next number."""
    record = path.stem.rpartition(".")[0]
    new = orjson.loads(schemas()[f"{record}.schema.json"])
    assert compatibility.breaking(orjson.loads(path.read_bytes()), new) == []


def test_every_record_has_a_schema_kept() -> None:
    kept = {path.stem.rpartition(".")[0] for path in GOLDEN.glob("*.json")}
    assert {f"{name}.schema.json" for name in kept} == set(schemas())


SCHEMA: dict[str, Any] = orjson.loads(schemas()["enriched-event.v1.schema.json"])


def changed(*path: str, value: Any = None, drop: bool = False) -> dict[str, Any]:
    made = copy.deepcopy(SCHEMA)
    node = made
    for name in path[:-1]:
        node = node[name]
    if drop:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return made


STATUS = SCHEMA["$defs"]["Enrichment"]["properties"]["status"]


@pytest.mark.parametrize(
    ("new", "said"),
    [
        (changed("properties", "hook", drop=True), "hook is gone"),
        (changed("properties", "hook", "type", value="integer"), "hook was"),
        (changed("properties", "hook", "default", value="other"), "hook was"),
        (changed("properties", "revision", "maximum", value=2), "revision was"),
        (changed("properties", "received_at", "format", drop=True), "received_at was"),
        (changed("required", value=[*SCHEMA["required"], "hook"]), "hook is required"),
        (changed("required", value=SCHEMA["required"][1:]), f"{SCHEMA['required'][0]} is required"),
        (changed("additionalProperties", value=False), "the record was"),
        (changed("$defs", "Enrichment", "properties", "reason", drop=True), "enrichment.reason is gone"),
        (
            changed("$defs", "Enrichment", "properties", "status", "enum", value=[*STATUS["enum"], "partial"]),
            "enrichment.status was",
        ),
        (changed("$defs", "WebhookEvent", "required", value=["type"]), "event.action is required"),
    ],
)
def test_what_breaks_is_named(new: dict[str, Any], said: str) -> None:
    assert [line for line in compatibility.breaking(SCHEMA, new) if line.startswith(said)]


@pytest.mark.parametrize(
    "new",
    [
        changed("description", value="in other words"),
        changed("properties", "hook", "title", value="in other words"),
        changed("properties", "severity", value={"type": "string", "default": ""}),
        changed("required", value=SCHEMA["required"][::-1]),
        changed("$defs", "Links", "properties", "case", value={"type": "string", "default": ""}),
    ],
)
def test_what_breaks_nothing_passes(new: dict[str, Any]) -> None:
    assert compatibility.breaking(SCHEMA, new) == []


def test_the_published_asyncapi_document_is_the_one_of_the_models() -> None:
    """When this fails: run `python -m events.asyncapi > docs/asyncapi.json` and commit."""
    assert (ROOT / "docs" / "asyncapi.json").read_bytes() == document()


def test_every_reference_in_the_asyncapi_document_leads_somewhere() -> None:
    whole = orjson.loads(document())

    def references(node: Any) -> Any:
        if isinstance(node, dict):
            yield from [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            for each in node.values():
                yield from references(each)
        elif isinstance(node, list):
            for each in node:
                yield from references(each)

    found = set(references(whole))
    assert len(found) > 8
    for reference in found:
        node = whole
        for name in reference.removeprefix("#/").split("/"):
            node = node[name]
    models = {model.__name__ for model in (WebhookEvent, EnrichedEvent, Enrichment, Receipt)}
    assert models <= set(whole["components"]["schemas"])
    for channel in whole["channels"].values():
        assert channel["address"].startswith("tocsin.")
