"""From a posted body to a record of the raw topic; no clock, no network."""

import re
from datetime import datetime
from typing import NamedTuple

from events.codec import parse_object
from events.headers import RawHeaders
from events.identity import identify

_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class RawRecord(NamedTuple):
    """One record of the raw topic; the value is the body, byte for byte."""

    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


def accept(
    body: bytes, hook: str, *, delivery_id: str, received_at: datetime, traceparent: bytes | None = None
) -> RawRecord:
    """Make the record of a body: any type and action will do.

    Raises MalformedRecord, with a reason fit for the sender, when the body is not a JSON object.
    """
    identity = identify(parse_object(body), body, delivery_id)
    headers = RawHeaders(
        event_id=identity.event_id,
        kind=identity.kind,
        delivery_id=delivery_id,
        received_at=received_at,
        hook=hook,
        traceparent=_well_formed(traceparent),
    )
    return RawRecord(identity.key, body, headers.to_kafka())


def _well_formed(traceparent: bytes | None) -> str | None:
    """Return the W3C trace context if it is one; it comes from outside, so anything else is dropped."""
    return traceparent.decode() if traceparent and _TRACEPARENT.fullmatch(traceparent) else None
