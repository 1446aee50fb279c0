"""What an account of the pipeline is made of: counts by stage, gaps by name, and the limits of what is judged."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ops.life_targets import Place
from ops.scan import Span

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

    def __post_init__(self) -> None:
        """Reckon in the milliseconds of Kafka: this is asked of millions."""
        self._since, self._until = self.since.timestamp() * 1000, self.until.timestamp() * 1000

    def judges(self, timestamp: int) -> bool:
        """Say whether a record of that time, in milliseconds, is in question."""
        return self._since <= timestamp < self._until
