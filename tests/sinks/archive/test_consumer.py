"""The archive's loop: when it writes, what it settles, and that nothing unforeseen is passed over."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, NoOffsetForPartitionError, OffsetOutOfRangeError

from events.errors import NotReady
from events.topics import Topics
from sinks.archive.consumer import Archive
from sinks.archive.manifest import BrokenManifest, Superseded
from sinks.archive.read import entries
from sinks.archive.settings import ArchiveSettings
from sinks.archive.storage import Folder
from sinks.archive.writer import PartitionWriter

TOPICS = Topics("t.")
FIRST, SECOND = (TopicPartition(TOPICS.enriched, number) for number in range(2))


class Killed(Exception):
    """The process ends between two reads."""


class Runs:
    """Runs an archive over scripted partitions for some reads, stopping or dying at the end."""

    def __init__(self, root: Path, consumer: Any, producer: Any) -> None:
        self.root = root
        self.consumer = consumer
        self.producer = producer

    def __call__(self, reads: int, *, stop: bool = True, **settings: Any) -> Archive:
        return asyncio.run(self._run(reads, stop=stop, settings=ArchiveSettings(**settings, _env_file=None)))

    async def _run(self, reads: int, *, stop: bool, settings: ArchiveSettings) -> Archive:
        archive = Archive(settings, TOPICS, Folder(self.root), self.consumer, self.producer)
        with contextlib.suppress(Exception):  # aiokafka logs it and goes on
            await archive.on_partitions_assigned(set(self.consumer.logs))

        async def end() -> None:
            archive.stop()
            if not stop:
                raise Killed

        async def nothing() -> None:
            return

        self.consumer.events = [("before", nothing)] * reads + [("before", end)]
        with contextlib.nullcontext() if stop else pytest.raises(Killed):
            await archive.run()
        return archive


@pytest.fixture
def runs(tmp_path, consumer_of, producer):
    """Return what runs an archive over these partitions."""

    def make(**logs: list[Any]) -> Runs:
        return Runs(
            tmp_path, consumer_of({{"first": FIRST, "second": SECOND}[k]: v for k, v in logs.items()}), producer
        )

    return make


def kinds(root: Path) -> list[tuple[str, int, int]]:
    return [(entry.kind, entry.partition, entry.next_offset) for entry in entries(root)]


def test_a_stop_archives_what_was_read(tmp_path, runs, records, offsets):
    run = runs(first=records(0, 5))
    run(2)
    assert offsets(tmp_path) == list(range(5))
    assert run.consumer.committed == {FIRST: 5}


def test_files_are_closed_by_number(tmp_path, runs, records, offsets):
    runs(first=records(0, 9))(2, stop=False, flush_records=5)
    assert offsets(tmp_path) == list(range(6))


def test_files_are_closed_by_age(tmp_path, runs, records, offsets):
    runs(first=records(0, 2))(1, stop=False, flush_every="0.000001s")
    assert offsets(tmp_path) == [0, 1]


@pytest.mark.parametrize("large", [0, 1])
def test_beyond_the_memory_the_largest_partition_is_written_and_the_other_goes_on_filling(
    tmp_path, runs, records, large
):
    logs = [records(0, 1), records(0, 1)]
    logs[large] = records(0, 3)
    size = sum(len(one.value) for log in logs for one in log)
    runs(first=logs[0], second=logs[1])(1, stop=False, flush_bytes=size)
    assert [each for each in kinds(tmp_path) if each[0] == "rows"] == [("rows", large, 3)]


def test_nothing_is_told_to_the_group_before_it_counts(tmp_path, runs, records):
    run = runs(first=records(0, 2))
    run(2, stop=False)
    assert run.consumer.committed == {}


def test_a_group_that_has_rebalanced_refuses_and_nothing_is_lost(tmp_path, runs, records, offsets, monkeypatch):
    run = runs(first=records(0, 9))

    async def refuse(_offsets):
        raise CommitFailedError

    monkeypatch.setattr(run.consumer, "commit", refuse)
    run(5, flush_records=1)
    assert offsets(tmp_path) == list(range(9))


class TestMarkers:
    """A transaction's marker has an offset and is no record: when it has left Kafka, nothing is missing."""

    def test_behind_the_last_record(self, tmp_path, runs, records):
        runs(first=[*records(0, 2), None])(2, stop=False, flush_every="0.000001s")
        assert kinds(tmp_path)[-1] == ("rows", 0, 3)

    def test_read_after_the_last_record_was_archived(self, tmp_path, runs, records):
        run = runs(first=[*records(0, 3), None])
        run(3, stop=False, flush_records=3, flush_every="0.000001s")
        assert kinds(tmp_path) == [("claim", 0, 0), ("rows", 0, 3), ("rows", 0, 4)]

    def test_at_a_stop(self, tmp_path, runs, records):
        run = runs(first=[*records(0, 3), None])
        run(3, flush_records=3)
        assert kinds(tmp_path)[-1] == ("rows", 0, 4)
        run.consumer.log_start = 4  # retention took everything
        run(1)

    def test_nothing_new_is_no_entry(self, tmp_path, runs, records):
        run = runs(first=[*records(0, 3), None])
        run(9, flush_every="0.000001s")
        run(9, flush_every="0.000001s")
        assert kinds(tmp_path) == [("claim", 0, 0), ("rows", 0, 3), ("rows", 0, 4), ("claim", 0, 4)]

    def test_not_at_once(self, tmp_path, runs, records):
        runs(first=[*records(0, 3), None])(5, stop=False, flush_records=3)
        assert kinds(tmp_path)[-1] == ("rows", 0, 3)


class TestDeadLetters:
    def test_byte_for_byte_with_reason_and_origin(self, tmp_path, runs, record, producer, offsets):
        runs(first=[record(0), record(1, value=None), record(2, value=b"\xff"), record(3)])(3)
        assert offsets(tmp_path) == [0, 3]
        assert [(topic, value, key) for topic, value, key, _ in producer.sent] == [
            (TOPICS.dead_letters, None, b"k"),
            (TOPICS.dead_letters, b"\xff", b"k"),
        ]
        for (_, _, _, headers), offset in zip(producer.sent, "12", strict=True):
            where = {name: headers[name] for name in ("stage", "target", "source-topic", "source-partition")}
            assert where == {
                "stage": "sink",
                "target": "archive",
                "source-topic": TOPICS.enriched,
                "source-partition": "0",
            }
            assert headers["source-offset"] == offset

    def test_before_its_offset_is_settled(self, tmp_path, runs, record, producer, monkeypatch):
        run = runs(first=[record(0, value=b"{")])

        async def away(*_arguments, **_options):
            raise ConnectionError

        with monkeypatch.context() as patch:
            patch.setattr(producer, "send_and_wait", away)
            with pytest.raises(ConnectionError):
                run(1)
        assert kinds(tmp_path) == [("claim", 0, 0)]
        run(1)
        assert len(producer.sent) == 1
        assert kinds(tmp_path)[-1] == ("rows", 0, 1)

    @pytest.mark.parametrize("size", [2 * 1024 * 1024 - 100, 4 * 1024 * 1024])
    def test_what_is_too_large_for_a_letter_is_cut_and_says_so(self, tmp_path, runs, record, producer, size):
        """The enriched topic takes records as large as a letter with its headers, and larger ones compressed."""
        value = b"{" + b"x" * size
        run = runs(first=[record(0, value=value), record(1)])
        run(2)
        [(_, kept, _, headers)] = producer.sent
        assert value.startswith(kept)
        assert len(kept) > 1024 * 1024
        assert headers["reason"].startswith("not JSON")
        assert headers["reason"].endswith(f"; cut from {len(value) + 1} bytes")
        assert kinds(tmp_path)[-1] == ("rows", 0, 2)

    @pytest.mark.parametrize("value", [None, b"{"])
    def test_a_key_may_be_as_large(self, tmp_path, runs, record, producer, value):
        runs(first=[record(0, value=value, key=b"k" * (2 * 1024 * 1024 - 100))])(1)
        assert [sent[1:3] for sent in producer.sent] == [(value, None)]


class TestWhatEndsIt:
    def test_a_gap_and_then_the_operators_word(self, tmp_path, runs, records, offsets):
        run = runs(first=records(0, 9))
        run(1)
        run.consumer.log_start = 8
        with pytest.raises(NotReady, match=r"Offsets 6 to 7 of partition 0 of t\.enriched\.v1 left Kafka"):
            run(1)
        run(3, accept_gap=True)
        assert offsets(tmp_path) == [0, 1, 2, 3, 4, 5, 8]

    def test_a_gap_in_one_partition_leaves_nothing_unswept_in_another(self, tmp_path, runs, records):
        run = runs(first=records(0, 9), second=records(0, 9))
        run(1)
        left = tmp_path / "enriched/tenant=a/date=2026-07-29/t.enriched.v1-0-3-2.parquet"
        left.write_bytes(b"left by a kill")
        run.consumer.logs[SECOND] = []  # made anew
        with pytest.raises(NotReady, match="made anew"):
            run(1)
        assert not left.exists()

    def test_a_zombie_ends_uncommitted(self, tmp_path, runs, records, offsets):
        run = runs(first=records(0, 6))

        async def scenario() -> None:
            archive = Archive(
                ArchiveSettings(flush_records=6, _env_file=None), TOPICS, Folder(tmp_path), run.consumer, run.producer
            )
            await archive.on_partitions_assigned({FIRST})

            async def another() -> None:
                PartitionWriter(Folder(tmp_path), TOPICS.enriched, 0, "new").claim(log_start=0, log_end=6)

            run.consumer.events = [("after", another)]
            with pytest.raises(Superseded):
                await archive.run()

        asyncio.run(scenario())
        assert offsets(tmp_path) == []
        assert not list(tmp_path.rglob("*.parquet"))

    @pytest.mark.parametrize("error", [BrokenManifest("x"), OSError("x"), ValueError("x"), KeyError("x")])
    def test_whatever_goes_wrong_in_a_claim(self, runs, records, monkeypatch, error):
        def fail(*_arguments, **_options):
            raise error

        monkeypatch.setattr(PartitionWriter, "claim", fail)
        with pytest.raises(type(error)):
            runs(first=records(0, 3))(3)


class TestWhereTheGroupHasIt:
    """Between its assignment and its claim aiokafka looks for a partition where the group has it."""

    @pytest.mark.parametrize("error", [NoOffsetForPartitionError(FIRST), OffsetOutOfRangeError({FIRST: 999})])
    def test_means_nothing(self, tmp_path, runs, records, offsets, monkeypatch, error):
        run = runs(first=records(0, 5))
        errors, read = [error, error], run.consumer.getmany

        async def getmany(**options):
            if errors:
                raise errors.pop()
            return await read(**options)

        monkeypatch.setattr(run.consumer, "getmany", getmany)
        run(3)
        assert offsets(tmp_path) == list(range(5))

    def test_but_where_the_manifest_has_it_records_left(self, tmp_path, runs, records, monkeypatch):
        run = runs(first=records(0, 5))

        async def gone(**_options):
            raise OffsetOutOfRangeError({FIRST: 0})

        monkeypatch.setattr(run.consumer, "getmany", gone)
        with pytest.raises(OffsetOutOfRangeError):
            run(3)
        assert kinds(tmp_path) == [("claim", 0, 0)]
