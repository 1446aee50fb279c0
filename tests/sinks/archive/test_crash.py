"""Wherever the process dies, or the machine: what counts is exact, and the next start makes it whole."""

import asyncio
import contextlib
import hashlib
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition

from events.topics import Topics
from sinks.archive.consumer import Archive
from sinks.archive.read import entries
from sinks.archive.settings import ArchiveSettings
from sinks.archive.storage import Disk, Folder

TOPICS = Topics("t.")
FIRST, SECOND = (TopicPartition(TOPICS.enriched, number) for number in range(2))


@pytest.fixture
def log(record) -> list[Any]:
    """Return a partition with all there is: a late record, a marker, one that can be no row."""
    return [record(0), record(1, days_ago=1), None, record(3, value=b"{"), record(4), None]


EXPECTED = [0, 1, 4]


@pytest.fixture
def live(consumer_of, producer, log, died):
    """Return what runs the archive on a disk until it has read everything and was told to stop, or died."""

    async def run(root: Path, disk: Disk, told: dict[TopicPartition, int]) -> None:
        consumer = consumer_of({FIRST: log, SECOND: log[:1]})
        archive = Archive(
            ArchiveSettings(flush_records=2, _env_file=None), TOPICS, Folder(root, disk), consumer, producer
        )
        consumer.committed = told
        await archive.on_partitions_assigned({FIRST, SECOND})

        async def nothing() -> None:
            return

        async def stop() -> None:
            archive.stop()

        consumer.events = [("before", nothing)] * 3 + [("before", stop)]
        await archive.run()

    def live(root: Path, disk: Disk) -> dict[TopicPartition, int]:
        """Return what the group was told: it must outlive anything."""
        told: dict[TopicPartition, int] = {}
        with contextlib.suppress(died):
            asyncio.run(run(root, disk, told))
        return told

    return live


def exact(root: Path, offsets) -> int:
    """Check that everything below the manifests' ends is there once, in sound files; return the first one's end."""
    ends = {0: 0, 1: 0}
    for entry in entries(root):
        ends[entry.partition] = entry.next_offset
        for file in entry.files:
            assert hashlib.sha256((root / file.path).read_bytes()).hexdigest() == file.sha256
    assert offsets(root) == sorted([offset for offset in EXPECTED if offset < ends[0]] + [0][: ends[1]])
    return ends[0]


@pytest.mark.parametrize(
    ("when", "power", "used"),
    [
        pytest.param("before", True, 0, id="killed"),
        pytest.param("middle", True, 0, id="killed in the middle of a write"),
        pytest.param("before", False, 0, id="power cut"),
        pytest.param("before", False, 3, id="power cut over an older archive"),
    ],
)
def test_at_each_step(tmp_path, dying_disk, live, log, producer, offsets, unlisted, when, power, used):
    """To die after a step is to die before the next one."""
    new = log[used:]

    def life(root: Path, disk: Disk) -> dict[TopicPartition, int]:
        """Live on the disk, in an archive that holds the first `used` offsets already."""
        if used:
            del log[used:]
            live(root, dying_disk())
            log.extend(new)
        return live(root, disk)

    whole = dying_disk()
    life(tmp_path / "whole", whole)
    assert exact(tmp_path / "whole", offsets) == len(log)
    assert {"write", "sync", "rename", "link", "delete", "make_folder"} <= {*whole.steps}
    for step, name in enumerate([*whole.steps, "the end"]):
        if when == "middle" and name != "write":
            continue
        root = tmp_path / str(step)
        disk = dying_disk(step, when)
        told = life(root, disk)
        assert disk.dead == (name != "the end")
        if not power:
            disk.machine.cut(root)
        settled = exact(root, offsets)
        assert settled >= told.get(FIRST, 0), (step, name)
        producer.sent.clear()
        live(root, dying_disk())
        assert exact(root, offsets) == len(log), (step, name)
        assert unlisted(root) == [], (step, name)
        assert len(producer.sent) == (settled <= 3), (step, name)  # the letter comes before what settles its offset


def test_a_death_in_what_follows_a_death(tmp_path, dying_disk, live, offsets, unlisted):
    """Die again and again, one step further each time."""
    root, whole = tmp_path / "it", dying_disk()
    live(tmp_path / "whole", whole)
    live(root, dying_disk(whole.steps.index("rename") + 1))
    assert unlisted(root)
    for step in range(10):
        disk = dying_disk(step)
        live(root, disk)
        assert disk.dead
        exact(root, offsets)
    live(root, dying_disk())
    assert exact(root, offsets) == 6
    assert unlisted(root) == []
