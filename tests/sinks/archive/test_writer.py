"""A claim takes a partition over, files count with the entry that lists them, and every row is one record."""

import errno
import hashlib
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from events.errors import NotReady
from sinks.archive import rows
from sinks.archive.manifest import Manifest, Superseded
from sinks.archive.read import entries, files, gaps, read_rows
from sinks.archive.storage import Disk, Folder
from sinks.archive.writer import PartitionWriter


def writer(root: Path, name: str = "w", partition: int = 0) -> PartitionWriter:
    return PartitionWriter(Folder(root), "t", partition, name)


def claimed(root: Path, name: str = "w", *, partition: int = 0, start: int = 0, end: int = 100) -> PartitionWriter:
    made = writer(root, name, partition)
    made.claim(log_start=start, log_end=end)
    return made


def parquets(root: Path) -> set[Path]:
    return {path for path in root.rglob("*") if path.is_file() and "enriched" in path.parts}


def test_rows_by_tenant_and_day_in_files_that_the_entry_describes(tmp_path, records, offsets):
    claimed_ = claimed(tmp_path)
    written = claimed_.write(records(0, 6))
    assert written.rows == 6
    assert {file.path for file in written.files} == {
        "enriched/tenant=a/date=2026-07-28/t-0-0-1.parquet",
        "enriched/tenant=b/date=2026-07-29/t-0-1-1.parquet",
        "enriched/tenant=a/date=2026-07-29/t-0-2-1.parquet",
        "enriched/tenant=b/date=2026-07-28/t-0-3-1.parquet",
    }
    assert offsets(tmp_path) == []  # nothing counts yet
    claimed_.commit(6, written.files)
    assert offsets(tmp_path) == [0, 1, 2, 3, 4, 5]
    for file in list(entries(tmp_path))[1].files:
        data = (tmp_path / file.path).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file.bytes, file.sha256)
        table = pq.ParquetFile(tmp_path / file.path).read()
        assert table.num_rows == file.rows
        assert table.schema.equals(rows.SCHEMA, check_metadata=True)
        assert set(table["tenant"].to_pylist()) == {file.path.split("/")[1].removeprefix("tenant=")}


def test_the_record_is_kept_byte_for_byte(tmp_path, record):
    raw = b' {"event_id": "e",\t"received_at":"2026-07-29T08:06:57Z", "more": [1.0, 1e2, "\\u00e9\xc3\xa9"]}\n'
    one = claimed(tmp_path)
    one.commit(1, one.write([record(0, value=raw)]).files)
    assert read_rows(tmp_path)["record"].to_pylist() == [raw.decode()]


def test_a_restart_goes_on_where_the_manifest_ends(tmp_path, records, offsets):
    first = claimed(tmp_path)
    assert first.next_offset == 0
    first.commit(4, first.write(records(0, 4)).files)
    first.write(records(4, 9))  # durable, and it counts for nothing
    second = writer(tmp_path)
    assert second.claim(log_start=0, log_end=100) == 4
    second.commit(9, second.write(records(4, 9)).files)
    assert offsets(tmp_path) == list(range(9))


def test_a_new_archive_starts_at_the_oldest_record_there_is(tmp_path):
    assert writer(tmp_path).claim(log_start=40, log_end=100) == 40
    assert gaps(tmp_path) == []


def test_the_former_owner_commits_nothing_and_takes_its_files_along(tmp_path, records, offsets):
    old = claimed(tmp_path, "old")
    written = old.write(records(0, 4))
    new = claimed(tmp_path, "new")
    with pytest.raises(Superseded):
        old.commit(4, written.files)
    assert parquets(tmp_path) == set()
    new.commit(5, new.write(records(0, 5)).files)
    assert offsets(tmp_path) == list(range(5))
    with pytest.raises(Superseded):
        old.commit(4, ())
    with pytest.raises(Superseded):
        old.claim(log_start=0, log_end=100)


def test_two_that_claim_at_once(tmp_path):
    one, other = writer(tmp_path, "one"), writer(tmp_path, "other")
    one.claim(log_start=0, log_end=0)
    with pytest.raises(Superseded):
        other.claim(log_start=0, log_end=0)


def test_vanished_records_need_the_operators_word_and_stay_named(tmp_path, records, offsets):
    first = claimed(tmp_path)
    first.commit(4, first.write(records(0, 4)).files)
    with pytest.raises(NotReady, match=r"^Offsets 4 to 9 of partition 0 of t left Kafka .*ARCHIVE_ACCEPT_GAP=true"):
        writer(tmp_path).claim(log_start=10, log_end=20)
    assert gaps(tmp_path) == []
    second = writer(tmp_path)
    assert second.claim(log_start=10, log_end=20, accept_gap=True) == 10
    second.commit(12, second.write(records(10, 12)).files)
    assert [(gap.first_offset, gap.next_offset) for gap in gaps(tmp_path)] == [(4, 10)]
    assert offsets(tmp_path) == [0, 1, 2, 3, 10, 11]
    writer(tmp_path).claim(log_start=11, log_end=20)  # later starts need no word


def test_a_topic_made_anew_is_not_mixed_with_the_old_one(tmp_path, records):
    first = claimed(tmp_path)
    first.commit(4, first.write(records(0, 4)).files)
    for log_end in (0, 3):
        with pytest.raises(NotReady, match="made anew; set ARCHIVE_URL to a new folder"):
            writer(tmp_path).claim(log_start=0, log_end=log_end, accept_gap=True)
    assert writer(tmp_path).claim(log_start=4, log_end=4) == 4


def test_what_cannot_be_a_row_is_handed_back_and_settled(tmp_path, record, offsets):
    one = claimed(tmp_path)
    written = one.write([record(0), record(1, value=None), record(2, value=b"{"), record(3)])
    assert [(bad.offset, reason.partition(":")[0]) for bad, reason in written.malformed] == [
        (1, "tombstone"),
        (2, "not JSON"),
    ]
    one.commit(4, written.files)
    assert offsets(tmp_path) == [0, 3]
    assert writer(tmp_path).claim(log_start=0, log_end=9) == 4


@pytest.mark.parametrize("wrong", [[3, 4], [4, 4], [5, 4], [4, 6, 5], [-1]])
def test_only_what_follows_and_each_once(tmp_path, record, records, wrong):
    one = claimed(tmp_path)
    one.commit(4, one.write(records(0, 4)).files)
    before = parquets(tmp_path)
    with pytest.raises(ValueError, match="not in order"):
        one.write([record(offset) for offset in wrong])
    assert parquets(tmp_path) == before


def test_a_commit_goes_forward_from_a_claim(tmp_path, records):
    with pytest.raises(ValueError, match="cannot commit"):
        writer(tmp_path).commit(4)
    one = claimed(tmp_path)
    one.commit(4, one.write(records(0, 4)).files)
    with pytest.raises(ValueError, match="cannot commit 3 after 4"):
        one.commit(3)


def test_offsets_may_have_holes(tmp_path, record, offsets):
    one = claimed(tmp_path)
    one.commit(9, one.write([record(2), record(5), record(8)]).files)
    assert offsets(tmp_path) == [2, 5, 8]
    assert one.next_offset == 9


@pytest.mark.parametrize("nth", range(4))
def test_a_full_disk_commits_nothing_and_a_restart_loses_nothing(tmp_path, monkeypatch, records, offsets, nth):
    one = claimed(tmp_path)
    written, write = [], Disk.write

    def full(disk: Disk, path: Path, data: bytes) -> None:
        written.append(path)
        if len(written) > nth:
            write(disk, path, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        write(disk, path, data)

    with monkeypatch.context() as patch:
        patch.setattr(Disk, "write", full)
        with pytest.raises(OSError, match="No space left"):
            one.write(records(0, 6))
    assert not list(tmp_path.rglob("*.tmp"))
    assert [entry.kind for entry in entries(tmp_path)] == ["claim"]
    two = claimed(tmp_path)
    two.commit(6, two.write(records(0, 6)).files)
    assert offsets(tmp_path) == list(range(6))


def test_partitions_and_topics_share_a_folder(tmp_path, records):
    for partition in (0, 1, 11):
        one = claimed(tmp_path, partition=partition)
        one.commit(2, one.write(records(0, 2)).files)
    other = PartitionWriter(Folder(tmp_path), "u", 0, "w")
    other.claim(log_start=0, log_end=9)
    other.commit(2, other.write(records(0, 2)).files)
    assert read_rows(tmp_path).num_rows == 8
    assert len(files(tmp_path)) == len(set(files(tmp_path))) == 8
    found = {(entry.topic, entry.partition) for entry in entries(tmp_path)}
    assert found == {("t", 0), ("t", 1), ("t", 11), ("u", 0)}
    assert Manifest(Folder(tmp_path), "t", 1).last()[0].next_offset == 2
