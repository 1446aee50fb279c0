"""After the topics have grown: give each partition the dedupe marks of the keys that are its own now."""

import time
from collections.abc import Callable
from contextlib import AsyncExitStack, aclosing
from datetime import UTC, datetime, timedelta

from aiokafka.errors import KafkaError, ProducerFenced

from events.errors import NotReady
from events.settings import KafkaSettings
from events.topics import Topics
from ingest.partitioner import partition_of
from ops.scan import Span, reading, scan
from stream.checkpoint import Ledger
from stream.marks import MINUTE
from stream.outbox import Outbox
from stream.restore import SLACK, apply_enriched, restore

MARGIN = timedelta(days=1)
"""How much older than the window a mark may be and still move: a spool may give back events of before the growth."""

Show = Callable[[str, int, int], None]
"""Takes what is being done, how much of it is done, and of how much."""


async def move(kafka: KafkaSettings, window: timedelta, show: Show) -> int:
    """Write a checkpoint for each partition, with the marks of records that lie elsewhere but have its keys; return how many.

    Any number of times: it looks at where each record lies, not at what was done before. The owners of all partitions
    are fenced first. Raises NotReady when one comes back meanwhile.
    """
    try:
        async with AsyncExitStack() as stack:
            return await _move(kafka, window, show, stack)
    except (ProducerFenced, TimeoutError) as error:
        raise NotReady("A stream worker was started meanwhile: stop it, then run this again.") from error


async def _move(kafka: KafkaSettings, window: timedelta, show: Show, stack: AsyncExitStack) -> int:
    topics, group, client = Topics(kafka.topic_prefix), kafka.group("stream"), kafka.client_options()
    outboxes: list[Outbox] = []
    ledgers: list[tuple[Ledger, list[int]]] = []
    for number in range(kafka.partitions):
        outbox = Outbox(number, f"{group}-{number}", client)
        stack.push_async_callback(_close, outbox)
        await outbox.fence()
        restored = await restore(number, group, topics, client, window)
        outboxes.append(outbox)
        ledgers.append((restored.ledger, [each.offset for each in restored.pending.values()]))
        show("partitions read", number + 1, kafka.partitions)
    moved = await _gather(kafka, [ledger for ledger, _ in ledgers], window, show)
    for number, (outbox, (ledger, pending)) in enumerate(zip(outboxes, ledgers, strict=True), 1):
        records = ledger.checkpoint(time.monotonic(), 0.0, pending)
        await outbox.write(lambda records=records: records)  # type: ignore[misc]
        show("partitions written", number, kafka.partitions)
    return moved


async def _gather(kafka: KafkaSettings, ledgers: list[Ledger], window: timedelta, show: Show) -> int:
    moved = 0
    since = await _last_raw(kafka) - window - SLACK - MARGIN
    topic = Topics(kafka.topic_prefix).enriched
    progress: Callable[[int, int], None] = lambda done, total: show("enriched records read", done, total)  # noqa: E731
    async with aclosing(scan(kafka, topic, since=since, progress=progress)) as records:
        async for record in records:
            if record.key is None or (place := partition_of(record.key, len(ledgers))) == record.partition:
                continue
            marks = apply_enriched({}, record.key, record.value, record.headers, record.offset)
            ledgers[place].wrote(marks, int(record.timestamp / 1000 // MINUTE))
            moved += len(marks)
    return moved


async def _last_raw(kafka: KafkaSettings) -> datetime:
    """Return when the newest raw record was written, now where there is none: then the topic was closed."""
    newest = 0
    async with reading(kafka) as reader:
        spans = await reader.spans(await reader.partitions(Topics(kafka.topic_prefix).raw))
        last = {place: Span(max(span.start, span.end - 1), span.end) for place, span in spans.items()}
        async for record in reader.records(last):
            newest = max(newest, record.timestamp)
    now = datetime.now(UTC)
    return min(now, datetime.fromtimestamp(newest / 1000, UTC)) if newest else now


async def _close(outbox: Outbox) -> None:
    try:
        await outbox.close()
    except KafkaError:
        return  # fenced: `move` says so
