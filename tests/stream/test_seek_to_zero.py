"""A partition of which nothing is committed yet is read from its first record, whatever was fetched before."""

import asyncio
from types import SimpleNamespace

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream.seek_safe import SeekSafeConsumer

FRESH, READ, UNKNOWN = (TopicPartition("raw", number) for number in range(3))


class Thread:
    def __init__(self):
        self.sought = {}

    async def seek_to_committed(self):
        return {FRESH: 0, READ: 5, UNKNOWN: None}

    async def seek_wait(self, partitions):
        self.sought |= partitions


def test_a_committed_offset_of_zero_is_sought():
    consumer = object.__new__(SeekSafeConsumer)
    consumer._thread = Thread()
    assert asyncio.run(consumer.seek_to_committed()) == {FRESH: 0, READ: 5, UNKNOWN: None}
    assert consumer._thread.sought == {FRESH: 0}


def test_aiokafka_alone_still_does_not():
    """When this fails aiokafka has mended it, and ours can go."""
    sought = {}

    async def committed(tp):
        return {FRESH: 0, READ: 5, UNKNOWN: None}[tp]

    consumer = SimpleNamespace(
        _subscription=SimpleNamespace(assigned_partitions=lambda: {FRESH, READ, UNKNOWN}),
        _fetcher=SimpleNamespace(seek_to=sought.__setitem__),
        committed=committed,
    )
    asyncio.run(AIOKafkaConsumer.seek_to_committed(consumer))
    assert sought == {READ: 5}
