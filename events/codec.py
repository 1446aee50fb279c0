"""Bytes to records and back."""

from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from events.errors import MalformedRecord
from events.records import EnrichedEvent, Receipt, WebhookEvent
from events.topics import MAX_BODY

M = TypeVar("M", bound=BaseModel)

MAX_DEPTH = 200
"""Levels of objects and lists in a webhook body; JSON writers follow about 250, and a record adds its own."""


def parse_object(raw: bytes) -> dict[str, Any]:
    """Read a webhook body: a JSON object of at most MAX_DEPTH levels.

    Raises MalformedRecord with a reason fit for the sender.
    """
    body = _load(raw)
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH and _deeper(body, MAX_DEPTH):
        raise MalformedRecord(f"nested deeper than {MAX_DEPTH} levels")
    return body


def decode_webhook(raw: bytes | None) -> tuple[WebhookEvent, dict[str, Any]]:
    """Read a record of the raw topic: the event, and the object as posted.

    Raises MalformedRecord for a tombstone, a body over MAX_BODY, bytes that are not JSON, wrong types.
    """
    if raw is None:
        raise MalformedRecord("tombstone: the record has no value")
    if len(raw) > MAX_BODY:
        raise MalformedRecord(f"larger than {MAX_BODY} bytes: {len(raw)}")
    body = parse_object(raw)
    return _validate(WebhookEvent, body), body


def decode_enriched(raw: bytes | None) -> EnrichedEvent:
    """Read a record of the enriched topic.

    Raises MalformedRecord.
    """
    if raw is None:
        raise MalformedRecord("tombstone: the record has no value")
    return _validate(EnrichedEvent, _load(raw))


def decode_receipt(raw: bytes | None) -> Receipt:
    """Read a record of the deliveries topic.

    Raises MalformedRecord.
    """
    if raw is None:
        raise MalformedRecord("tombstone: the record has no value")
    return _validate(Receipt, _load(raw))


def encode(record: BaseModel) -> bytes:
    """Write a record as UTF-8 JSON.

    Raises MalformedRecord for what is nested too deep to be written, an alert for example.
    """
    try:
        return orjson.dumps(record.model_dump(mode="json"))
    except (TypeError, ValueError) as error:
        raise MalformedRecord(f"nested too deep to be written: {type(record).__name__}") from error


def _load(raw: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise MalformedRecord(f"not JSON: {error.msg}") from error
    if not isinstance(body, dict):
        raise MalformedRecord(f"JSON, but not an object: {type(body).__name__}")
    return body


def _deeper(body: dict[str, Any], limit: int) -> bool:
    level: list[Any] = [body]
    for _ in range(limit):
        children = (child for node in level for child in (node.values() if isinstance(node, dict) else node))
        level = [child for child in children if isinstance(child, dict | list)]
        if not level:
            return False
    return True


def _validate(model: type[M], body: dict[str, Any]) -> M:
    try:
        return model.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise MalformedRecord(f"{where}: {first['msg']}") from error
