"""What was found about one entity key, and how much was read for it."""

from dataclasses import dataclass, field

from aiokafka import ConsumerRecord

from events.headers import RawHeaders
from ops.archive_index import Archived, Found


@dataclass
class Bound:
    """How much of a topic's partition was read, and chosen how."""

    topic: str
    partition: int
    read: int
    of: int
    how: str


@dataclass
class Material:
    """Everything found that carries the key."""

    key: str
    partition: int
    raw: list[ConsumerRecord | Archived] = field(default_factory=list)
    enriched: list[ConsumerRecord] = field(default_factory=list)
    receipts: list[ConsumerRecord | Archived] = field(default_factory=list)
    letters: list[ConsumerRecord] = field(default_factory=list)
    """Of the whole span: the ledger's entries carry no key of their own."""
    redeliveries: list[ConsumerRecord] = field(default_factory=list)
    receipts_whole: bool = False
    """Every receipt since the first known record was looked at: one that was not found is not there."""
    archived: Found = field(default_factory=Found)
    spooled: list[RawHeaders] = field(default_factory=list)
    bounds: list[Bound] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
