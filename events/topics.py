"""The topics: their names, sizes and settings."""

from dataclasses import dataclass
from datetime import timedelta

from events.settings import KafkaSettings

MAX_BODY = 256 * 1024
"""Bytes of the largest webhook body ingest takes and the stream decodes."""

MAX_ENRICHED = 1024 * 1024
"""Bytes of the largest enriched record; above it the stream trims the alert."""


@dataclass(frozen=True)
class Topic:
    """One topic of the contract, ready to be created or checked."""

    name: str
    partitions: int
    config: dict[str, str]


@dataclass(frozen=True)
class Topics:
    """The topics under one prefix, by what they hold."""

    prefix: str = "tocsin."

    @property
    def raw(self) -> str:
        """Webhook bodies, byte for byte."""
        return f"{self.prefix}raw.v1"

    @property
    def enriched(self) -> str:
        """One record per event; written in transactions, so read it `read_committed`."""
        return f"{self.prefix}enriched.v1"

    @property
    def marks(self) -> str:
        """Checkpoints of the stream's dedupe marks."""
        return f"{self.prefix}marks.v1"

    @property
    def redeliveries(self) -> str:
        """Enriched records meant for one target: replay, redrive, mend."""
        return f"{self.prefix}redeliveries.v1"

    @property
    def dead_letters(self) -> str:
        """Records that can never be handled, byte for byte, with their reason and origin in the headers."""
        return f"{self.prefix}dead-letters.v1"

    @property
    def deliveries(self) -> str:
        """Receipts: what became of an event at a target."""
        return f"{self.prefix}deliveries.v1"

    @property
    def archive_heads(self) -> str:
        """Hashes that vouch for the archive, kept for ever."""
        return f"{self.prefix}archive-heads.v1"


def contract(kafka: KafkaSettings) -> list[Topic]:
    """Return every topic of the pipeline with the settings it must have."""
    names = Topics(kafka.topic_prefix)

    def topic(name: str, *, days: int, max_bytes: int, **config: str) -> Topic:
        retention = {"cleanup.policy": "delete", "retention.ms": _milliseconds(timedelta(days=days))}
        settings = (
            retention | {"max.message.bytes": str(max_bytes)} | {k.replace("_", "."): v for k, v in config.items()}
        )
        return Topic(name, kafka.partitions, settings)

    return [
        topic(names.raw, days=14, max_bytes=512 * 1024),
        # LogAppendTime: marks are restored by time, and the producer's clock must not decide what is found.
        topic(names.enriched, days=30, max_bytes=2 * MAX_ENRICHED, message_timestamp_type="LogAppendTime"),
        Topic(names.marks, kafka.partitions, {"cleanup.policy": "compact", "max.message.bytes": str(MAX_ENRICHED)}),
        topic(names.redeliveries, days=7, max_bytes=2 * MAX_ENRICHED),
        topic(names.dead_letters, days=30, max_bytes=2 * 1024 * 1024),
        topic(names.deliveries, days=30, max_bytes=MAX_ENRICHED),
        Topic(
            names.archive_heads,
            kafka.partitions,
            {"cleanup.policy": "delete", "retention.ms": "-1", "max.message.bytes": str(MAX_ENRICHED)},
        ),
    ]


def _milliseconds(span: timedelta) -> str:
    return str(int(span.total_seconds() * 1000))
