"""The records read ahead: bounded, urgent first, in order per alert."""

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

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


class Held(NamedTuple):
    """A record that waits for its turn."""

    record: Any
    urgent: bool
    key: Key
    size: int
    again: bool = False
    """Whether it was being posted when a sink was cut off."""

    @property
    def place(self) -> tuple[int, int]:
        """Its partition and offset."""
        return self.record.partition, self.record.offset


class Window:
    """Records that were read, and which of them are in somebody's hands.

    While one of a key is, no other of that key is handed out: so the order per key is kept however many are on their way.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._queues: dict[Key, deque[Held]] = {}
        self._urgent: OrderedDict[Key, int] = OrderedDict()
        self._arrived: OrderedDict[tuple[int, int], Held] = OrderedDict()
        self._out: dict[Key, Held] = {}
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

    def add(self, record: Record, *, urgent: bool, again: bool = False) -> None:
        """Take a record in; its key's records come out in the order they came in."""
        held = Held(record, urgent, key_of(record), len(record.value or b""), again)
        self._queues.setdefault(held.key, deque()).append(held)
        self._arrived[held.place] = held
        self._counted(held, 1)

    def lift(self, records: Sequence[Record], again: Callable[[Record], bool] = lambda _: False) -> None:
        """Take in records of one key out of turn, the last of them urgent; all of the key that are here come before."""
        for record in records:
            self.add(record, urgent=record is records[-1], again=again(record))

    @property
    def next_key(self) -> Key | None:
        """The key that is lifted: it has an urgent record, or one behind others of its own, and none that is out."""
        return next((key for key in self._urgent if key not in self._out), None)

    @property
    def oldest(self) -> int | None:
        """The time of the record that came first, in milliseconds as Kafka has it."""
        first = next(iter(self._arrived.values()), None)
        return int(first.record.timestamp) if first else None

    def take(self, *, head: bool = False) -> tuple[Held, bool] | None:
        """Hand out the next record, and say whether it is lifted: urgent, or before an urgent one of its key.

        With `head` the one that came first, whatever else waits. It is out until `release` or `put_back`; None where
        nothing is left but what must wait for one that is out.
        """
        key = None if head else self.next_key
        lifted = key is not None
        if key is None:
            key = next((one.key for one in self._arrived.values() if one.key not in self._out), None)
        if key is None:
            return None
        held = self._queues[key].popleft()
        if not self._queues[key]:
            del self._queues[key]
        self._out[key] = held
        self._counted(held, -1)
        return held, lifted

    def release(self, held: Held) -> None:
        """Forget a record that was handed out: it came to its end, or somebody else keeps the order of its key."""
        if self._out.get(held.key) is held:
            del self._out[held.key], self._arrived[held.place]

    def put_back(self, held: Held) -> None:
        """Take a record that was handed out back to its place; what was let go meanwhile stays away."""
        if self._out.get(held.key) is not held:
            return
        del self._out[held.key]
        self._queues.setdefault(held.key, deque()).appendleft(held)
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
