"""JSON Schemas of the records, for consumers that are not written in Python: `python -m events.schema`."""

import sys
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel

from events.records import EnrichedEvent, Receipt, WebhookEvent

RECORDS: dict[str, type[BaseModel]] = {
    "webhook-event.v1": WebhookEvent,
    "enriched-event.v1": EnrichedEvent,
    "receipt.v1": Receipt,
}
"""The models of raw, enriched and deliveries; dead letters and redeliveries carry the bytes of another topic."""


def schemas() -> dict[str, bytes]:
    """Return the schema of each record under its file's name.

    They describe what a reader must expect of old and new writers, so only what every record ever had is required.
    """
    return {f"{name}.schema.json": _pretty(_schema(name, model)) for name, model in RECORDS.items()}


def _schema(name: str, model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema(mode="validation")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:tocsin:{name}",
        "$comment": "Made from events/records.py by `python -m events.schema`; do not edit.",
    } | schema


def _pretty(schema: dict[str, Any]) -> bytes:
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/schemas")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in schemas().items():
        (folder / name).write_bytes(text)
