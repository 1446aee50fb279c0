"""Answers of the Alert API, kept for a while and bounded by what they take in memory."""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

OVERHEAD = 500
"""Bytes an answer takes beside the alert."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An alert as JSON, and when it was asked for."""

    alert: bytes
    fetched_at: datetime
    short_id: str | None = None
    assets: tuple[str, ...] = ()
    urgency: Any = None
    """As the alert states it, whatever that is."""


def read(alert: dict[str, Any] | None, asked_at: datetime) -> Answer | None:
    """Return an alert as it is kept; one nested too deep to be written is none."""
    if alert is None:
        return None
    try:
        value = orjson.dumps(alert)
    except TypeError:
        return None
    short_id, assets = alert.get("short_id"), alert.get("assets")
    named = tuple(each for each in assets if isinstance(each, str)) if isinstance(assets, list) else ()
    urgency = alert.get("urgency")
    stated = urgency.get("current_value") if isinstance(urgency, dict) else None
    return Answer(value, asked_at, short_id if isinstance(short_id, str) else None, named, stated)


class Cache:
    """The answers used last, up to `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._answers: OrderedDict[str, Answer] = OrderedDict()
        self.size = 0

    def get(self, uuid: str, since: datetime) -> Answer | None:
        """Return an alert as it was at `since` or later; an event never gets an answer from before it happened."""
        answer = self._answers.get(uuid)
        if answer is None or answer.fetched_at < since:
            return None
        self._answers.move_to_end(uuid)
        return answer

    def put(self, uuid: str, answer: Answer) -> None:
        """Keep an answer, unless a newer one is there."""
        known = self._answers.pop(uuid, None)
        if known:
            self.size -= len(known.alert) + OVERHEAD
            answer = max(known, answer, key=lambda each: each.fetched_at)
        self._answers[uuid] = answer
        self.size += len(answer.alert) + OVERHEAD
        while self.size > self._limit:
            _, oldest = self._answers.popitem(last=False)
            self.size -= len(oldest.alert) + OVERHEAD
