"""What can be done about a gap that `tocsin reconcile` names, and the one thing it does itself."""

from collections.abc import Collection
from datetime import UTC, timedelta

from aiokafka import AIOKafkaProducer, TopicPartition

from events.settings import KafkaSettings
from ops.gaps import Gap, Kind
from ops.scan import Span, reading

EARLIER = timedelta(hours=1)
"""How long before its enriched record an event may have come in."""

_FILE = (
    "bring the file back from a backup, byte for byte; else an archive begun anew (ARCHIVE_URL of an empty folder) takes all "
    "that Kafka still has"
)
_REMEDIES: dict[Kind, str] = {
    "lost webhook": "`tocsin catch-up --since {since}` feeds what it still finds missing",
    "lost change": "`tocsin catch-up --since {since}` feeds what it still finds missing",
    "lost enriched record": "`tocsin reconcile --mend` hands what came in to the stream once more, which makes each event once",
    "lost archive file": _FILE,
    "lost row": _FILE,
    "lost receipt": "`tocsin replay --to {target} --since {since}` counts what it would send again: what was told without a "
    "receipt is told twice",
}


def remedy(kind: Kind, gaps: Collection[Gap]) -> str:
    """Say what to do about gaps of one kind."""
    times = [gap.at for gap in gaps if gap.at]
    since = (min(times) - EARLIER).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if times else "TIME"
    targets = sorted({gap.target for gap in gaps if gap.target})
    return _REMEDIES[kind].format(since=since, target=targets[0] if len(targets) == 1 else "TARGET")


async def feed(kafka: KafkaSettings, gaps: Collection[Gap]) -> int:
    """Write the raw record of each lost enriched one to the end of its partition, as it was; return how many.

    The event keeps its id: where it is made after all, or this is done twice, the stream drops the copy. So it does as
    long as it remembers an event whose record was lost behind it. Raises Unreachable, KafkaError.
    """
    fed = 0
    async with (
        reading(kafka) as reader,
        AIOKafkaProducer(**kafka.client_options(), acks="all", enable_idempotence=True) as producer,
    ):
        for gap in gaps:
            if gap.kind != "lost enriched record":
                continue
            topic, partition, offset = gap.place.rsplit("/", 2)
            place = TopicPartition(topic, int(partition))
            async for record in reader.records({place: Span(int(offset), int(offset) + 1)}):
                if record.offset != int(offset):
                    continue  # it has left Kafka since, and the reading began behind it
                await producer.send_and_wait(
                    topic, record.value, record.key, partition=place.partition, headers=list(record.headers)
                )
                fed += 1
    return fed
