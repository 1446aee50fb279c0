"""How many records a group has not finished, to the record: markers of transactions are none."""

from aiokafka import TopicPartition

from events.settings import KafkaSettings
from ops.scan import Span, reading
from sinks.positions import committed

LOOKED_AT = 5_000
"""Offsets left of a partition that are read to see whether any is a record; more certainly are."""


async def left(kafka: KafkaSettings, name: str, topic: str) -> int:
    """Return how many records wait for a group; none for a target that never ran. Raises NotReady."""
    async with reading(kafka) as reader:
        partitions = await reader.partitions(topic)
        places = await committed(kafka, name, partitions)
        if not places and name != "stream":
            return 0
        spans = {
            each: Span(max(span.start, places.get(each, (span.start, ""))[0]), span.end)
            for each, span in (await reader.spans(partitions)).items()
        }
        many = sum(span.size for span in spans.values() if span.size > LOOKED_AT)
        few: dict[TopicPartition, Span] = {each: span for each, span in spans.items() if 0 < span.size <= LOOKED_AT}
        if many:
            return many + sum(span.size for span in few.values())
        return sum([1 async for _ in reader.records(few)])
