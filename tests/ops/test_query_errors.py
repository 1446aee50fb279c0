"""A query of an archive that is broken ends in one sentence."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from events.codec import encode
from events.errors import NotReady
from events.records import EnrichedEvent, Enrichment, WebhookEvent
from ops import query
from sinks.archive.settings import ArchiveSettings
from sinks.archive.storage import Folder
from sinks.archive.writer import PartitionWriter

TOPIC = "tocsin.enriched.v1"


def record(offset: int) -> SimpleNamespace:
    made = EnrichedEvent(
        event_id=f"c/{offset}",
        received_at=datetime(2026, 7, 29, tzinfo=UTC),
        event=WebhookEvent(type="alert", action="created"),
        enrichment=Enrichment(status="complete"),
    )
    return SimpleNamespace(offset=offset, value=encode(made))


def first(root: Path, pattern: str) -> Path:
    return min(root.rglob(pattern))


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "a file gone": (lambda root: first(root, "*.parquet").unlink(), "a file that it lists is gone"),
    "a file cut off": (lambda root: first(root, "*.parquet").write_bytes(b"PAR1"), "Could not open Parquet"),
    "an entry damaged": (lambda root: first(root, "*.json").write_bytes(b"{"), "cannot be believed: manifest/"),
    "an entry gone": (lambda root: first(root, "*.json").unlink(), "entry 0 is missing"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_what_is_broken_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    writer = PartitionWriter(Folder(tmp_path), TOPIC, 0, "w")
    writer.claim(log_start=0, log_end=2)
    for offset in range(2):
        writer.commit(offset + 1, writer.write([record(offset)]).files)
    act, said = BROKEN[how]
    act(tmp_path)
    monkeypatch.setenv("ARCHIVE_URL", tmp_path.as_uri())
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "localhost:1")
    with pytest.raises(NotReady, match=said):
        query.run("SELECT count(record) FROM events", "csv", query.Span(), archive=ArchiveSettings(), kafka=None)


def test_a_bucket_that_is_away_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("URL", "s3://bucket/prefix"),
        ("S3_ENDPOINT", "http://127.0.0.1:1"),
        ("S3_ACCESS_KEY_ID", "k"),
        ("S3_SECRET_ACCESS_KEY", "s"),
        ("S3_PATIENCE", "200ms"),
    ):
        monkeypatch.setenv(f"ARCHIVE_{name}", value)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "localhost:1")
    with pytest.raises(NotReady, match="The archive in s3://bucket/prefix cannot be read: "):
        query.run("SELECT 1 FROM events", "csv", query.Span(), archive=ArchiveSettings(), kafka=None)
