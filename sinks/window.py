"""The records read ahead: bounded, urgent first, in order per alert."""

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Any

import orjson

from sinks.receipts import Record

URGENT = 80
"""From here on an alert is urgent: the level a person reads in a message."""

_Key = tuple[int, bytes | int]


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


@dataclass(frozen=True, slots=True)
class Held:
    """A record that waits for its turn."""

    record: Any
    urgent: bool
    key: _Key
    size: int


class Window:
    """Records read and not yet in anybody's hands."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._queues: dict[_Key, deque[Held]] = {}
        self._urgent: OrderedDict[_Key, int] = OrderedDict()
        self._arrived: deque[Held] = deque()
        self._taken: set[tuple[int, int]] = set()
        self._count = self._bytes = 0

    def __len__(self) -> int:
        return self._count

    @property
    def full(self) -> bool:
        """Whether no more may be read; one record more than the bounds is held at most a batch long."""
        return self._count >= self._most or self._bytes >= self._most_bytes

    def add(self, record: Record, *, urgent: bool) -> None:
        """Take a record in; its key's records come out in the order they came in."""
        key = (record.partition, record.offset if record.key is None else record.key)
        held = Held(record, urgent, key, len(record.value or b""))
        self._queues.setdefault(key, deque()).append(held)
        self._arrived.append(held)
        if urgent:
            self._urgent[key] = self._urgent.get(key, 0) + 1
        self._count += 1
        self._bytes += held.size

    def take(self) -> tuple[Held, bool] | None:
        """Return the next record, and whether it is lifted: urgent, or before an urgent one of its key."""
        while self._arrived and self._place(self._arrived[0]) in self._taken:
            self._taken.discard(self._place(self._arrived.popleft()))
        if not self._arrived:
            return None
        lifted = bool(self._urgent)
        key = next(iter(self._urgent)) if lifted else self._arrived[0].key
        held = self._queues[key].popleft()
        if not self._queues[key]:
            del self._queues[key]
        if held.urgent:
            self._urgent[key] -= 1
            if not self._urgent[key]:
                del self._urgent[key]
        self._taken.add(self._place(held))
        self._count -= 1
        self._bytes -= held.size
        return held, lifted

    def clear(self) -> None:
        """Let all go."""
        self.__init__(self._most, self._most_bytes)  # type: ignore[misc]

    @staticmethod
    def _place(held: Held) -> tuple[int, int]:
        return held.record.partition, held.record.offset
