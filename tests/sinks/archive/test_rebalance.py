"""What the archive reads while partitions change hands is neither lost nor doubled."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from events.codec import encode
from events.records import EnrichedEvent, Enrichment, WebhookEvent
from events.topics import Topics
from sinks.archive.main import Archive
from sinks.archive.read import read_rows
from sinks.archive.settings import ArchiveSettings
from sinks.archive.storage import Folder

TOPICS = Topics("t.")
PARTITION = TopicPartition(TOPICS.enriched, 0)


def record(offset: int) -> Any:
    event = EnrichedEvent(
        event_id=f"e{offset}",
        received_at="2026-07-29T08:06:57Z",
        event=WebhookEvent(type="alert", action="created"),
        enrichment=Enrichment(status="not_applicable"),
    )
    return SimpleNamespace(offset=offset, value=encode(event), key=b"k", headers=())


class Consumer:
    """One partition as aiokafka reads it; `events` happen in the middle of a getmany, one per call."""

    def __init__(self, log: list[Any]) -> None:
        self.log = log
        self.place = 0
        self.events: list[tuple[str, Callable[[], Any]]] = []

    async def getmany(self, **_options: int) -> dict[TopicPartition, list[Any]]:
        when, event = self.events.pop(0) if self.events else ("", None)
        if when == "before" and event:
            await event()
        batch = self.log[self.place : self.place + 3]
        self.place += len(batch)
        if when == "after" and event:
            await event()
        return {PARTITION: batch} if batch else {}

    def seek(self, _partition: TopicPartition, offset: int) -> None:
        self.place = offset

    async def position(self, _partition: TopicPartition) -> int:
        return self.place

    async def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, len(self.log))

    def assignment(self) -> set[TopicPartition]:
        return {PARTITION}

    async def commit(self, _offsets: dict[TopicPartition, int]) -> None:
        return


def offsets(root: Path) -> list[int]:
    return [int(ident[1:]) for ident in read_rows(root, ["event_id"])["event_id"].to_pylist()]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("nth", range(4))
@pytest.mark.parametrize("flush_records", [1, 4, 100])
def test_a_rebalance_in_the_middle_of_a_read(tmp_path, when, nth, flush_records):
    async def scenario() -> None:
        consumer = Consumer([record(offset) for offset in range(9)])
        settings = ArchiveSettings(flush_records=flush_records, _env_file=None)
        archive = Archive(settings, TOPICS, Folder(tmp_path), consumer, producer=None)
        await archive.on_partitions_assigned({PARTITION})

        async def rebalance() -> None:
            await archive.on_partitions_revoked({PARTITION})
            await archive.on_partitions_assigned({PARTITION})

        async def nothing() -> None:
            return

        async def stop() -> None:
            archive.stop()

        consumer.events = (
            [("after", nothing)] * nth + [(when, rebalance)] + [("after", nothing)] * 6 + [("after", stop)]
        )
        await archive.run()

    asyncio.run(scenario())
    assert offsets(tmp_path) == list(range(9))
