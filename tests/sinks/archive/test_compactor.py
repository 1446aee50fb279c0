"""Compaction beside the writer: every row is there once, wherever it is killed, and whoever owns the partition meanwhile."""

import asyncio
import contextlib
from datetime import timedelta

import pytest
from aiokafka import TopicPartition

from ops.archive_verify import verify
from sinks.archive.compactor import Compactor
from sinks.archive.manifest import Superseded
from sinks.archive.read import entries, files
from sinks.archive.storage import Folder
from sinks.archive.sweep import sweep
from sinks.archive.writer import PartitionWriter

PLACE = TopicPartition("t", 0)
HOUR = timedelta(hours=1)


class Clock:
    """Seconds that pass when one says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def begin(records):
    """Return what fills an archive with nine entries of three records: a day and the one before."""

    def begin(root, disk=None):
        store = Folder(root, disk) if disk else Folder(root)
        writer = PartitionWriter(store, "t", 0, "w")
        writer.claim(log_start=0, log_end=100)
        for first in range(0, 27, 3):
            writer.commit(first + 3, writer.write(records(first, first + 3)).files)
        return store, writer

    return begin


async def rounds(compactor, clock, writers):
    """Let it do a whole round."""
    clock.now += HOUR.total_seconds()
    await compactor.step(writers)
    while compactor._work or compactor._left:
        await asyncio.sleep(0)
        await compactor.step(writers)


def compactor(store, every=HOUR):
    clock = Clock()
    return Compactor(store, every, clock), clock


def test_a_round_merges_each_day_and_the_writer_goes_on(tmp_path, begin, records, offsets):
    async def scenario():
        store, writer = begin(tmp_path)
        before = len(files(tmp_path))
        made, clock = compactor(store)
        await made.step({PLACE: writer})
        assert not made.holds(PLACE)  # it is not time yet
        await rounds(made, clock, {PLACE: writer})
        assert len(files(tmp_path)) < before
        writer.commit(30, writer.write(records(27, 30)).files)
        assert offsets(tmp_path) == list(range(30))
        assert verify(store).problems == []
        assert [entry.kind for entry in entries(tmp_path)].count("compaction") == 1 + (len(files(tmp_path)) > 3)
        await rounds(made, clock, {PLACE: writer})  # too few small ones by now
        assert offsets(tmp_path) == list(range(30))

    asyncio.run(scenario())


def test_a_partition_lists_nothing_while_it_is_merged(tmp_path, begin, offsets):
    async def scenario():
        store, writer = begin(tmp_path)
        made, clock = compactor(store)
        clock.now = HOUR.total_seconds()
        await made.step({PLACE: writer})
        assert made.holds(PLACE)
        await made.finish({PLACE: writer})
        assert not made.holds(PLACE)
        assert [entry.kind for entry in entries(tmp_path)][-1] == "compaction"
        assert offsets(tmp_path) == list(range(27))

    asyncio.run(scenario())


@pytest.mark.parametrize("who", ["nobody", "another writer of ours", "another process"])
def test_a_merge_that_lost_its_partition_counts_for_nothing(tmp_path, begin, offsets, unlisted, who):
    async def scenario():
        store, writer = begin(tmp_path)
        made, clock = compactor(store)
        clock.now = HOUR.total_seconds()
        await made.step({PLACE: writer})
        other = PartitionWriter(store, "t", 0, "w2")
        if who != "nobody":
            other.claim(log_start=0, log_end=100)
        writers = {"nobody": {}, "another writer of ours": {PLACE: other}, "another process": {PLACE: writer}}[who]
        with pytest.raises(Superseded) if who == "another process" else contextlib.nullcontext():
            await made.finish(writers)
        assert unlisted(tmp_path) == []
        assert offsets(tmp_path) == list(range(27))
        assert verify(store).problems == []

    asyncio.run(scenario())


def test_a_file_that_is_gone_stops_nobody(tmp_path, begin, records):
    async def scenario():
        store, writer = begin(tmp_path)
        files(tmp_path)[0].unlink()
        made, clock = compactor(store)
        await rounds(made, clock, {PLACE: writer})
        writer.commit(30, writer.write(records(27, 30)).files)

    asyncio.run(scenario())


def test_never_where_it_is_nothing(tmp_path, begin):
    async def scenario():
        store, writer = begin(tmp_path)
        made, clock = compactor(store, timedelta(0))
        await rounds(made, clock, {PLACE: writer})
        assert {entry.kind for entry in entries(tmp_path)} == {"claim", "rows"}

    asyncio.run(scenario())


@pytest.mark.parametrize(("when", "power"), [("before", True), ("middle", True), ("before", False)])
def test_killed_at_each_step(tmp_path, begin, dying_disk, died, offsets, unlisted, when, power):
    """What counts is exact, and the next owner leaves nothing over."""

    async def scenario(root, disk):
        store, _ = begin(root)
        writer = PartitionWriter(Folder(root, disk), "t", 0, "w")
        writer.claim(log_start=0, log_end=100)
        made, clock = compactor(Folder(root, disk))
        await rounds(made, clock, {PLACE: writer})
        return store

    whole = dying_disk()
    asyncio.run(scenario(tmp_path / "whole", whole))
    assert [entry.kind for entry in entries(tmp_path / "whole")][-1] == "compaction"
    for step, name in enumerate(whole.steps):
        if when == "middle" and name != "write":
            continue
        root, disk = tmp_path / str(step), dying_disk(step, when)
        with contextlib.suppress(died):
            asyncio.run(scenario(root, disk))
        assert disk.dead
        if not power:
            disk.machine.cut(root)
        assert offsets(root) == list(range(27)), (step, name)
        again = PartitionWriter(Folder(root), "t", 0, "w2")
        again.claim(log_start=0, log_end=100)
        sweep(Folder(root), "t", {0: again.next_seq})
        assert offsets(root) == list(range(27)), (step, name)
        replaced = {path for entry in entries(root) for path in entry.replaces}  # they stay for who is reading them
        assert set(unlisted(root)) == replaced, (step, name)
        assert verify(Folder(root)).problems == [], (step, name)
