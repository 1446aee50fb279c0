"""The dead letters nobody has dealt with: counted as their topic is read, so that the page tells of now and not of once."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import KafkaError

from events.headers import FATE, LETTER, as_text
from events.settings import KafkaSettings
from events.topics import Topics
from inbox.text import clean

MOST = 200_000
"""Letters noted; of more the page says that there are more."""

AGAIN, LOOK = 15.0, 60.0
"""Seconds until a cluster that is away is asked anew, and between two looks at what retention has taken."""

log = structlog.get_logger()


class Letters:
    """What lies in the dead letters topic, without what was redriven or dropped."""

    def __init__(self) -> None:
        self._open: dict[tuple[int, int], tuple[str, str]] = {}
        self._known: dict[tuple[str, str], tuple[str, str]] = {}
        self.current = False
        """Whether everything there is has been read."""
        self.more = False
        """Whether there are more than are noted."""

    def take(self, partition: int, offset: int, headers: Mapping[str, str]) -> None:
        """Take a record: a letter, or an entry of the ledger, which lies behind its letter in the same partition."""
        if FATE in headers:
            if headers.get(LETTER, "").isdecimal():
                self._open.pop((partition, int(headers[LETTER])), None)
        elif "stage" in headers:
            self.more = self.more or len(self._open) >= MOST
            if len(self._open) < MOST:
                where = clean(headers["stage"], 60), clean(headers.get("target"), 200)
                self._open[partition, offset] = self._known.setdefault(where, where)

    def leave(self, begins: Mapping[int, int]) -> None:
        """Forget letters before where their partitions begin: Kafka has them no more."""
        self._open = {place: where for place, where in self._open.items() if place[1] >= begins.get(place[0], 0)}

    def counts(self) -> list[tuple[str, str, int]]:
        """Return stage, target ("" for none) and number of the open ones, the most first."""
        found = Counter(self._open.values())
        return [(stage, target, count) for (stage, target), count in sorted(found.items(), key=lambda each: -each[1])]


async def run(kafka: KafkaSettings, letters: Letters) -> None:
    """Read the topic from its beginning and go on, until cancelled; a cluster that is away is asked again."""
    while True:
        try:
            await _read(kafka, letters)
        except (KafkaError, OSError) as error:  # TimeoutError is one
            log.info("letters_unknown", reason=type(error).__name__)
        letters.current = False
        await asyncio.sleep(AGAIN)


async def _read(kafka: KafkaSettings, letters: Letters) -> None:
    # Without a group every partition is read, those added later too.
    consumer = AIOKafkaConsumer(
        Topics(kafka.topic_prefix).dead_letters,
        **kafka.client_options(),
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=5000,
    )
    await consumer.start()
    letters.more = False
    try:
        looked_at = -LOOK
        loop = asyncio.get_running_loop()
        while True:
            for records in (await consumer.getmany(timeout_ms=1000, max_records=500)).values():
                _take(letters, records)
            if not letters.current:
                ends = await consumer.end_offsets(list(consumer.assignment()))
                letters.current = all([await consumer.position(each) >= end for each, end in ends.items()])
            if loop.time() - looked_at > LOOK:
                looked_at = loop.time()
                begins = await consumer.beginning_offsets(list(consumer.assignment()))
                letters.leave({each.partition: offset for each, offset in begins.items()})
    finally:
        await consumer.stop()


def _take(letters: Letters, records: Iterable[ConsumerRecord]) -> None:
    for record in records:
        letters.take(record.partition, record.offset, as_text(record.headers))
