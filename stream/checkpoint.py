"""The checkpoint of a partition: its marks in segments, where they end, and which events are still pending.

It only saves time. Everything in it can be read again from the topics the stream has written, and is, when it is
missing, damaged, or does not reach back far enough. The one exception are the marks that came from other partitions when the
topics grew (docs/adr/0020-more-partitions.md): for one window they stand here alone.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace

import orjson

from events.topics import Topics
from stream.gossip import KEY as GOSSIP
from stream.marks import MINUTE
from stream.outbox import Output

MARKS, SECONDS = 5_000, 300.0
"""A checkpoint is written after so many new marks, or after this time with any."""
SEGMENT = 40_000
"""Marks in one record; it stays well under the topic's largest message."""
KEEP = 3600
"""Seconds a segment outlives the window, so that a restart finds its marks although the commit lags behind."""
BLOCK = 31
"""Marks of so many minutes and one share a segment, and are kept until the last of these minutes has expired."""
LISTED = 50_000
"""Open pendings listed one by one; of more only the first is named, and the topic is read from there."""
DIGEST = 16
_VERSION = 1


@dataclass(frozen=True)
class Segment:
    """Some marks: the number of their record, their newest minute, and how many they are."""

    number: int
    minute: int
    count: int


@dataclass(frozen=True)
class Head:
    """What a checkpoint covers."""

    enriched: int
    """First offset of the enriched topic whose mark is not in it; `letters` is the same of the dead letters."""
    letters: int
    since: float
    """Every mark of this time (seconds since 1970) or later is in it."""
    segments: tuple[Segment, ...] = ()
    next_segment: int = 0
    pending: tuple[int, ...] = ()
    """Offsets of the enriched records that were pending and have no completion yet."""
    pending_since: int | None = None
    """Where to start reading for them instead, when they are too many to be listed."""

    def encode(self) -> bytes:
        """Write it as JSON."""
        return orjson.dumps({"version": _VERSION, **asdict(self)})


@dataclass
class Stored:
    """The records of a partition's checkpoint as the topic holds them: the last value of each key."""

    values: dict[bytes, bytes] = field(default_factory=dict)

    def put(self, key: bytes | None, value: bytes | None) -> None:
        """Take the next record of the topic."""
        if key is None or key == GOSSIP:
            return
        if value is None:
            self.values.pop(key, None)
        else:
            self.values[key] = value

    def head(self, partition: int) -> Head | None:
        """Return what the checkpoint covers; None when there is none, or it is not whole."""
        try:
            text = orjson.loads(self.values.get(_head_key(partition), b"{}"))
            if text.pop("version", None) != _VERSION:
                return None
            segments = tuple(Segment(**each) for each in text.pop("segments"))
            head = Head(**{**text, "segments": segments, "pending": tuple(text["pending"])})
        except (ValueError, TypeError, KeyError, AttributeError):
            return None
        whole = all(len(self.values.get(_key(partition, s.number), b"")) == s.count * DIGEST for s in segments)
        return head if whole else None

    def marks(self, partition: int, segment: Segment) -> Iterable[bytes]:
        """Yield the marks of a segment."""
        value = self.values[_key(partition, segment.number)]
        return (value[start : start + DIGEST] for start in range(0, len(value), DIGEST))


class Ledger:
    """What a partition has written: kept while it runs, and turned into checkpoints."""

    def __init__(self, partition: int, topics: Topics, head: Head, stale: Iterable[int] = ()) -> None:
        """Go on from `head`; the segments `stale` are of a checkpoint that was of no use, and are removed."""
        self._partition = partition
        self._topics = topics
        self._head = head
        self._stale = list(stale)
        self._new: defaultdict[int, bytearray] = defaultdict(bytearray)
        self._count = 0
        self._saved_at = 0.0

    def wrote(self, marks: Sequence[bytes], minute: int) -> None:
        """Note marks whose records the brokers have; one that is only under way would lose its event."""
        self._new[minute | BLOCK] += b"".join(marks)
        self._count += len(marks)

    def reached(self, topic: str, offset: int) -> None:
        """Note the offset after the last record written to a topic."""
        if topic == self._topics.enriched:
            self._head = replace(self._head, enriched=max(self._head.enriched, offset))
        elif topic == self._topics.dead_letters:
            self._head = replace(self._head, letters=max(self._head.letters, offset))

    def due(self, now: float) -> bool:
        """Tell whether the next checkpoint is; `now` in seconds of a monotonic clock."""
        waited = now - self._saved_at > SECONDS
        return self._count >= MARKS or (self._count > 0 and waited)

    def checkpoint(self, now: float, limit: float, pending: Sequence[int]) -> list[Output]:
        """Return the records of the next checkpoint, to be written in one transaction.

        `limit` is the time (seconds since 1970) before which no mark is needed any more, `pending` the offsets of the
        open pendings.
        """
        self._saved_at = now
        outputs = [self._output(_key(self._partition, number), None) for number in self._stale]
        self._stale.clear()
        kept, since = [], self._head.since
        for segment in self._head.segments:
            if (segment.minute + 1) * MINUTE <= limit - KEEP:
                since = max(since, float((segment.minute + 1) * MINUTE))
                outputs.append(self._output(_key(self._partition, segment.number), None))
            else:
                kept.append(segment)
        number = self._head.next_segment
        for minute, marks in sorted(self._new.items()):
            for start in range(0, len(marks), SEGMENT * DIGEST):
                value = bytes(marks[start : start + SEGMENT * DIGEST])
                kept.append(Segment(number, minute, len(value) // DIGEST))
                outputs.append(self._output(_key(self._partition, number), value))
                number += 1
        self._new.clear()
        self._count = 0
        few = len(pending) <= LISTED
        self._head = replace(
            self._head,
            since=since,
            segments=tuple(kept),
            next_segment=number,
            pending=tuple(sorted(pending)) if few else (),
            pending_since=None if few else min(pending),
        )
        return [*outputs, self._output(_head_key(self._partition), self._head.encode())]

    def _output(self, key: bytes, value: bytes | None) -> Output:
        return Output(self._topics.marks, key, value, ())


def _key(partition: int, segment: int) -> bytes:
    return b"%d/%d" % (partition, segment)


def _head_key(partition: int) -> bytes:
    return b"%d/head" % partition
