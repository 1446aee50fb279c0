"""The records read ahead: bounded, urgent first, in order per alert."""

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from events.headers import URGENCY
from sinks.receipts import Record

URGENT = 80
"""From here on an alert is urgent: the level a person reads in a message."""

Key = tuple[int, bytes | int]
"""Partition and key of a record, its offset where it has none: within it the order is kept."""


def urgent(value: bytes | None) -> bool:
    """Say whether an enriched event is to be told first; what cannot be known counts as urgent."""
    try:
        event = orjson.loads(value or b"")
        said = event["event"]
        about_alert = str(said["type"]).startswith("alert")
        number = ((event.get("alert") or {}).get("urgency") or {}).get("current_value")
        if number is None:
            number = (said.get("attributes") or {}).get("urgency_current_value")
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return True
    if isinstance(number, int | float) and not isinstance(number, bool):
        return number >= URGENT
    return about_alert


def is_urgent(record: Record) -> bool:
    """Say the same of a record: by its header where it has one, which spares reading the value."""
    for name, value in record.headers or ():
        if name == URGENCY and value is not None and value.isdigit():
            return int(value) >= URGENT
    return urgent(record.value)


def key_of(record: Record) -> Key:
    """Return within which key the order of this record counts."""
    return record.partition, record.offset if record.key is None else record.key


@dataclass(frozen=True, slots=True)
class Held:
    """A record that waits for its turn."""

    record: Any
    urgent: bool
    key: Key
    size: int


class Window:
    """Records read and not yet in anybody's hands."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._queues: dict[Key, deque[Held]] = {}
        self._urgent: OrderedDict[Key, int] = OrderedDict()
        self._arrived: deque[Held] = deque()
        self._taken: set[tuple[int, int]] = set()
        self._count = self._bytes = self.urgent = 0

    def __len__(self) -> int:
        return self._count

    @property
    def full(self) -> bool:
        """Whether no more may be read; one record more than the bounds is held at most a batch long."""
        return self._count >= self._most or self._bytes >= self._most_bytes

    @property
    def room(self) -> int:
        """How many more records may be read."""
        return 0 if self.full else self._most - self._count

    def add(self, record: Record, *, urgent: bool) -> None:
        """Take a record in; its key's records come out in the order they came in."""
        held = Held(record, urgent, key_of(record), len(record.value or b""))
        self._queues.setdefault(held.key, deque()).append(held)
        self._arrived.append(held)
        self._counted(held, 1)

    def lift(self, records: Sequence[Record]) -> None:
        """Take in records of one key out of turn, the last of them urgent; all of the key that are here come before."""
        for record in records:
            self.add(record, urgent=record is records[-1])

    @property
    def next_key(self) -> Key | None:
        """The key that is lifted: it has an urgent record, or one behind others of its own."""
        return next(iter(self._urgent), None)

    @property
    def oldest(self) -> int | None:
        """The time of the record that came first, in milliseconds as Kafka has it."""
        self._tidy()
        return int(self._arrived[0].record.timestamp) if self._arrived else None

    def _tidy(self) -> None:
        while self._arrived and _place(self._arrived[0]) in self._taken:
            self._taken.discard(_place(self._arrived.popleft()))

    def take(self, *, head: bool = False) -> tuple[Held, bool] | None:
        """Return the next record, and whether it is lifted: urgent, or before an urgent one of its key.

        With `head` the one that came first, whatever else waits.
        """
        self._tidy()
        if not self._arrived:
            return None
        lifted = bool(self._urgent) and not head
        key = next(iter(self._urgent)) if lifted else self._arrived[0].key
        held = self._queues[key].popleft()
        if not self._queues[key]:
            del self._queues[key]
        self._taken.add(_place(held))
        self._counted(held, -1)
        return held, lifted

    def put_back(self, held: Held) -> None:
        """Take back the record that was taken last."""
        self._queues.setdefault(held.key, deque()).appendleft(held)
        if _place(held) in self._taken:
            self._taken.discard(_place(held))
        else:
            self._arrived.appendleft(held)
        self._counted(held, 1)

    def clear(self) -> None:
        """Let all go."""
        self.__init__(self._most, self._most_bytes)  # type: ignore[misc]

    def _counted(self, held: Held, sign: int) -> None:
        self._count += sign
        self._bytes += sign * held.size
        if held.urgent:
            self.urgent += sign
            self._urgent[held.key] = self._urgent.get(held.key, 0) + sign
            if not self._urgent[held.key]:
                del self._urgent[held.key]


def _place(held: Held) -> tuple[int, int]:
    return held.record.partition, held.record.offset
