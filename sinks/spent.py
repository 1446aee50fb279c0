"""What was posted, read back from the receipts: budgets outlive a crash, and can be looked at."""

import time
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, ConsumerRecord

from events.codec import decode_receipt
from events.errors import MalformedRecord
from events.records import Receipt
from events.settings import KafkaSettings
from events.topics import Topics
from sinks.positions import partitions_of


@dataclass(frozen=True)
class Posts:
    """An event that was told, and the posts made for it; none for all but the first of a digest. `at` in Unix seconds."""

    target: str
    at: float
    count: int


async def posts(kafka: KafkaSettings, since: float) -> AsyncIterator[Posts]:
    """Yield each event told since a moment (Unix seconds), up to now."""
    seen: set[tuple[str, str]] = set()
    async for record in _receipts(kafka, since):
        try:
            receipt = decode_receipt(record.value)
        except MalformedRecord:
            continue  # not ours: what we write can be read
        if receipt.attempts and receipt.outcome != "by_fallback":  # that was a post to another target
            count = receipt.attempts if _first(receipt, seen) else 0
            yield Posts(receipt.target, record.timestamp / 1000, count)


async def ages(kafka: KafkaSettings, targets: Collection[str], seconds: float) -> list[float]:
    """Return how many seconds ago each post to these targets was made, of those in the last `seconds`.

    One more than is written down when there are any: the last may have been made just before a crash.
    """
    now = time.time()
    found = [one for one in [each async for each in posts(kafka, now - seconds)] if one.target in targets]
    made = [max(now - one.at, 0.0) for one in found for _ in range(one.count)]
    return [*made, 0.0] if made else []


def _first(receipt: Receipt, seen: set[tuple[str, str]]) -> bool:
    if receipt.digest_id is None:
        return True
    digest = receipt.target, receipt.digest_id
    if digest in seen:
        return False
    seen.add(digest)
    return True


async def _receipts(kafka: KafkaSettings, since: float) -> AsyncIterator[ConsumerRecord]:
    topic = Topics(kafka.topic_prefix).deliveries
    consumer = AIOKafkaConsumer(
        **kafka.client_options(), group_id=None, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        partitions = await partitions_of(kafka, topic)
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        starts = await consumer.offsets_for_times(dict.fromkeys(partitions, int(since * 1000)))
        for partition in partitions:
            consumer.seek(partition, starts[partition].offset if starts[partition] else ends[partition])
        while behind := [each for each in partitions if await consumer.position(each) < ends[each]]:
            for records in (await consumer.getmany(*behind, timeout_ms=200, max_records=2_000)).values():
                for record in records:
                    yield record
    finally:
        await consumer.stop()
