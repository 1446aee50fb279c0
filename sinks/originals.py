"""The webhook body of an event as it was posted, byte for byte: found in the raw topic, where it lies for 14 days."""

import asyncio
from collections import OrderedDict
from datetime import timedelta

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError
from aiokafka.partitioner import murmur2

from events.headers import as_text
from events.identity import entity_key
from events.records import EnrichedEvent
from events.settings import KafkaSettings
from events.topics import Topics
from sinks.digest_text import TYPE
from sinks.positions import partitions_of

SKEW = timedelta(seconds=10)
"""How much earlier than its `received-at` a body may lie, by the clocks of ingest's hosts."""

MOST = 20_000
"""Records looked at for one body; a spool that was drained late lets it lie further on."""

KEPT = 32 * 1024 * 1024
"""Bytes of bodies kept: those around one that was looked for are asked for next."""

AT_A_TIME = 500


class Originals:
    """Look bodies up, with a consumer of no group."""

    def __init__(self, consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
        self._consumer = consumer
        self._partitions = partitions
        self._turn = asyncio.Lock()
        self._bodies: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0

    async def of(self, event: EnrichedEvent) -> bytes | None:
        """Return the body; None where there is none (any more): a digest, or an event older than the raw topic keeps.

        Of several copies it is the first, which is the one the stream took.
        """
        if event.origin == TYPE:
            return None
        async with self._turn:
            return self._bodies.get(event.event_id) or await self._look(event)

    async def _look(self, event: EnrichedEvent) -> bytes | None:
        key = entity_key(event.event.model_dump(mode="json"), event.event_id)
        partition = self._partitions[(murmur2(key) & 0x7FFFFFFF) % len(self._partitions)]
        since = int((event.received_at - SKEW).timestamp() * 1000)
        first = (await self._consumer.offsets_for_times({partition: max(since, 0)}))[partition]
        end = (await self._consumer.end_offsets([partition]))[partition]
        if first is None:
            return None
        self._consumer.assign([partition])
        self._consumer.seek(partition, first.offset)
        found, looked_at = None, 0
        try:
            while found is None and looked_at < MOST and await self._consumer.position(partition) < end:
                batch = await self._consumer.getmany(partition, timeout_ms=200, max_records=AT_A_TIME)
                for record in batch.get(partition, ()):
                    looked_at += 1
                    event_id = as_text(record.headers).get("event-id")
                    if found is None and event_id == event.event_id:
                        found = record.value
                    self._keep(event_id, record.value)
        except OffsetOutOfRangeError:
            return None  # retention has just taken it
        finally:
            self._consumer.unsubscribe()
        return found

    def _keep(self, event_id: str | None, body: bytes | None) -> None:
        if event_id is None or body is None or event_id in self._bodies:
            return
        self._bodies[event_id] = body
        self._size += len(body)
        while self._size > KEPT and self._bodies:
            self._size -= len(self._bodies.popitem(last=False)[1])


async def open_originals(kafka: KafkaSettings, consumer: AIOKafkaConsumer) -> Originals:
    """Make them for a cluster; the consumer must be of no group, and is started here."""
    await consumer.start()
    return Originals(consumer, await partitions_of(kafka, Topics(kafka.topic_prefix).raw))
