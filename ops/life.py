"""What became of the events of one alert, put together from the records that tell of them; knows no Kafka."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

import orjson

from events.codec import decode_enriched, decode_receipt, decode_webhook
from events.errors import MalformedRecord
from events.headers import KafkaHeaders, RawHeaders
from events.identity import identify
from events.records import EnrichedEvent, Receipt

SPOOLED = 5.0
"""Seconds between arrival and Kafka above which an event must have waited on the disk of its host: ingest gives Kafka
less than two."""

CAUGHT_UP = "created:"
"""Before the event id of a new alert that a catch-up fed."""

Fate = Literal["enriched", "duplicate", "same alert", "dead letter", "waiting", "not found"]


class Record(Protocol):
    """What Kafka hands over, as far as it is looked at here; `timestamp` in milliseconds."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: KafkaHeaders


@dataclass
class Arrival:
    """A record of the raw topic: one webhook, or what a catch-up fed."""

    place: str
    offset: int
    event_id: str
    delivery_id: str
    hook: str
    origin: str
    received_at: datetime
    written_at: datetime
    what: str
    fate: Fate = "not found"

    @property
    def spooled(self) -> float:
        """Seconds it waited on the disk of the host that took it; 0 when it went straight to Kafka."""
        waited = (self.written_at - self.received_at).total_seconds()
        return round(waited, 3) if waited > SPOOLED else 0.0


@dataclass
class Revision:
    """A record of the enriched topic."""

    place: str
    offset: int
    revision: int
    status: str
    reason: str | None
    fetched_at: datetime | None
    attempts: int
    written_at: datetime | None
    file: str | None
    event: EnrichedEvent = field(repr=False)

    @property
    def what(self) -> str:
        """Type and action of the event."""
        return f"{self.event.event.type} {self.event.event.action}"

    @property
    def after(self) -> float | None:
        """Seconds from the webhook's arrival to this record; None for one that only the archive has."""
        return round((self.written_at - self.event.received_at).total_seconds(), 3) if self.written_at else None


@dataclass
class Event:
    """One event id: how it came in and what was made of it."""

    event_id: str
    arrivals: list[Arrival] = field(default_factory=list)
    revisions: list[Revision] = field(default_factory=list)

    @property
    def what(self) -> str:
        """Type and action of the event."""
        return (self.arrivals[0] if self.arrivals else self.revisions[0]).what

    @property
    def at(self) -> datetime:
        """When it was first received."""
        times = [each.received_at for each in self.arrivals] + [each.event.received_at for each in self.revisions]
        return min(times)


def arrival(record: Record) -> Arrival:
    """Read a record of the raw topic; one that ingest did not write is named by its place."""
    headers = RawHeaders.from_kafka(record.headers)
    place = f"{record.topic}/{record.partition}/{record.offset}"
    written_at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
    body: dict[str, Any] = {}
    try:
        event, body = decode_webhook(record.value)
        what = f"{event.type} {event.action}"
    except MalformedRecord as error:
        what = f"unreadable: {error}"
    if headers is None:  # produced by somebody else: named as the stream names it
        event_id = identify(body, record.value or b"", place).event_id
        return Arrival(place, record.offset, event_id, place, "", "unknown", written_at, written_at, what)
    told = (headers.event_id, headers.delivery_id, headers.hook, headers.origin, headers.received_at)
    return Arrival(place, record.offset, *told, written_at, what)


def revision(record: Record, file: str | None) -> Revision | None:
    """Read a record of the enriched topic; None for one that cannot be read."""
    place = f"{record.topic}/{record.partition}/{record.offset}"
    written_at = datetime.fromtimestamp(record.timestamp / 1000, UTC) if record.timestamp >= 0 else None
    try:
        event = decode_enriched(record.value)
    except MalformedRecord:
        return None
    known = event.enrichment
    told = (event.revision, known.status, known.reason, known.fetched_at, known.attempts)
    return Revision(place, record.offset, *told, written_at, file, event)


def receipt(value: bytes | None) -> Receipt | None:
    """Read a receipt, also one whose outcome only a later version knows; None for what is none."""
    try:
        return decode_receipt(value)
    except MalformedRecord:
        pass
    try:
        body = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return None
    if not isinstance(body, dict) or not all(isinstance(body.get(k), str) for k in ("event_id", "target", "outcome")):
        return None
    return Receipt.model_construct(**body)


def events(
    arrivals: Iterable[Arrival], revisions: Iterable[Revision], buried: Sequence[str], stream_at: int | None
) -> list[Event]:
    """Put records together by event id, the oldest first, and say what became of each arrival.

    `buried` names raw records that are dead letters, `stream_at` is the first raw offset the stream has not finished.
    """
    found: dict[str, Event] = {}
    for each in arrivals:
        found.setdefault(each.event_id, Event(each.event_id)).arrivals.append(each)
    for one in revisions:
        found.setdefault(one.event.event_id, Event(one.event.event_id)).revisions.append(one)
    for event in found.values():
        event.arrivals.sort(key=lambda each: each.offset)
        event.revisions.sort(key=lambda one: (one.revision, one.offset))
    for event in found.values():
        _judge(event, set(buried), stream_at)
        if not event.revisions and any(_one_with(event, other) for other in found.values() if other.revisions):
            for each in event.arrivals:
                each.fate = "same alert" if each.fate == "not found" else each.fate
    return sorted(found.values(), key=lambda event: event.at)


def _judge(event: Event, buried: set[str], stream_at: int | None) -> None:
    made = {one.event.received_at for one in event.revisions}
    source = next((each for each in event.arrivals if each.received_at in made), None)
    for each in event.arrivals:
        if each is source:
            each.fate = "enriched"
        elif each.place in buried:
            each.fate = "dead letter"
        elif stream_at is None or each.offset >= stream_at:
            each.fate = "waiting"
        elif made or each is not event.arrivals[0]:
            each.fate = "duplicate"


def _one_with(event: Event, other: Event) -> bool:
    """Tell whether the stream made one of the two: an alert's webhook and what a catch-up fed of the same alert."""
    caught_up = [each.event_id.startswith(CAUGHT_UP) for each in (event, other)]
    return any(caught_up) and not all(caught_up) and _is_created(event) and _is_created(other)


def _is_created(event: Event) -> bool:
    said = {each.what for each in event.arrivals} | {each.what for each in event.revisions}
    return "alert created" in said
