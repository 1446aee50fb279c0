"""The rows of a partition by offset are those that were archived, whatever was merged, cleared or is being read meanwhile."""

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.codec import encode
from events.records import EnrichedEvent, Enrichment, WebhookEvent
from ops import archive_files
from ops.archive_files import Unreadable, listed
from ops.archive_rows import Wanted, rows
from ops.scan import Span
from sinks.archive.compaction import clear, compact
from sinks.archive.manifest import BrokenManifest
from sinks.archive.storage import Folder
from sinks.archive.writer import PartitionWriter

NOON = datetime(2026, 7, 29, 12, tzinfo=UTC)
EVER = Wanted("received_at", NOON - timedelta(days=1))


def record(offset: int) -> Any:
    """One record a minute; two tenants, and every third happened the day before."""
    event = EnrichedEvent(
        event_id=f"c/{offset}",
        received_at=NOON + timedelta(minutes=offset),
        tenant="ab"[offset % 2],
        event=WebhookEvent(
            type="alert",
            action="created",
            metadata={"created_at": (NOON - timedelta(days=offset % 3 == 0)).isoformat()},
        ),
        enrichment=Enrichment(status="complete"),
    )
    return SimpleNamespace(offset=offset, value=encode(event))


class Archive:
    """One partition, written and merged."""

    def __init__(self, root: Path) -> None:
        self.root, self.writer, self.end = root, PartitionWriter(Folder(root), "t", 0, "w"), 0
        self.writer.claim(log_start=0, log_end=1_000)

    def write(self, count: int) -> None:
        written = self.writer.write([record(n) for n in range(self.end, self.end + count)])
        self.end += count
        self.writer.commit(self.end, written.files)

    def merge(self, *, keep: bool = False) -> None:
        compact(Folder(self.root), "t", 0, "c", None, at_least=2)
        if not keep:
            clear(Folder(self.root), "t", 0, timedelta(0))
        self.writer = PartitionWriter(Folder(self.root), "t", 0, "w")

    def rows(self, start: int = 0, end: int = 1_000, wanted: Wanted = EVER) -> list[int]:
        return [row["kafka_offset"] for row in rows(self.root, "t", 0, Span(start, end), ["record"], wanted)]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    made = Archive(tmp_path)
    for _ in range(10):
        made.write(6)
    return made


STEPS = st.lists(st.one_of(st.integers(1, 9), st.sampled_from(["merge", "merge and keep"])), max_size=12)


@settings(max_examples=15, deadline=None)
@given(steps=STEPS, start=st.integers(0, 40), size=st.integers(0, 40))
def test_every_row_of_a_span_comes_once_and_in_order(steps: list[int | str], start: int, size: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        archive = Archive(Path(folder))
        for step in steps:
            if isinstance(step, int):
                archive.write(step)
            else:
                archive.merge(keep=step != "merge")
        assert archive.rows(start, start + size) == list(range(start, min(start + size, archive.end)))
        found = archive_files.offsets(archive.root, "t", 0, Span(start, 1_000))
        assert (found.lost, found.next_offset) == ({}, archive.end)
        assert found.offsets >= set(range(start, archive.end))


def test_only_what_is_asked_for_is_read(archive: Archive) -> None:
    archive.merge()
    few = Wanted("received_at", NOON + timedelta(minutes=10), NOON + timedelta(minutes=20), {"tenant": "a"})
    assert archive.rows(0, 18, few) == [10, 12, 14, 16]
    (row,) = rows(archive.root, "t", 0, Span(7, 8), ["record"], EVER)
    assert row == {"kafka_offset": 7, "record": record(7).value.decode()}


def test_a_slow_reader_goes_on_in_what_was_merged(archive: Archive) -> None:
    reading = rows(archive.root, "t", 0, Span(0, 1_000), ["record"], EVER)
    begun = [next(reading)["kafka_offset"] for _ in range(20)]
    archive.merge()
    assert begun + [row["kafka_offset"] for row in reading] == list(range(60))


def test_a_file_that_is_gone_is_no_end(archive: Archive) -> None:
    archive.merge()
    (archive.root / listed(archive.root, "t", 0, Span(0, 1_000)).files[0].path).unlink()
    with pytest.raises(Unreadable, match=r"\.parquet is listed and gone"):
        archive.rows()


@pytest.mark.parametrize("damage", ["cut", "holed"])
def test_a_damaged_file_is_named(archive: Archive, damage: str) -> None:
    path = listed(archive.root, "t", 0, Span(0, 1_000)).files[0].path
    data, group = (archive.root / path).read_bytes(), pq.read_metadata(archive.root / path).row_group(0)
    (offsets,) = [group.column(n) for n in range(group.num_columns) if group.column(n).path_in_schema == "kafka_offset"]
    at, size = offsets.data_page_offset, offsets.total_compressed_size
    (archive.root / path).write_bytes(b"PAR1" if damage == "cut" else data[:at] + bytes(size) + data[at + size :])
    with pytest.raises(Unreadable, match=path):
        archive.rows()
    assert archive_files.offsets(archive.root, "t", 0, Span(0, 1_000)).lost.keys() == {path}


def test_a_merged_file_that_is_gone_has_the_offsets_of_those_it_was_made_of(archive: Archive) -> None:
    archive.merge()
    path = listed(archive.root, "t", 0, Span(0, 1_000)).files[0].path
    (archive.root / path).unlink()
    for start in (0, 30):
        found = archive_files.offsets(archive.root, "t", 0, Span(start, 1_000))
        assert found.lost.keys() == {path}
        assert found.lost[path] == Span(0, 60)
        assert len(set(range(60)) - found.offsets) >= 10


def test_only_the_end_of_the_manifest_is_read(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(100):
        archive.write(1)
    read, real = [], archive_files.Manifest.read
    monkeypatch.setattr(archive_files.Manifest, "read", lambda self, seq: (read.append(seq), real(self, seq))[1])
    assert archive.rows(155, 160) == list(range(155, 160))
    assert min(read) > 40
    read.clear()
    assert archive.rows(0, 160, Wanted("received_at", datetime.now(UTC) + timedelta(days=2))) == []
    assert min(read) > 40


def test_an_entry_that_is_missing_is_no_silence(archive: Archive) -> None:
    entries = sorted((archive.root / "manifest" / "t" / "0").iterdir())
    entries[4].unlink()
    with pytest.raises(BrokenManifest, match="does not follow"):
        archive.rows()
    for entry in entries[:4]:
        entry.unlink()
    with pytest.raises(BrokenManifest, match="entry 4 is missing"):
        archive.rows()


def test_where_the_archive_begins(tmp_path: Path) -> None:
    assert listed(tmp_path, "t", 0, Span(0, 9)) == archive_files.Listed()
    writer = PartitionWriter(Folder(tmp_path), "t", 0, "w")
    writer.claim(log_start=5, log_end=100)
    assert listed(tmp_path, "t", 0, Span(0, 9)).begin == 5
    writer.commit(8, writer.write([record(7)]).files)
    writer.claim(log_start=10, log_end=100, accept_gap=True)
    found = listed(tmp_path, "t", 0, Span(0, 20))
    assert (found.begin, found.next_offset, [gap.first_offset for gap in found.gaps]) == (10, 10, [8])
