"""The account of one partition: what came in, what was made of it, and what is missing at which stage; knows no Kafka."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from sys import intern

import orjson

from events.codec import decode_enriched, decode_webhook
from events.errors import MalformedRecord
from events.headers import RawHeaders, as_text
from ops import life
from ops.gaps import Count, Gap, Limits
from ops.life import Record
from ops.life_targets import ATTEMPTING
from sinks.rules import Rules
from stream.created import CREATED, created_by_webhook, is_known, marks_of
from stream.marks import digest


@dataclass
class Ledger:
    """Takes the records of one partition, first the letters, receipts and enriched ones, at last the raw ones.

    There may be millions, so that a value is read only where headers do not answer.
    """

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
    first_told: dict[str, dict[str, int]] = field(default_factory=dict)
    """By target and version of its rules, when the first record was written that it has a receipt of; milliseconds."""
    _buried: set[str] = field(default_factory=set)
    _receipts: dict[str, dict[bytes, str]] = field(default_factory=dict)
    """By target and record (`_name`), the version of the rules that decided."""
    _marks: set[bytes] = field(default_factory=set)
    _seen: set[bytes] = field(default_factory=set)
    _pending: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Learn which targets may be told anything at all: what nobody may be told of need not be read."""
        rules = self.rules
        named = {target for rule in rules.rules for target in rule.notify} if rules else set()
        self._telling = set(rules.targets) if rules and rules.operators else named

    def letter(self, record: Record) -> None:
        """Take a dead letter: what is in it is accounted for."""
        headers = as_text(record.headers)
        if "stage" in headers:
            source = "/".join(headers.get(f"source-{part}", "?") for part in ("topic", "partition", "offset"))
            self._buried.add(f"{headers['stage']} {headers.get('target', '')} {source}")

    def receipt(self, record: Record) -> None:
        """Take a receipt, also one of which a later version knows more."""
        try:
            body = orjson.loads(record.value or b"")
        except orjson.JSONDecodeError:
            return
        said = body if isinstance(body, dict) else {}
        event_id, target, outcome = said.get("event_id"), said.get("target"), said.get("outcome")
        if not (isinstance(event_id, str) and isinstance(target, str) and isinstance(outcome, str)):
            return
        if outcome != ATTEMPTING:
            version = intern(str(said.get("rules_version", "")))
            name = _name(digest(event_id), repeated=bool(said.get("revision")))
            self._receipts.setdefault(target, {})[name] = version

    def enriched(self, record: Record, *, judged: bool = True) -> None:
        """Take an enriched record; one that is not judged only tells which events were seen."""
        headers = as_text(record.headers)
        event_id, second = headers.get("event-id", ""), headers.get("revision") == "1"
        marks = marks_of(event_id, headers.get(CREATED, ""))
        self._marks.update(marks)
        if second:
            self._pending.discard(event_id)
        elif headers.get("status") == "pending":
            self._pending.add(event_id)
        if judged and self.limits.judges(record.timestamp):
            self._judge_archive(record, event_id)
            self._judge_targets(record, event_id, _name(marks[0], repeated=second))

    def raw(self, record: Record) -> bool:
        """Take a raw record; False where nothing is known of its event, so that it is worth looking further back."""
        if not self.limits.judges(record.timestamp):
            return True
        event_id = _header(record, "event-id")
        mark, known, waits = digest(event_id), False, False
        if event_id and mark in self._marks:
            known, origin = True, _header(record, "origin") or "webhook"
        else:
            one = life.arrival(record)
            mark, known, origin = digest(one.event_id), self._knows(record, one), one.origin
            waits = not known and not (self.limits.stream and self.limits.stream.has(one.offset))
        if not (known or waits):
            return False
        self.origins[origin] += 1
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

    def _judge_archive(self, record: Record, event_id: str) -> None:
        if self.limits.archived is None:
            return
        self.archive.expected += 1
        if record.offset in self.limits.archived or f"sink archive {_place(record)}" in self._buried:
            self.archive.there += 1
        elif record.offset >= self.limits.archived_to:
            self.archive.waiting += 1
        elif not any(span.start <= record.offset < span.end for span in self.limits.in_lost_files):
            self.gaps.append(Gap("lost row", _place(record), event_id, _key(record), "archive", _at(record)))

    def _judge_targets(self, record: Record, event_id: str, name: bytes) -> None:
        """Count the targets that have a receipt as told, whatever rules decided then; of others the rules are asked."""
        silent = []
        for target in self.rules.targets if self.rules else ():
            version = self._receipts.get(target, {}).get(name)
            if version is None:
                silent.append(target)
                continue
            firsts = self.first_told.setdefault(target, {})
            firsts[version] = min(record.timestamp, firsts.get(version, record.timestamp))
            count = self.targets.setdefault(target, Count())
            count.expected += 1
            count.there += 1
        if self.rules is None or not any(target in self._telling for target in silent):
            return
        try:
            event = decode_enriched(record.value)
        except MalformedRecord:
            return  # the sinks bury it, each for itself
        for target in silent:
            decision = self.rules.decide(event, target)
            if decision.notify or decision.muted:  # what is muted has a receipt too
                self._untold(target, record, event_id, self.rules)

    def _untold(self, target: str, record: Record, event_id: str, rules: Rules) -> None:
        count = self.targets.setdefault(target, Count())
        count.expected += 1
        come = self.limits.targets.get(target)
        if f"sink {target} {_place(record)}" in self._buried:
            count.there += 1
        elif come is None or not come.has(record.offset):
            count.waiting += 1
        elif rules.remembers(target):
            # What it told before decides too, and whether it had told by then nobody can say afterwards.
            count.expected -= 1
            self.not_judged[target] += 1
        else:
            self.gaps.append(Gap("lost receipt", _place(record), event_id, _key(record), target, _at(record)))


def _name(mark: bytes, *, repeated: bool) -> bytes:
    """Name an enriched record by the digest of its event's id, and whether it is the second revision."""
    return mark + b"1" if repeated else mark


def _header(record: Record, name: str) -> str:
    """Return one header as `as_text` would, without reading the others."""
    value = next((value for key, value in reversed(record.headers) if key == name), None)
    return value.decode("utf-8", "replace") if value is not None else ""


def _place(record: Record) -> str:
    return f"{record.topic}/{record.partition}/{record.offset}"


def _at(record: Record) -> datetime:
    return datetime.fromtimestamp(record.timestamp / 1000, UTC)


def _key(record: Record) -> str:
    return (record.key or b"").decode("utf-8", "replace")
