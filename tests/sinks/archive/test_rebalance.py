"""What the archive reads while partitions change hands is neither lost nor doubled."""

import asyncio

import pytest
from aiokafka import TopicPartition

from events.topics import Topics
from sinks.archive.consumer import Archive
from sinks.archive.settings import ArchiveSettings
from sinks.archive.storage import Folder

TOPICS = Topics("t.")
PARTITION = TopicPartition(TOPICS.enriched, 0)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("nth", range(4))
@pytest.mark.parametrize("flush_records", [1, 4, 100])
def test_a_rebalance_in_the_middle_of_a_read(tmp_path, records, offsets, consumer_of, when, nth, flush_records):
    async def scenario() -> None:
        consumer = consumer_of({PARTITION: records(0, 9)})
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
