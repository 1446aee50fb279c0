"""Readers believe the manifest, never the folder; and files written years apart read as one table."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sinks.archive import rows
from sinks.archive.manifest import BrokenManifest
from sinks.archive.read import entries, files, read_rows
from sinks.archive.storage import Folder
from sinks.archive.writer import PartitionWriter


@pytest.fixture
def root(tmp_path, records):
    """Return an archive of two entries of four files each."""
    writer = PartitionWriter(Folder(tmp_path), "t", 0, "w")
    writer.claim(log_start=0, log_end=12)
    writer.commit(6, writer.write(records(0, 6)).files)
    writer.commit(12, writer.write(records(6, 12)).files)
    return tmp_path


def test_an_empty_archive_is_an_empty_table(tmp_path):
    assert read_rows(tmp_path).schema == rows.SCHEMA
    assert read_rows(tmp_path / "none", ["event_id"]).num_rows == 0
    assert files(tmp_path) == []


def test_files_nobody_listed_are_not_there(root, offsets):
    listed = files(root)[0]
    listed.with_name("t-0-0-9.parquet").write_bytes(listed.read_bytes())
    listed.with_name("notes.parquet").write_bytes(b"x")
    (root / "manifest" / "t" / "notes").mkdir()
    (root / "manifest" / "t" / "0" / "notes.json").write_bytes(b"x")
    assert offsets(root) == list(range(12))


def test_a_listed_file_that_is_gone_is_not_passed_over(root):
    files(root)[3].unlink()
    with pytest.raises(FileNotFoundError):
        read_rows(root)


def test_a_missing_entry_is_not_passed_over(root):
    (root / "manifest/t/0/000000000001.json").unlink()
    with pytest.raises(BrokenManifest, match="entry 1 is missing"):
        list(entries(root))


def test_only_the_columns_asked_for(root):
    assert read_rows(root, ["tenant", "kafka_offset"]).column_names == ["tenant", "kafka_offset"]


def test_files_of_a_later_version_with_more_columns(root):
    later = files(root)[0]
    table = pq.ParquetFile(later).read()
    pq.write_table(table.append_column("severity", pa.array(["high"] * table.num_rows)), later)
    found = read_rows(root)
    assert found.column_names == [*rows.SCHEMA.names, "severity"]
    assert found.num_rows == 12
    assert found["severity"].to_pylist().count("high") == table.num_rows


def test_other_engines_read_the_listed_files_and_the_folders_names(root):
    """As DuckDB and Spark do: the day is a column of the path, the tenant of both, and they agree."""
    dataset = pytest.importorskip("pyarrow.dataset")
    found = dataset.dataset(
        [str(path) for path in files(root)], partitioning="hive", partition_base_dir=str(root / "enriched")
    )
    table = found.to_table(filter=(dataset.field("tenant") == "b") & (dataset.field("date") == "2026-07-28"))
    assert sorted(table["kafka_offset"].to_pylist()) == [3, 9]
