"""What becomes of a record of the raw topic: seen before, a dead letter, or an event to complete."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import structlog

from events.codec import decode_webhook
from events.errors import MalformedRecord
from events.headers import DeadLetter, RawHeaders, originals
from events.identity import identify
from events.topics import Topics
from events.trace import trace_id
from stream.compose import Enriched
from stream.created import created_by_webhook, is_known, marks_of
from stream.enrich import Enricher
from stream.marks import Marks, digest
from stream.outbox import Output
from stream.restore import dead_letter_mark

log = structlog.get_logger()


class RawRecord(Protocol):
    """A record of the raw topic, as aiokafka has it; `timestamp` in milliseconds."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    timestamp: int


@dataclass(slots=True)
class _Offset:
    """What is left of a record that is written."""

    offset: int
    key: bytes | None = None
    value: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()
    timestamp: int = 0


@dataclass(slots=True)
class Work:
    """A record and what is to be written for it: nothing where it was seen before."""

    record: RawRecord
    received_at: datetime
    marks: Sequence[bytes] = ()
    result: "asyncio.Task[Enriched] | Enriched | Output | None" = None
    written: bool = False

    def end(self) -> None:
        """Note that it is written; it needs little memory while it waits for those before it."""
        self.written, self.result, self.marks = True, None, ()
        self.record = _Offset(self.record.offset)

    @property
    def done(self) -> bool:
        """Whether it can be written."""
        return not isinstance(self.result, asyncio.Task) or self.result.done()

    def enriched(self) -> Enriched | None:
        """Return the enriched record, once done; None for a dead letter or nothing."""
        if isinstance(self.result, asyncio.Task):
            return self.result.result()
        return self.result if isinstance(self.result, Enriched) else None


class Intake:
    """Decide about the records of one partition, in order."""

    def __init__(
        self, partition: int, topics: Topics, enricher: Enricher, marks: Marks, now: Callable[[], datetime]
    ) -> None:
        self._partition = partition
        self._topics = topics
        self._enricher = enricher
        self._marks = marks
        self._now = now

    def begin(self, record: RawRecord) -> Work:
        """Decide what becomes of a record; its mark is set now, for any failure from here on ends the process."""
        headers = RawHeaders.from_kafka(record.headers)
        received_at = headers.received_at if headers else datetime.fromtimestamp(record.timestamp / 1000, UTC)
        try:
            event, body = decode_webhook(record.value)
        except MalformedRecord as error:
            marks: tuple[bytes, ...] = (digest(self._place(record)),)
            if not self._new(marks, ""):
                return Work(record, received_at)
            return Work(record, received_at, marks, self._letter(record, str(error), headers))
        if headers is None:  # produced by somebody else: named as ingest would, the record itself being the delivery
            name = identify(body, record.value or b"", self._place(record))
            headers = RawHeaders(name.event_id, name.kind, self._place(record), received_at, origin="unknown")
        created = created_by_webhook(event, headers)
        marks = marks_of(headers.event_id, created)
        if not self._new(marks, created):
            return Work(record, received_at)
        result = self._enricher.begin(event, headers, created)
        return Work(record, received_at, marks, result if isinstance(result, Enriched) else asyncio.create_task(result))

    def _new(self, marks: tuple[bytes, ...], created: str) -> bool:
        if is_known(marks, created, self._marks.__contains__):
            return False
        # By when it is taken, as a new owner finds it: old events from one host's spool may have copies in another's.
        self._marks.add(marks, self._now().timestamp())
        return True

    def _place(self, record: RawRecord) -> str:
        return dead_letter_mark(self._topics.raw, self._partition, record.offset)

    def _letter(self, record: RawRecord, reason: str, headers: RawHeaders | None) -> Output:
        trace, event_id = (trace_id(headers.traceparent), headers.event_id) if headers else (None, None)
        of = {"event_id": event_id, "trace_id": trace}
        log.warning("dead_letter", partition=self._partition, offset=record.offset, reason=reason, **of)
        letter = DeadLetter("stream", reason, self._topics.raw, self._partition, record.offset)
        return Output(
            self._topics.dead_letters, record.key, record.value, letter.to_kafka() + originals(record.headers)
        )
