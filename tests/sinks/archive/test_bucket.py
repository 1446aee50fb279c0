"""The archive in a bucket of a real S3-compatible server, also when the server refuses, hangs up and loses answers."""

import contextlib
import importlib.util
import uuid
from datetime import timedelta
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from events.errors import NotReady
from sinks.archive import rows
from sinks.archive.bucket import Bucket
from sinks.archive.manifest import Superseded
from sinks.archive.read import entries, read_rows
from sinks.archive.settings import ArchiveSettings
from sinks.archive.storage import AlreadyThere
from sinks.archive.sweep import sweep
from sinks.archive.writer import PartitionWriter

_spec = importlib.util.spec_from_file_location("archive_s3", Path(__file__).with_name("s3.py"))
s3 = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(s3)


@pytest.fixture(scope="module")
def address():
    with s3.server() as address:
        yield address


def bucket(address: str, prefix: str, seconds: float = 30) -> Bucket:
    return Bucket(s3.BUCKET, prefix, {**s3.KEYS, "endpoint": address}, retry=timedelta(seconds=seconds))


@pytest.fixture
def store(address):
    return bucket(address, f"a b/{uuid.uuid4().hex}")


def test_a_bucket_that_is_away_is_not_taken_for_one_whose_files_are_gone(address):
    with pytest.raises(OSError, match="S3 error") as said:
        bucket("http://127.0.0.1:1", "x", seconds=0.2).source("enriched/a.parquet")
    assert not isinstance(said.value, FileNotFoundError)
    with pytest.raises(FileNotFoundError):
        bucket(address, "x").source("enriched/a.parquet")


def test_it_is_a_folder(store):
    store.check()
    assert store.names("") == ["manifest"] or store.names("") == []
    assert store.names("nowhere") == []
    store.put("x/tenant=a%2Fb/é.parquet", b"1")
    store.put("x/tenant=a%2Fb/é.parquet", b"2")
    store.put("x/y/z", b"3")
    assert store.get("x/tenant=a%2Fb/é.parquet") == b"2"
    assert sorted(store.names("x")) == ["tenant=a%2Fb", "y"]
    assert sorted(store.walk("x")) == ["x/tenant=a%2Fb/é.parquet", "x/y/z"]
    store.put_if_absent("x/once", b"1")
    with pytest.raises(AlreadyThere):
        store.put_if_absent("x/once", b"2")
    assert store.get("x/once") == b"1"
    store.delete("x/once")
    store.delete("x/once")
    with pytest.raises(FileNotFoundError):
        store.get("x/once")
    with pytest.raises(FileNotFoundError):
        store.source("x/once")


def test_rows_go_in_and_come_out(store, records):
    writer = PartitionWriter(store, "t", 0, "w")
    writer.claim(log_start=0, log_end=20)
    for first in (0, 10):
        writer.commit(first + 10, writer.write(records(first, first + 10)).files)
    store.put("enriched/tenant=a/date=2026-07-29/t-0-20-3.parquet", b"left by a crash")
    again = PartitionWriter(store, "t", 0, "v")
    assert again.claim(log_start=0, log_end=20) == 20
    assert sweep(store, "t", {0: again.next_seq}) == 1
    with pytest.raises(Superseded):
        writer.commit(21)
    assert sorted(read_rows(store, ["kafka_offset"])["kafka_offset"].to_pylist()) == list(range(20))
    listed = [file.path for entry in entries(store, "t") for file in entry.files]
    table = store.dataset(listed, rows.SCHEMA).to_table(columns=["kafka_offset", "tenant"])
    assert sorted(table["kafka_offset"].to_pylist()) == list(range(20))
    assert pq.ParquetFile(store.source(listed[0])).metadata.num_rows > 0
    assert isinstance(table, pa.Table)


@pytest.mark.parametrize("kind", ["refuse", "cut", "lose"])
@pytest.mark.parametrize("seed", [1, 2])
def test_every_third_call_fails(address, records, kind, seed):
    """What is lost on the way is sent again; an entry that was put although its answer got lost is ours, not another's."""
    draw, prefix, faults = Random(seed), uuid.uuid4().hex, []

    def fault(method: str, path: str) -> str | None:
        if draw.random() > 1 / 3 or len(faults) > 30:
            return None
        faults.append((method, path))
        return kind

    with s3.broken(address, fault) as proxy:
        store = bucket(proxy, prefix)
        writer = PartitionWriter(store, "t", 0, "w")
        writer.claim(log_start=0, log_end=50)
        for first in range(0, 50, 10):
            writer.commit(first + 10, writer.write(records(first, first + 10)).files)
    assert len(faults) > 3
    there = bucket(address, prefix)
    assert sorted(read_rows(there, ["kafka_offset"])["kafka_offset"].to_pylist()) == list(range(50))
    assert [entry.kind for entry in entries(there, "t")] == ["claim"] + ["rows"] * 5


def test_a_process_that_dies_at_any_call_commits_all_or_nothing(address, records):
    """At the nth write the process ends; who comes next goes on, each record once."""
    for step in range(6):
        prefix, calls = uuid.uuid4().hex, []

        class Dying(Bucket):
            def _do(self, verb, path, data, calls=calls, step=step):
                calls.append(path)
                if len(calls) > step:
                    raise KeyboardInterrupt
                verb(path, data)

            def put(self, path, data):
                self._do(super().put, path, data)

            def put_if_absent(self, path, data):
                self._do(super().put_if_absent, path, data)

        dying = Dying(s3.BUCKET, prefix, {**s3.KEYS, "endpoint": address})
        with contextlib.suppress(KeyboardInterrupt):
            writer = PartitionWriter(dying, "t", 0, "w")
            writer.claim(log_start=0, log_end=12)
            writer.commit(6, writer.write(records(0, 6)).files)
            writer.commit(12, writer.write(records(6, 12)).files)
        store = bucket(address, prefix)
        writer = PartitionWriter(store, "t", 0, "v")
        start = writer.claim(log_start=0, log_end=12)
        sweep(store, "t", {0: writer.next_seq})
        writer.commit(12, writer.write(records(start, 12)).files)
        assert sorted(read_rows(store, ["kafka_offset"])["kafka_offset"].to_pylist()) == list(range(12)), step
        assert len(list(store.walk("enriched"))) == len([f for e in entries(store, "t") for f in e.files])


def test_what_cannot_be_used_is_one_sentence_without_the_secret(address, monkeypatch):
    away = Bucket(s3.BUCKET, "x", {**s3.KEYS, "endpoint": "http://127.0.0.1:1"}, retry=timedelta(seconds=1))
    with pytest.raises(NotReady, match=rf"^The archive's bucket s3://{s3.BUCKET}/x cannot be used") as refused:
        away.check()
    assert "secret" not in str(refused.value).replace("ARCHIVE_S3_", "")
    none = Bucket("no-such-bucket", "x", {**s3.KEYS, "endpoint": address}, retry=timedelta(seconds=1))
    with pytest.raises(NotReady, match="cannot be used"):
        none.check()

    class Careless(Bucket):
        def put_if_absent(self, path, data):
            self.put(path, data)

    with pytest.raises(NotReady, match="ignores If-None-Match"):
        Careless(s3.BUCKET, "x", {**s3.KEYS, "endpoint": address}).check()


def test_settings(address):
    given = {
        "url": f"s3://{s3.BUCKET}/a/b/",
        "s3_endpoint": address,
        "s3_access_key_id": "key",
        "s3_secret_access_key": "hush",
    }
    store = ArchiveSettings(**given, _env_file=None).store()
    store.check()
    assert store.name == f"s3://{s3.BUCKET}/a/b"
    assert "hush" not in repr(ArchiveSettings(**given, _env_file=None))
    for url in ("s3://", "s3://key@bucket/x", "s3://bucket/x?y", "gs://bucket/x"):
        with pytest.raises(NotReady, match=r"s3://bucket/prefix"):
            ArchiveSettings(url=url, _env_file=None).store()
