"""The account of one partition: what came in, what was made of it, and what is missing at which stage; knows no Kafka."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from events.codec import decode_enriched, decode_webhook
from events.errors import MalformedRecord
from events.headers import RawHeaders, as_text
from events.records import EnrichedEvent
from ops import life
from ops.life import Record
from ops.life_targets import ATTEMPTING, Place
from ops.scan import Span
from sinks.rules import Rules
from stream.created import CREATED, created_by_webhook, is_known, marks_of
from stream.marks import digest

Kind = Literal["lost webhook", "lost change", "lost enriched record", "lost archive file", "lost row", "lost receipt"]


@dataclass(frozen=True)
class Gap:
    """Something that is unaccounted for, by name."""

    kind: Kind
    place: str
    """Where the thing is that something should have followed: a record, a file, an alert."""
    event: str = ""
    alert: str = ""
    target: str = ""
    at: datetime | None = None


@dataclass
class Count:
    """One stage: how many there should be, how many still wait, how many are accounted for."""

    expected: int = 0
    there: int = 0
    waiting: int = 0

    def add(self, other: "Count") -> None:
        """Add another partition's."""
        self.expected += other.expected
        self.there += other.there
        self.waiting += other.waiting


@dataclass
class Limits:
    """What a partition is judged by."""

    since: datetime
    until: datetime
    """What is younger may be between two stages just now."""
    stream: Place | None
    targets: Mapping[str, Place | None]
    archived: Collection[int] | None
    """Offsets that the archive has; None where there is none to look into."""
    archived_to: int = 0
    in_lost_files: Collection[Span] = ()
    """Offsets of files that are gone: the file is the gap, not each of its rows."""

    def judges(self, at: datetime) -> bool:
        """Say whether something of that time is in question."""
        return self.since <= at < self.until


@dataclass
class Ledger:
    """Takes the records of one partition, first the letters, receipts and enriched ones, at last the raw ones."""

    limits: Limits
    rules: Rules | None
    origins: Counter[str] = field(default_factory=Counter)
    pending: int = 0
    """Events that still wait for their alert."""
    gaps: list[Gap] = field(default_factory=list)
    stream: Count = field(default_factory=Count)
    archive: Count = field(default_factory=Count)
    targets: dict[str, Count] = field(default_factory=dict)
    not_judged: Counter[str] = field(default_factory=Counter)
    """By target, records without a receipt where its rules go by what they told before."""
    first_told: dict[str, dict[str, datetime]] = field(default_factory=dict)
    """By target and version of its rules, when the first record was written that it has a receipt of."""
    _buried: set[str] = field(default_factory=set)
    _receipts: dict[tuple[str, str, int], str] = field(default_factory=dict)
    _marks: set[bytes] = field(default_factory=set)
    _seen: set[bytes] = field(default_factory=set)
    _pending: set[str] = field(default_factory=set)

    def letter(self, record: Record) -> None:
        """Take a dead letter: what is in it is accounted for."""
        headers = as_text(record.headers)
        if "stage" in headers:
            source = "/".join(headers.get(f"source-{part}", "?") for part in ("topic", "partition", "offset"))
            self._buried.add(f"{headers['stage']} {headers.get('target', '')} {source}")

    def receipt(self, record: Record) -> None:
        """Take a receipt."""
        one = life.receipt(record.value)
        if one is None or one.outcome == ATTEMPTING:
            return
        self._receipts[one.target, one.event_id, one.revision] = one.rules_version

    def enriched(self, record: Record, *, judged: bool = True) -> None:
        """Take an enriched record; one that is not judged only tells which events were seen."""
        headers = as_text(record.headers)
        event_id = headers.get("event-id", "")
        self._marks.update(marks_of(event_id, headers.get(CREATED, "")))
        if headers.get("revision") == "1":
            self._pending.discard(event_id)
        elif headers.get("status") == "pending":
            self._pending.add(event_id)
        at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
        if not judged or not self.limits.judges(at):
            return
        try:
            event = decode_enriched(record.value)
        except MalformedRecord:
            return  # the sinks and the archive bury it, each for itself
        self._judge_archive(record, event, at)
        for target in self.rules.targets if self.rules else ():
            self._judge_target(target, record, event, at)

    def raw(self, record: Record) -> bool:
        """Take a raw record; False where nothing is known of its event, so that it is worth looking further back."""
        one = life.arrival(record)
        if not self.limits.judges(one.written_at):
            return True
        mark = digest(one.event_id)
        known = self._knows(record, one)
        waits = not known and not (self.limits.stream and self.limits.stream.has(one.offset))
        if not (known or waits):
            return False
        self.origins[one.origin] += 1
        if mark not in self._seen:
            self._seen.add(mark)
            self.stream.expected += 1
            self.stream.there += known
            self.stream.waiting += waits
        return True

    def lost(self, record: Record) -> None:
        """Take a raw record that nothing was made of."""
        if self.raw(record):
            return  # by what lies further back it is accounted for
        one = life.arrival(record)
        self.origins[one.origin] += 1
        mark = digest(one.event_id)
        if mark in self._seen:
            return
        self._seen.add(mark)
        self.stream.expected += 1
        self.gaps.append(Gap("lost enriched record", one.place, one.event_id, _key(record), at=one.received_at))

    def close(self) -> None:
        """Count what still waits for its alert."""
        self.pending = len(self._pending)

    def _knows(self, record: Record, one: life.Arrival) -> bool:
        if digest(one.event_id) in self._marks or f"stream  {one.place}" in self._buried:
            return True
        headers = RawHeaders.from_kafka(record.headers)
        try:
            event, _ = decode_webhook(record.value)
        except MalformedRecord:
            return False
        created = created_by_webhook(event, headers) if headers else ""
        return is_known(marks_of(one.event_id, created), created, self._marks.__contains__)

    def _judge_archive(self, record: Record, event: EnrichedEvent, at: datetime) -> None:
        if self.limits.archived is None:
            return
        place = f"{record.topic}/{record.partition}/{record.offset}"
        self.archive.expected += 1
        if record.offset in self.limits.archived or f"sink archive {place}" in self._buried:
            self.archive.there += 1
        elif record.offset >= self.limits.archived_to:
            self.archive.waiting += 1
        elif not any(span.start <= record.offset < span.end for span in self.limits.in_lost_files):
            self.gaps.append(Gap("lost row", place, event.event_id, _key(record), "archive", at))

    def _judge_target(self, target: str, record: Record, event: EnrichedEvent, at: datetime) -> None:
        version = self._receipts.get((target, event.event_id, event.revision))
        if version is not None:
            firsts = self.first_told.setdefault(target, {})
            firsts[version] = min(at, firsts.get(version, at))
        if self.rules is None:
            return
        decision = self.rules.decide(event, target)
        if not (decision.notify or decision.muted):  # what is muted has a receipt too
            return
        count = self.targets.setdefault(target, Count())
        count.expected += 1
        place = f"{record.topic}/{record.partition}/{record.offset}"
        come = self.limits.targets.get(target)
        if version is not None or f"sink {target} {place}" in self._buried:
            count.there += 1
        elif come is None or not come.has(record.offset):
            count.waiting += 1
        elif self.rules.remembers(target):
            # What it told before decides too, and whether it had told by then nobody can say afterwards.
            count.expected -= 1
            self.not_judged[target] += 1
        else:
            self.gaps.append(Gap("lost receipt", place, event.event_id, _key(record), target, at))


def _key(record: Record) -> str:
    return (record.key or b"").decode("utf-8", "replace")
