"""Which partition a key belongs to: that of Kafka's Java clients, so that everybody agrees."""

import functools

from aiokafka.partitioner import murmur2


@functools.lru_cache(maxsize=8192)
def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition Kafka's Java clients choose for the key."""
    partition: int = (murmur2(key) & 0x7FFFFFFF) % partitions
    return partition
