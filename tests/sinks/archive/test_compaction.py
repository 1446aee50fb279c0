"""Small files become large ones: every row is still there once, whoever dies or writes meanwhile."""

import shutil
from datetime import timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from ops.archive_verify import verify
from ops.cli import app
from sinks.archive import compaction
from sinks.archive.compaction import clear, compact
from sinks.archive.manifest import Superseded
from sinks.archive.read import entries, files, read_rows
from sinks.archive.rows import SCHEMA
from sinks.archive.storage import Folder
from sinks.archive.sweep import sweep
from sinks.archive.writer import PartitionWriter


@pytest.fixture
def writer(tmp_path, records):
    """Ten entries of six records: two tenants, each with a day and the one before."""
    writer = PartitionWriter(Folder(tmp_path), "t", 0, "w")
    writer.claim(log_start=0, log_end=100)
    for first in range(0, 60, 6):
        writer.commit(first + 6, writer.write(records(first, first + 6)).files)
    return writer


def offsets(root) -> list[int]:
    return sorted(read_rows(root, ["kafka_offset"])["kafka_offset"].to_pylist())


def test_one_file_for_each_day(writer, tmp_path):
    store, before = Folder(tmp_path), files(tmp_path)
    table = read_rows(tmp_path).sort_by("kafka_offset")
    assert compact(store, "t", 0, "c", None, at_least=8) == len(before) == 40
    assert len(files(tmp_path)) == 4
    assert read_rows(tmp_path).sort_by("kafka_offset").equals(table)
    assert {path.parent for path in files(tmp_path)} == {path.parent for path in before}
    assert compact(store, "t", 0, "c", None, at_least=8) == 0
    assert verify(store).problems == []
    assert (verify(store).files, verify(store).rows) == (4, 60)
    assert clear(store, "t", 0, timedelta(hours=1)) == 0
    assert all(path.exists() for path in before)
    assert clear(store, "t", 0, timedelta(0)) == 40
    assert clear(store, "t", 0, timedelta(0)) == 0
    assert sorted(tmp_path.rglob("*.parquet")) == sorted(files(tmp_path))
    assert verify(store).problems == []
    assert offsets(tmp_path) == list(range(60))


def test_no_file_gets_more_rows_than_can_be_sorted_at_once(tmp_path, records, monkeypatch):
    """Text of more than 2 GB in one column ended the archive's process, each time it came to that day."""
    monkeypatch.setattr(compaction, "SMALL_ROWS", 5)
    monkeypatch.setattr(compaction, "LARGE_ROWS", 10)
    store, writer = Folder(tmp_path), PartitionWriter(Folder(tmp_path), "t", 0, "w")
    writer.claim(log_start=0, log_end=200)
    for first in range(0, 120, 12):  # two or four rows of each tenant and day
        writer.commit(first + 12, writer.write(records(first, first + 12)).files)
    assert compact(store, "t", 0, "c", None, at_least=8) == 40
    assert {pq.ParquetFile(path).metadata.num_rows for path in files(tmp_path)} == {8, 10}
    assert compact(store, "t", 0, "c", None, at_least=2) == 0
    assert offsets(tmp_path) == list(range(120))


def test_who_was_writing_ends_uncommitted_and_goes_on(writer, tmp_path, records):
    store = Folder(tmp_path)
    written = writer.write(records(60, 66))
    compact(store, "t", 0, "c", None, at_least=8)
    with pytest.raises(Superseded):
        writer.commit(66, written.files)
    again = PartitionWriter(store, "t", 0, "w2")
    assert again.claim(log_start=0, log_end=100) == 60
    sweep(store, "t", {0: again.next_seq})
    again.commit(66, again.write(records(60, 66)).files)
    assert offsets(tmp_path) == list(range(66))
    clear(store, "t", 0, timedelta(0))
    assert sorted(tmp_path.rglob("*.parquet")) == sorted(files(tmp_path))


def test_a_writer_that_was_faster_wins(writer, tmp_path, records, monkeypatch):
    merge = compaction._merge

    def meanwhile(*given):
        made = merge(*given)
        if writer.next_offset == 60:
            writer.commit(66, writer.write(records(60, 66)).files)
        return made

    monkeypatch.setattr(compaction, "_merge", meanwhile)
    with pytest.raises(Superseded):
        compact(Folder(tmp_path), "t", 0, "c", None, at_least=8)
    assert offsets(tmp_path) == list(range(66))
    assert sorted(tmp_path.rglob("*.parquet")) == sorted(files(tmp_path))


@pytest.mark.parametrize("when", ["before", "middle", "after"])
def test_who_dies_on_the_way_leaves_it_as_it_was_or_done(tmp_path, records, dying_disk, died, when):
    writer = PartitionWriter(Folder(tmp_path), "t", 0, "w")
    writer.claim(log_start=0, log_end=100)
    for first in (0, 6):
        writer.commit(first + 6, writer.write(records(first, first + 6)).files)
    for step in range(100):
        root = tmp_path.with_name(f"{tmp_path.name}-{step}")
        shutil.copytree(tmp_path, root)
        dead = False
        try:
            compact(Folder(root, dying_disk(step, when)), "t", 0, "c", None, at_least=2)
        except died:
            dead = True
        assert offsets(root) == list(range(12)), step
        again = PartitionWriter(Folder(root), "t", 0, "w2")
        assert again.claim(log_start=0, log_end=100) == 12
        sweep(Folder(root), "t", {0: again.next_seq})
        clear(Folder(root), "t", 0, timedelta(0))
        assert offsets(root) == list(range(12)), step
        assert sorted(root.rglob("*.parquet")) == sorted(files(root))
        shutil.rmtree(root)
        if not dead:
            break
    assert 5 < step < 99


def test_a_column_that_came_later_is_null_before(writer, tmp_path):
    """Schema evolution: a file of before a column is merged with one of after it."""
    listed = [file for entry in entries(tmp_path) for file in entry.files]
    old = tmp_path / listed[0].path
    pq.write_table(pq.ParquetFile(old).read().drop_columns(["link", "hook"]), old)
    compact(Folder(tmp_path), "t", 0, "c", None, at_least=2)
    assert offsets(tmp_path) == list(range(60))
    assert all(pq.read_schema(path).equals(SCHEMA) for path in files(tmp_path))
    assert isinstance(read_rows(tmp_path), pa.Table)


def test_the_command(writer, tmp_path, monkeypatch):
    monkeypatch.setenv("ARCHIVE_URL", tmp_path.as_uri())
    assert CliRunner().invoke(app, ["archive", "compact"]).output == "merged=40 deleted=0\n"
    assert CliRunner().invoke(app, ["archive", "compact", "--keep", "0s"]).output == "merged=0 deleted=40\n"
