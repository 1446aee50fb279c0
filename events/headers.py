"""The headers of the records: what a reader may learn without decoding the value."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple, get_args

from events.identity import Kind
from events.records import EnrichedEvent
from events.trace import TRACEPARENT, well_formed

URGENCY = "urgency"
"""Name of the header by which a reader knows what to read first."""

FATE, LETTER = "ledger", "letter-offset"
"""Headers of an entry in the dead letters topic that says what became of a letter. It lies behind its letter in the same
partition, so that it never leaves before."""

KafkaHeaders = Sequence[tuple[str, bytes]]
_KINDS = frozenset(get_args(Kind))


class RawHeaders(NamedTuple):
    """How a webhook body came in."""

    event_id: str
    kind: Kind
    delivery_id: str
    received_at: datetime
    tenant: str = "default"
    hook: str = ""
    origin: str = "webhook"
    traceparent: str | None = None

    def to_kafka(self) -> list[tuple[str, bytes]]:
        """Write them as Kafka headers."""
        headers = [
            ("event-id", self.event_id.encode()),
            ("event-id-kind", self.kind.encode()),
            ("delivery-id", self.delivery_id.encode()),
            ("received-at", isoformat(self.received_at).encode()),
            ("tenant", self.tenant.encode()),
            ("hook", self.hook.encode()),
            ("origin", self.origin.encode()),
        ]
        if self.traceparent:
            headers.append((TRACEPARENT, self.traceparent.encode()))
        return headers

    @classmethod
    def from_kafka(cls, headers: Iterable[tuple[str, bytes]] | None) -> "RawHeaders | None":
        """Read them; None when the record was not written by ingest or catch-up."""
        values = as_text(headers)
        received_at = _in_our_time(parse_time(values.get("received-at")))
        if not values.get("event-id") or received_at is None:
            return None
        kind = values.get("event-id-kind")
        return cls(
            event_id=values["event-id"],
            kind=kind if kind in _KINDS else "content",  # type: ignore[arg-type]
            delivery_id=values.get("delivery-id", ""),
            received_at=received_at,
            tenant=values.get("tenant", "default"),
            hook=values.get("hook", ""),
            origin=values.get("origin", "webhook"),
            traceparent=well_formed(values.get(TRACEPARENT)),
        )


def enriched_headers(event: EnrichedEvent) -> list[tuple[str, bytes]]:
    """Return the headers of an enriched record; the first two make it a dedupe mark.

    `urgency` is there when the alert's urgency is known: 0 to 100, rounded down; `traceparent` when the sender gave one.
    """
    urgency = event.urgency
    known = [] if urgency is None else [(URGENCY, str(urgency).encode())]
    if event.traceparent:
        known.append((TRACEPARENT, event.traceparent.encode()))
    return [
        ("event-id", event.event_id.encode()),
        ("revision", str(event.revision).encode()),
        ("status", event.enrichment.status.encode()),
        ("received-at", isoformat(event.received_at).encode()),
        *known,
    ]


@dataclass(frozen=True)
class DeadLetter:
    """Why a record was buried, and where it came from."""

    stage: str
    reason: str
    source_topic: str
    source_partition: int
    source_offset: int
    target: str = ""
    attempts: int = 1
    first_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    last_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def to_kafka(self) -> list[tuple[str, bytes]]:
        """Write it as Kafka headers; a reason that quotes the record is cut at 500 characters."""
        headers = {
            "stage": self.stage,
            "target": self.target,
            "reason": self.reason[:500],
            "source-topic": self.source_topic,
            "source-partition": str(self.source_partition),
            "source-offset": str(self.source_offset),
            "attempts": str(self.attempts),
            "first-at": isoformat(self.first_at),
            "last-at": isoformat(self.last_at),
        }
        return [(name, value.encode("utf-8", "replace")) for name, value in headers.items()]


ORIGINAL = "original-"
"""Before the name of a header that the buried record had itself: with them it can be handled again as it was."""


def originals(headers: Iterable[tuple[str, bytes]] | None) -> list[tuple[str, bytes]]:
    """Return a record's own headers as its dead letter carries them."""
    return [(ORIGINAL + name, value) for name, value in headers or () if value is not None]


def restored(headers: Iterable[tuple[str, bytes]] | None) -> list[tuple[str, bytes]]:
    """Return the headers a record had before it was buried."""
    return [(name.removeprefix(ORIGINAL), value) for name, value in headers or () if name.startswith(ORIGINAL)]


def as_text(headers: Iterable[tuple[str, bytes]] | None) -> dict[str, str]:
    """Return Kafka headers as text; a header without a value is left out, bad UTF-8 is replaced."""
    return {name: value.decode("utf-8", "replace") for name, value in headers or () if value is not None}


def isoformat(time: datetime) -> str:
    """Write a time as ISO 8601 in UTC with microseconds."""
    return (time if time.tzinfo is UTC else time.astimezone(UTC)).isoformat(timespec="microseconds")


def _in_our_time(time: datetime | None) -> datetime | None:
    """Return a time with which one can reckon; the ends of the calendar are nobody's clock."""
    return time if time and 1970 <= time.year <= 9000 else None  # noqa: PLR2004


def parse_time(text: str | None) -> datetime | None:
    """Read an ISO 8601 time with a zone, as UTC; else None."""
    try:
        time = datetime.fromisoformat(text or "")
        return time.astimezone(UTC) if time.tzinfo else None
    except (ValueError, OverflowError):  # overflow: before the year 1 or after 9999 once in UTC
        return None
