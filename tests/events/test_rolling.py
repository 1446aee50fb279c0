"""While a change of the contract is rolled, each side reads the other: old bytes by new code, new bytes by an old model."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, create_model

from events import codec
from events.headers import RawHeaders, enriched_headers
from events.records import EnrichedEvent, Receipt, WebhookEvent
from events.schema import schemas

GOLDEN = Path(__file__).parent / "golden"
MODELS: dict[str, tuple[str, type[BaseModel]]] = {
    "enriched-event.v1": ("enriched", EnrichedEvent),
    "receipt.v1": ("receipt", Receipt),
    "webhook-event.v1": ("raw", WebhookEvent),
}
OLDER = [pytest.param(path, id=path.stem) for path in sorted((GOLDEN / "schema").glob("*.json"))]
PAIRS = [
    pytest.param(path, record, id=f"{path.stem}-{record.stem}")
    for path in sorted((GOLDEN / "schema").glob("*.json"))
    for record in sorted((GOLDEN / MODELS[path.stem.rpartition(".")[0]][0]).glob("*.json"))
]


def of(path: Path) -> type[BaseModel]:
    return MODELS[path.stem.rpartition(".")[0]][1]


def old_model(path: Path) -> type[BaseModel]:
    """Return the model as it was when a schema was kept: today's fields, but for those it does not have."""
    model, known = of(path), orjson.loads(path.read_bytes())["properties"]
    fields: dict[str, Any] = {
        name: (field.rebuild_annotation(), field) for name, field in model.model_fields.items() if name in known
    }
    return create_model(f"Old{model.__name__}", __config__=model.model_config, **fields)


@pytest.mark.parametrize(("schema", "record"), PAIRS)
def test_new_bytes_are_read_by_an_old_model_which_knows_what_it_knew(schema: Path, record: Path) -> None:
    model = of(schema)
    today = model.model_validate(orjson.loads(record.read_bytes()))
    written = codec.encode(today)
    old = old_model(schema).model_validate(orjson.loads(written))
    for name in type(old).model_fields:
        assert getattr(old, name) == getattr(today, name)
    assert orjson.loads(codec.encode(old)) == orjson.loads(written), "and passes on what it does not know"


@pytest.mark.parametrize(("schema", "record"), PAIRS)
def test_new_bytes_are_valid_by_an_old_schema(schema: Path, record: Path) -> None:
    written = codec.encode(of(schema).model_validate(orjson.loads(record.read_bytes())))
    Draft202012Validator(orjson.loads(schema.read_bytes())).validate(orjson.loads(written))


@pytest.mark.parametrize("path", OLDER)
def test_bytes_of_an_old_model_are_read_by_new_code_with_its_defaults(path: Path) -> None:
    folder, model = MODELS[path.stem.rpartition(".")[0]]
    older, added = old_model(path), set(model.model_fields) - set(old_model(path).model_fields)
    for record in sorted((GOLDEN / folder).glob("*.json")):
        content = orjson.loads(record.read_bytes())
        written = codec.encode(older.model_validate({k: v for k, v in content.items() if k not in added}))
        read = model.model_validate(orjson.loads(written))
        assert {name: getattr(read, name) for name in added} == {
            name: model.model_fields[name].get_default(call_default_factory=True) for name in added
        }


def test_some_schema_is_really_older() -> None:
    """Else the tests above compare today with itself."""
    older = [
        path
        for path in (GOLDEN / "schema").glob("*.json")
        if set(old_model(path).model_fields) < set(of(path).model_fields)
    ]
    assert {path.stem for path in older} == {"enriched-event.v1.1", "receipt.v1.1"}


def test_the_newest_schema_is_kept() -> None:
    for name in MODELS:
        newest = max((GOLDEN / "schema").glob(f"{name}.*.json"), key=lambda path: int(path.stem.rpartition(".")[2]))
        assert orjson.loads(newest.read_bytes()) == orjson.loads(schemas()[f"{name}.schema.json"])


def test_a_header_nobody_knows_is_passed_over() -> None:
    event = codec.decode_enriched((GOLDEN / "enriched" / "with-trace.json").read_bytes())
    raw = RawHeaders(event.event_id, "vendor", "d", event.received_at, traceparent=event.traceparent)
    tomorrow = [("shard", b"\xff\x00"), *raw.to_kafka(), ("shard", b"2")]
    assert RawHeaders.from_kafka(tomorrow) == raw
    assert ("traceparent", event.traceparent.encode()) in enriched_headers(event)
