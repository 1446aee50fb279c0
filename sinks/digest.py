"""Many events as one message: what a budget cannot carry one by one."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from heapq import heappush, heappushpop
from typing import Any, NamedTuple

from events.records import EnrichedEvent, Enrichment, WebhookEvent
from sinks.digest_text import TYPE
from sinks.fields import similar
from sinks.receipts import Record
from sinks.rules import Decision
from sinks.summary import headline, obj, urgency
from sinks.text import clean
from sinks.window import Key, key_of

_SHOWN = 5
"""How many rules and entities are named with their counts."""

_TITLE, _ID = 80, 200


class Prepared(NamedTuple):
    """A record whose event a target is to be told of."""

    record: Record
    event: EnrichedEvent
    decision: Decision
    urgent: bool
    again: bool = False
    """Whether it was being posted when a sink was cut off."""


class Folded(NamedTuple):
    """What is kept of a record in a digest: enough for its receipt."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    event_id: str
    revision: int
    alert: str | None
    decision: Decision
    received_at: datetime
    similar: float | None
    urgent: bool
    again: bool


@dataclass
class Digest:
    """Events that become one message, in the order they came in; once `sealed` nothing more is folded in."""

    named: int
    """How many can be named one by one: the most urgent, of equals the first."""
    folded: list[Folded] = field(default_factory=list)
    sealed: bool = False
    urgent: int = 0
    _highest: int | None = None
    _keys: set[Key] = field(default_factory=set)
    _id: Any = field(default_factory=hashlib.sha256)
    _levels: Counter[str] = field(default_factory=Counter)
    _rules: Counter[str] = field(default_factory=Counter)
    _entities: Counter[str] = field(default_factory=Counter)
    _top: list[tuple[int, int, dict[str, Any]]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.folded)

    def holds(self, key: Key) -> bool:
        """Say whether it has a record of this key: a later one may not be told before it."""
        return key in self._keys

    def fold(self, prepared: Prepared) -> None:
        """Take an event in; its body is let go."""
        record, event = prepared.record, prepared.event
        self.folded.append(
            Folded(
                record.topic,
                record.partition,
                record.offset,
                record.key,
                event.event_id,
                event.revision,
                event.event.alert_uuid,
                prepared.decision,
                event.received_at,
                similar(event),
                prepared.urgent,
                prepared.again,
            )
        )
        self._id.update(f"{event.event_id}\0{event.revision}\0".encode("utf-8", "surrogatepass"))
        self._keys.add(key_of(record))
        self.urgent += prepared.urgent
        known = urgency(event)
        if known:
            self._highest = max(known.value, self._highest or 0)
        self._levels[known.level if known else "Not known"] += 1
        self._rules.update(prepared.decision.rules)
        if entity := clean(obj(event.alert, "entity").get("name"), _TITLE):
            self._entities[entity] += 1
        self._name(event, (known.value if known else 100) + (1000 if prepared.urgent else 0))

    def _name(self, event: EnrichedEvent, rank: int) -> None:
        place = (rank, -len(self.folded))
        if len(self._top) < self.named:
            heappush(self._top, (*place, _item(event)))
        elif place > self._top[0][:2]:
            heappushpop(self._top, (*place, _item(event)))

    @property
    def id(self) -> str:
        """The same events in the same order make the same id, whoever digests them."""
        return f"digest-{self._id.hexdigest()[:32]}"

    def event(self, *, bare: bool = False) -> EnrichedEvent:
        """Return the event that stands for all of them; `bare` without a word from outside."""
        items = [] if bare else [item for *_, item in sorted(self._top, key=lambda one: (-one[0], -one[1]))]
        times = [one.received_at for one in self.folded]
        attributes: dict[str, Any] = {
            "uuid": self.id,
            "count": len(self.folded),
            "urgent": self.urgent,
            "first_received_at": _iso(min(times)),
            "last_received_at": _iso(max(times)),
            "levels": dict(self._levels.most_common()),
            "rules": {} if bare else dict(self._rules.most_common(_SHOWN)),
            "entities": {} if bare else dict(self._entities.most_common(_SHOWN)),
            "events": items,
        }
        if self._highest is not None:
            attributes["urgency_current_value"] = self._highest
        return EnrichedEvent(
            event_id=self.id,
            received_at=max(times),
            origin=TYPE,
            event=WebhookEvent(type=TYPE, action="created", attributes=attributes),
            enrichment=Enrichment(status="not_applicable"),
        )


def _item(event: EnrichedEvent) -> dict[str, Any]:
    title, kind, link = headline(event)
    return {
        "event_id": event.event_id[:_ID],
        "alert_uuid": event.event.alert_uuid,
        "short_id": clean(event.event.short_id, _TITLE),
        "kind": kind,
        "title": clean(title, _TITLE),
        "urgency": event.urgency,
        "link": link,
    }


def _iso(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="seconds")
