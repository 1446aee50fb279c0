"""From a posted body to a record of the raw topic; no clock, no network."""

from datetime import datetime
from typing import NamedTuple

from events.codec import parse_object
from events.headers import RawHeaders
from events.identity import identify
from events.trace import well_formed


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
        traceparent=well_formed(traceparent.decode("latin-1")) if traceparent else None,
    )
    return RawRecord(identity.key, body, headers.to_kafka())
