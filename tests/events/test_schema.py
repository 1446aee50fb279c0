"""The published schemas are those of the models, so a change of a model shows in a review."""

import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from jsonschema import Draft202012Validator, ValidationError

from events.schema import RECORDS, schemas

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "docs" / "schemas"
GOLDEN = {"webhook-event.v1": "raw", "enriched-event.v1": "enriched", "receipt.v1": "receipt"}


def validator(record: str) -> Draft202012Validator:
    return Draft202012Validator(orjson.loads((PUBLISHED / f"{record}.schema.json").read_bytes()))


def test_the_published_schemas_are_those_of_the_models() -> None:
    """When this fails: is the change one that old bytes survive? Then run `python -m events.schema` and commit."""
    assert {path.name: path.read_bytes() for path in PUBLISHED.iterdir()} == schemas()


def test_the_command_writes_them(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "events.schema", str(tmp_path)], check=True, cwd=ROOT, timeout=60)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == schemas()


@pytest.mark.parametrize("record", RECORDS)
def test_a_schema_is_one_and_holds_for_every_golden_record(record: str) -> None:
    Draft202012Validator.check_schema(validator(record).schema)
    paths = list((Path(__file__).parent / "golden" / GOLDEN[record]).glob("*.json"))
    assert paths
    for path in paths:
        validator(record).validate(orjson.loads(path.read_bytes()))


@pytest.mark.parametrize(
    ("record", "wrong"),
    [
        ("webhook-event.v1", {"type": "alert"}),
        ("webhook-event.v1", {"type": "alert", "action": "created", "attributes": []}),
        ("enriched-event.v1", {"event_id": "e"}),
        ("receipt.v1", {"event_id": "e", "target": "t", "outcome": "lost"}),
    ],
)
def test_a_schema_refuses_what_the_models_refuse(record: str, wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        validator(record).validate(wrong)
