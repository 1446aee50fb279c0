"""The archive as an index: newest files first, every partition, and the truth about what was not looked into."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from events.codec import encode
from events.records import EnrichedEvent, Enrichment, WebhookEvent
from ops import archive_index, life_find
from sinks.archive import compaction
from sinks.archive.manifest import DataFile
from sinks.archive.storage import Folder
from sinks.archive.writer import PartitionWriter

AT = datetime(2026, 7, 29, 8, tzinfo=UTC)
TOPIC = "t"


def record(offset: int, name: str) -> SimpleNamespace:
    attributes = {"uuid": f"u-{name}", "short_id": f"AL{name}"}
    event = WebhookEvent(type="alert", action="created", attributes=attributes)
    made = EnrichedEvent(event_id=f"c/{name}", received_at=AT, event=event, enrichment=Enrichment(status="complete"))
    return SimpleNamespace(offset=offset, value=encode(made))


def fill(root: Path, partition: int, files: int) -> list[DataFile]:
    """Write so many files of one record each."""
    writer, written = PartitionWriter(Folder(root), TOPIC, partition, "w"), []
    writer.claim(log_start=0, log_end=files)
    for offset in range(files):
        made = writer.write([record(offset, f"{partition}x{offset}")]).files
        writer.commit(offset + 1, made)
        written += made
    return written


def search(root: Path, name: str, seconds: float = 60.0, *columns: str) -> archive_index.Found:
    asked = columns or ("short_id",)
    return archive_index.search(root, TOPIC, [0, 1], asked, name, seconds, first=True)


def test_a_short_id_is_found_in_the_oldest_file_of_any_partition(tmp_path: Path) -> None:
    files = [fill(tmp_path, 0, 3), fill(tmp_path, 1, 5)]
    for partition, offset in ((0, 0), (1, 0), (1, 4)):
        (row,) = search(tmp_path, f"AL{partition}x{offset}").rows
        found = (row.partition, row.offset, row.alert_uuid, row.path)
        assert found == (partition, offset, f"u-{partition}x{offset}", files[partition][offset].path)
    (row,) = search(tmp_path, "c/1x2", 60.0, "short_id", "event_id").rows
    assert row.offset == 2
    nothing = search(tmp_path, "ALnobody")
    assert (nothing.rows, nothing.back_to, nothing.next_offsets) == ([], None, {0: 3, 1: 5})


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    fill(tmp_path, 0, 1)
    (gone, _) = fill(tmp_path, 1, 2)
    (tmp_path / gone.path).unlink()
    assert search(tmp_path, "ALnobody").gone == [gone.path]


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    fill(tmp_path, 0, 1)
    (cut_off, _) = fill(tmp_path, 1, 2)
    (tmp_path / cut_off.path).write_bytes((tmp_path / cut_off.path).read_bytes()[:100])
    assert search(tmp_path, "ALnobody").unread == [cut_off.path]
    assert search(tmp_path, "AL0x0").rows


@pytest.mark.parametrize("first", [True, False])
def test_days_that_were_merged_are_searched_without_their_entries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    (path, *_) = fill(tmp_path, 0, 20)
    compaction.compact(Folder(tmp_path), TOPIC, 0, "w", None, at_least=2)
    compaction.clear(Folder(tmp_path), TOPIC, 0, timedelta(0))
    shutil.copy(next(tmp_path.rglob("*.parquet")), (tmp_path / path.path).with_name(f"{TOPIC}-0-900-90.parquet"))
    # No time for a second entry, and the first one lists nothing that is still there.
    monkeypatch.setattr(archive_index._Search, "entries", lambda *_, **__: AT + timedelta(days=1))
    found = archive_index.search(tmp_path, TOPIC, [0, 1], ["short_id"], "AL0x3", 60.0, first=first)
    assert [(row.offset, row.alert_uuid) for row in found.rows] == [(3, "u-0x3")]
    assert found.back_to is None


def test_what_there_was_no_time_for_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, 0, 3)

    def clock() -> Iterator[float]:
        yield 0.0
        while True:
            yield 10.0

    ticks = clock()
    monkeypatch.setattr(archive_index.time, "monotonic", lambda: next(ticks))
    found = search(tmp_path, "AL0x0", 5.0)
    assert not found.rows
    assert found.back_to is not None
    said = life_find.nowhere("AL0x0", None, found)
    assert f"looked through back to {found.back_to:%Y-%m-%d %H:%M} UTC only, nor in the newest" in said
    assert "only" not in life_find.nowhere("AL0x0", None, search(tmp_path, "ALnobody"))
    assert life_find.nowhere("AL0x0", AT, None).startswith("Nothing named AL0x0 is in everything since 2026")
