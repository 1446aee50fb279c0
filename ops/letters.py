"""Dead letters as an operator sees them: which are open, why they were buried, and what may be done with each."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Literal, NamedTuple, Protocol

from events.headers import FATE, LETTER, KafkaHeaders, as_text, parse_time

Fate = Literal["redriven", "dropped"]

KEPT = timedelta(days=30)
"""How long the topic keeps a letter, as the contract has it."""
WARN = timedelta(days=7)
"""Before a letter leaves Kafka for good."""

JOB = "job-id"
"""Header of an entry of the ledger, beside its fate and its letter's offset."""


class Record(Protocol):
    """What Kafka hands over, as far as it is looked at here."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    headers: KafkaHeaders


class Place(NamedTuple):
    """Where a letter lies in the dead letters topic."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}/{self.offset}"


@dataclass(frozen=True)
class Letter:
    """One letter, without its value."""

    place: Place
    stage: str
    target: str
    reason: str
    key: str
    source: str
    attempts: int
    first_at: datetime
    last_at: datetime
    buried_at: datetime

    @property
    def cause(self) -> tuple[str, str, str]:
        """What letters are grouped by."""
        return self.stage, self.target, self.reason


@dataclass
class Wanted:
    """Which letters are meant; what is empty does not narrow."""

    stage: str = ""
    target: str = ""
    reason: str = ""
    alert: str = ""
    since: datetime | None = None
    until: datetime | None = None
    places: frozenset[Place] = frozenset()

    def has(self, letter: Letter) -> bool:
        """Say whether a letter is meant."""
        return (
            (not self.stage or letter.stage == self.stage)
            and (not self.target or letter.target == self.target)
            and (not self.reason or fnmatchcase(letter.reason.lower(), f"*{self.reason.lower()}*"))
            and (not self.alert or letter.key == self.alert.lower())
            and (self.since is None or letter.last_at >= self.since)
            and (self.until is None or letter.last_at < self.until)
            and (not self.places or letter.place in self.places)
        )


@dataclass
class Box:
    """The letters of the topic, and what the ledger says of them."""

    letters: dict[Place, Letter] = field(default_factory=dict)
    fates: dict[Place, Fate] = field(default_factory=dict)

    def take(self, record: Record) -> None:
        """Take a record of the topic: a letter, an entry of the ledger, or what is neither and is passed over."""
        headers = as_text(record.headers)
        if (fate := headers.get(FATE)) in ("redriven", "dropped"):
            place = Place(record.partition, int(headers[LETTER]))
            self.fates[place] = fate  # type: ignore[assignment]
        elif letter := read(record, headers):
            self.letters[letter.place] = letter

    def open(self, wanted: Wanted) -> list[Letter]:
        """Return the letters nobody has dealt with yet, the oldest first."""
        found = [each for place, each in self.letters.items() if place not in self.fates and wanted.has(each)]
        return sorted(found, key=lambda each: (each.buried_at, each.place))


def read(record: Record, headers: dict[str, str]) -> Letter | None:
    """Read a letter's headers; None for a record that is none."""
    if "stage" not in headers:
        return None
    buried_at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
    attempts = headers.get("attempts", "1")
    source = "/".join(headers.get(f"source-{part}", "?") for part in ("topic", "partition", "offset"))
    return Letter(
        place=Place(record.partition, record.offset),
        stage=headers["stage"],
        target=headers.get("target", ""),
        reason=headers.get("reason", ""),
        key=(record.key or b"").decode("utf-8", "replace"),
        source=source,
        attempts=int(attempts) if attempts.isdecimal() else 1,
        first_at=parse_time(headers.get("first-at")) or buried_at,
        last_at=parse_time(headers.get("last-at")) or buried_at,
        buried_at=buried_at,
    )


@dataclass
class Group:
    """Letters of one cause."""

    stage: str
    target: str
    reason: str
    count: int
    example: str
    first_at: datetime
    last_at: datetime


def grouped(letters: Iterable[Letter]) -> list[Group]:
    """Return the causes, the most frequent first."""
    groups: dict[tuple[str, str, str], Group] = {}
    for each in letters:
        group = groups.setdefault(each.cause, Group(*each.cause, 0, str(each.place), each.first_at, each.last_at))
        group.count += 1
        group.first_at = min(group.first_at, each.first_at)
        group.last_at = max(group.last_at, each.last_at)
    return sorted(groups.values(), key=lambda group: -group.count)


def leaving(letters: Iterable[Letter], now: datetime) -> tuple[int, timedelta] | None:
    """Return how many letters leave Kafka within WARN, and when the first does; None when none does."""
    rest = [each.buried_at + KEPT - now for each in letters]
    soon = [each for each in rest if each < WARN]
    return (len(soon), min(soon)) if soon else None
