"""Write enriched records: the bytes `events.codec.encode` would make of the model, without making the model."""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import orjson

from events.headers import URGENCY, RawHeaders, isoformat
from events.records import WebhookEvent, urgency_of
from events.topics import MAX_ENRICHED
from events.trace import TRACEPARENT, well_formed
from stream.cache import Answer
from stream.created import CREATED

LARGE_FIELD, LARGE = 4096, MAX_ENRICHED // 2
"""Bytes of JSON: of a field that is left out of an alert that does not fit, and of what is kept of one at most."""


@dataclass(slots=True)
class Enriched:
    """One record of the enriched topic, ready to be written."""

    event_id: str
    received_at: datetime
    status: str
    value: bytes
    revision: int = 0
    created: str = ""
    traceparent: str | None = None
    urgency: int | None = None

    def headers(self) -> list[tuple[str, bytes]]:
        """Return its headers; they make it a dedupe mark."""
        headers = [
            ("event-id", self.event_id.encode()),
            ("revision", b"1" if self.revision else b"0"),
            ("status", self.status.encode()),
            ("received-at", isoformat(self.received_at).encode()),
        ]
        if self.urgency is not None:
            headers.append((URGENCY, b"%d" % self.urgency))
        if self.created:
            headers.append((CREATED, self.created.encode()))
        if self.traceparent:
            headers.append((TRACEPARENT, self.traceparent.encode()))
        return headers


@dataclass(slots=True)
class Finding:
    """What is known about an event: how far the look-up came, the alert, and the names."""

    status: str
    reason: str | None = None
    answer: Answer | None = None
    names: dict[str, Any] | None = None
    attempts: int = 0
    """How often the stream went to fetch the alert since the record before, if there is one, was written."""


def first(event: WebhookEvent, headers: RawHeaders, found: Finding, app_base: str, created: str = "") -> Enriched:
    """Return revision 0 of an event."""
    record = {
        "event_id": headers.event_id,
        "revision": 0,
        "received_at": headers.received_at,
        "tenant": headers.tenant,
        "hook": headers.hook,
        "origin": headers.origin,
        **({TRACEPARENT: headers.traceparent} if headers.traceparent else {}),
        "event": {
            "type": event.type,
            "action": event.action,
            "attributes": event.attributes,
            "metadata": event.metadata,
            **(event.model_extra or {}),
        },
    }
    short_id = event.short_id if event.alert_uuid else None
    value = _write(record, found, short_id, app_base)
    return Enriched(
        headers.event_id,
        headers.received_at,
        found.status,
        value,
        created=created,
        traceparent=headers.traceparent,
        urgency=urgency_of(found.answer and found.answer.urgency, event.attributes),
    )


def completion(value: bytes, found: Finding, app_base: str) -> Enriched:
    """Return revision 1 of a record that was pending."""
    record = orjson.loads(value)
    event = WebhookEvent.model_construct(**record["event"])
    short_id = event.short_id if event.alert_uuid else None
    record["revision"] = 1
    received_at = datetime.fromisoformat(record["received_at"])
    written = _write(record, found, short_id, app_base)
    traceparent = well_formed(record.get(TRACEPARENT))
    urgency = urgency_of(found.answer and found.answer.urgency, event.attributes)
    return Enriched(record["event_id"], received_at, found.status, written, 1, traceparent=traceparent, urgency=urgency)


@lru_cache(maxsize=20_000)
def link(app_base: str, short_id: str | None) -> str | None:
    """Return the address of an alert in the web application, whatever its id is made of."""
    return f"{app_base}/operations/alerts/{quote(short_id, safe='')}" if short_id else None


def _write(record: dict[str, Any], found: Finding, short_id: str | None, app_base: str) -> bytes:
    answer, attempts = found.answer, (record.get("enrichment") or {}).get("attempts", 0) + found.attempts
    if answer and answer.short_id:
        short_id = answer.short_id
    record["alert"] = orjson.Fragment(answer.alert) if answer else None
    record["names"] = found.names or record.get("names") or {}
    record["enrichment"] = {
        "status": found.status,
        "reason": found.reason,
        "fetched_at": answer.fetched_at if answer else None,
        **({"attempts": attempts} if attempts else {}),
    }
    record["links"] = {"alert": link(app_base, short_id)}
    value = orjson.dumps(record, option=orjson.OPT_UTC_Z)
    if len(value) <= MAX_ENRICHED or answer is None:
        return value
    alert = orjson.loads(answer.alert)
    record["alert"] = _small(alert)
    record["enrichment"]["reason"] = "oversize"
    return orjson.dumps(record, option=orjson.OPT_UTC_Z)


def _small(alert: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that are not large, in their order, as far as they fit."""
    kept, left = {}, LARGE
    for name, field in alert.items():
        size = len(name.encode()) + len(orjson.dumps(field))
        if size <= min(LARGE_FIELD, left):
            kept[name] = field
            left -= size
    return kept
