"""Which events a target has receipts of, and since when that is known: from the archive where Kafka has them no more."""

from datetime import UTC, datetime

from aiokafka import TopicPartition

from ops import life
from ops.archive_files import listed
from ops.archive_rows import Wanted, rows
from ops.life_targets import SHOWN
from ops.replay import EVER, Got
from ops.scan import Reader, Span
from sinks.archive.storage import Root
from stream.restore import SLACK


async def by_target(reader: Reader, place: TopicPartition, target: str, since: datetime, root: Root | None) -> Got:
    """Read the receipts of a partition that tell of what came in since then. Raises NotReady, BrokenManifest."""
    kept = (await reader.spans([place]))[place]
    start = (await reader.places({place: kept}, since - SLACK))[place]
    got, known = Got(set()), Got(set()).since
    if 0 < start == kept.start:  # what is older has left Kafka
        got = archived(root, place, kept.start, target, since - SLACK) if root else Got(set(), None)
        known = got.since
    mark = f'"target":"{target}"'.encode()
    async for record in reader.records({place: Span(start, kept.end)}):
        known = known or _after(datetime.fromtimestamp(record.timestamp / 1000, UTC))
        one = life.receipt(record.value) if record.value and mark in record.value else None
        if one and one.target == target and one.outcome in SHOWN:
            got.events.add(one.event_id)
    return Got(got.events, known or datetime.now(UTC))


def archived(root: Root, place: TopicPartition, below: int, target: str, since: datetime) -> Got:
    """Read the archived receipts below an offset; since when all are known is None where the archive lacks the last of them.

    Raises BrokenManifest, Unreadable.
    """
    whole, wanted = Span(0, below), Wanted("receipt_at", since, values={"target": target})
    told = rows(root, place.topic, place.partition, whole, ["event_id", "outcome"], wanted)
    events = {row["event_id"] for row in told if row["outcome"] in SHOWN}
    known = listed(root, place.topic, place.partition, whole, since)
    if known.next_offset < below:
        return Got(events, None)
    if not known.begin:
        return Got(events)
    later, ever = Span(known.begin, below), Wanted("receipt_at", EVER)
    first = next(rows(root, place.topic, place.partition, later, ["receipt_at"], ever), None)
    return Got(events, _after(first["receipt_at"]) if first else None)


def _after(receipt: datetime) -> datetime:
    """Return since when an event came in whose receipt, by any host's clock, was not written before this one."""
    return receipt + SLACK
