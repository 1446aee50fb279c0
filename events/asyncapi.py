"""The topics and their records as one AsyncAPI document: `python -m events.asyncapi > docs/asyncapi.json`."""

import sys
from typing import Any

import orjson
from pydantic.json_schema import models_json_schema

from events.records import EnrichedEvent, Receipt, WebhookEvent
from events.topics import Topics

_TEXT = {"type": "string"}
_TIME = {"type": "string", "format": "date-time"}
_NUMBER = {"type": "string", "pattern": "^[0-9]+$"}

_RAW = {
    "event-id": _TEXT,
    "event-id-kind": {"type": "string", "enum": ["vendor", "content", "delivery"]},
    "delivery-id": _TEXT,
    "received-at": _TIME,
    "tenant": _TEXT,
    "hook": _TEXT,
    "origin": _TEXT,
    "traceparent": _TEXT,
}
_ENRICHED = {
    "event-id": _TEXT,
    "revision": _NUMBER,
    "status": _TEXT,
    "received-at": _TIME,
    "urgency": _NUMBER,
    "traceparent": _TEXT,
}
_LETTER = {
    "stage": _TEXT,
    "target": _TEXT,
    "reason": _TEXT,
    "source-topic": _TEXT,
    "source-partition": _NUMBER,
    "source-offset": _NUMBER,
    "attempts": _NUMBER,
    "first-at": _TIME,
    "last-at": _TIME,
}
_REDELIVERY = _ENRICHED | {"target": _TEXT, "cause": _TEXT, "job-id": _TEXT}


def document() -> bytes:
    """Return the document; payloads are those of the models, headers those of `events/headers.py`."""
    _, schemas = models_json_schema(
        [(model, "validation") for model in (WebhookEvent, EnrichedEvent, Receipt)],
        ref_template="#/components/schemas/{model}",
    )
    channels = _channels(Topics())
    made = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "tocsin",
            "version": "1.0.0",
            "description": "The topics a consumer may attach to. Made from events/ by `python -m events.asyncapi`; do not edit.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": {
            f"read-{name}": {"action": "receive", "channel": {"$ref": f"#/channels/{name}"}} for name in channels
        },
        "components": {"schemas": schemas["$defs"]},
    }
    return orjson.dumps(made, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _channels(names: Topics) -> dict[str, Any]:
    anything = {"description": "The value of the buried record, byte for byte."}
    return {
        "raw": _channel(names.raw, "Webhook bodies, byte for byte.", _RAW, _ref("WebhookEvent")),
        "enriched": _channel(
            names.enriched,
            "One record per event, written in transactions: read it with isolation level read_committed.",
            _ENRICHED,
            _ref("EnrichedEvent"),
        ),
        "redeliveries": _channel(
            names.redeliveries, "Enriched records for the one target in the header.", _REDELIVERY, _ref("EnrichedEvent")
        ),
        "dead-letters": _channel(
            names.dead_letters,
            "Records that can never be handled; one with a header `ledger` and no value says what became of another.",
            _LETTER,
            anything,
        ),
        "deliveries": _channel(names.deliveries, "Receipts: what became of an event at a target.", {}, _ref("Receipt")),
    }


def _ref(model: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model}"}


def _channel(topic: str, text: str, headers: dict[str, Any], payload: dict[str, Any]) -> dict[str, Any]:
    key = {
        "type": "string",
        "description": "The alert's uuid, else the object's, else the event id; hashed over 200 bytes.",
    }
    message = {
        "headers": {"type": "object", "properties": headers},
        "payload": payload,
        "bindings": {"kafka": {"key": key, "bindingVersion": "0.5.0"}},
    }
    return {"address": topic, "description": text, "messages": {"record": message}}


if __name__ == "__main__":
    sys.stdout.buffer.write(document())
