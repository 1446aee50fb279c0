"""The history a drill makes up: what came in, what was made of it, who was told, and what is left out on purpose."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from events.headers import RawHeaders
from ingest.partitioner import partition_of
from sandbox import sample_alerts
from sandbox.history_forms import Form, Known
from sandbox.tenant import Tenant

FORMS = 200
"""Alerts that are drawn; the others differ from them in names and times only."""
TARGET, BACKFILL = "soar", "backfill"
"""The target that was told all the while, and one that somebody attached late."""
URGENT = 70
"""What the late target is to get of the span that is replayed."""
TWICE, TRIED = 0.01, 0.1
"""Parts: of the webhooks those that came twice, and of the urgent events those the late target was tried out with."""
SPAN_OF_REPLAY = 60_000
"""Records that came in during the span that is replayed, at most; else a quarter of all."""


@dataclass(frozen=True)
class Size:
    """How much is made, and from when to when it came in."""

    records: int
    begin: datetime
    end: datetime
    seed: int = 7
    partitions: int = 12

    @property
    def alerts(self) -> int:
        """How many alerts: each is created, and updated half a second later."""
        return self.records // 2

    @property
    def gaps(self) -> int:
        """How many enriched records and receipts are left out; of webhooks five times as many."""
        return max(2, min(20, self.records // 500))

    @property
    def first_replayed(self) -> int:
        """Number of the first alert in the span that is replayed."""
        return self.alerts - int(self.alerts * min(0.25, SPAN_OF_REPLAY / self.records))

    def at(self, number: int) -> datetime:
        """Return when an alert was created."""
        return self.begin + (self.end - self.begin) / self.alerts * number


@dataclass
class Planted:
    """What is missing, by name, and what a replay must send."""

    webhooks: list[Known] = field(default_factory=list)
    enriched: dict[str, str] = field(default_factory=dict)
    """Event id and alert of what the stream has lost."""
    receipts: dict[str, str] = field(default_factory=dict)
    """Event id and alert of what was told and is written down nowhere."""
    files: list[str] = field(default_factory=list)
    expected: set[str] = field(default_factory=set)
    """Events of the span that are meant for the late target, and that it does not have."""
    whole: list[Known] = field(default_factory=list)
    """Alerts of which nothing is missing."""


class Made(NamedTuple):
    """One event in every topic."""

    partition: int
    key: bytes
    at: int
    """When it came in, in milliseconds since 1970."""
    raw: tuple[bytes, list[tuple[str, bytes]]]
    copies: int
    """How often it came."""
    enriched: tuple[bytes, list[tuple[str, bytes]]] | None
    receipts: Sequence[bytes]


class History:
    """Draws the events in the order they came in."""

    def __init__(self, size: Size, tenant: Tenant, known: Sequence[Known], rules_version: str) -> None:
        """Take the alerts of which the API tells too; they are spread evenly, as `at` has it."""
        self.planted = Planted()
        self._size, self._tenant = size, tenant
        self._rng = random.Random(f"history {size.seed}")
        self._forms = [Form(self._rng, tenant, rules_version) for _ in range(FORMS)]
        self._known = dict(zip(spread(size, len(known)), known, strict=True))
        taken = set(self._known)
        # What is mended of them is enriched late; a replay of the span then would send it too, or, an hour late, not.
        self._lost = self._pick(range(size.first_replayed), taken)
        self._untold = self._pick(range(size.first_replayed, size.alerts), taken)
        self._whole = self._pick(range(size.alerts), taken)

    def events(self) -> Iterator[Made]:
        """Yield every event; what is planted is known when all have been yielded."""
        for number in range(self._size.alerts):
            at, form = self._size.at(number), self._rng.choice(self._forms)
            drawn = Known(sample_alerts.draw_uuid(self._rng), f"AL{number:010d}", int(at.timestamp()))
            alert = self._known.get(number, drawn)
            if number in self._whole:
                self.planted.whole.append(alert)
            yield self._event(number, form, alert, "created", at)
            yield self._event(number, form, alert, "updated", at + timedelta(seconds=0.5))

    def _event(self, number: int, form: Form, alert: Known, action: str, at: datetime) -> Made:
        event, key = sample_alerts.draw_uuid(self._rng), alert.uuid.encode()
        event_id = f"{self._tenant.community_uuid}/{event}"
        lost, untold = (action == "updated" and number in chosen for chosen in (self._lost, self._untold))
        if lost:
            self.planted.enriched[event_id] = alert.uuid
        if untold:
            self.planted.receipts[event_id] = alert.uuid
        targets = [] if lost or untold else [TARGET]
        if at >= self._size.at(self._size.first_replayed) and form.urgency >= URGENT and not lost:
            if self._rng.random() < TRIED:
                targets.append(BACKFILL)
            else:
                self.planted.expected.add(event_id)
        headers = form.headers(action, alert, event_id, at)
        return Made(
            partition_of(key, self._size.partitions),
            key,
            int(at.timestamp() * 1000),
            (form.raw(action, alert, event, at), RawHeaders(event_id, "vendor", event, at, hook="drill").to_kafka()),
            1 + (self._rng.random() < TWICE),
            None if lost else (form.enriched(action, alert, event, at), headers),
            [form.receipt(target, alert, event, at) for target in targets],
        )

    def _pick(self, numbers: range, taken: set[int]) -> set[int]:
        drawn = self._rng.sample(numbers, k=min(len(numbers), 20 * self._size.gaps))
        picked = {number for number in drawn if number not in taken}
        picked = set(sorted(picked)[:: max(1, len(picked) // self._size.gaps)][: self._size.gaps])
        taken |= picked
        return picked


def spread(size: Size, count: int) -> list[int]:
    """Return the numbers of so many alerts, evenly over all."""
    return [size.alerts * each // count for each in range(count)]
