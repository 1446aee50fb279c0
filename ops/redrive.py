"""Bring dead letters back on their way, or put them away for good: each once, whoever else is at it."""

import asyncio
import uuid
from asyncio import Future
from collections.abc import Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.errors import IllegalOperation, KafkaError, ProducerFenced

from events.errors import NotReady
from events.headers import FATE, LETTER, as_text, isoformat, restored
from events.settings import KafkaSettings
from events.topics import Topics
from ops import kafka_errors
from ops.letters import JOB, Box, Fate, Letter, Place, Wanted
from ops.scan import Progress, scan
from ops.visible import nothing_hidden

AT_A_TIME = 100
"""Letters in one transaction."""

OPEN_FOR = 60.0
"""Seconds to wait for open transactions; the stream's end, one way or the other, after 30."""

Headers = list[tuple[str, bytes]]
Route = tuple[str, Headers]
"""A topic, and the headers of the record that goes there."""


@dataclass(frozen=True)
class Way:
    """Which way a redriven letter can take: a letter to a target that nobody runs would be read by nobody, and gone."""

    targets: Collection[str] | None = None
    """Those of the rules; None where no rules are at hand to ask."""
    to: str = ""
    """The target that gets other targets' letters, which may have had another name when they were buried."""

    def has(self, letter: Letter) -> bool:
        """Say whether there is a way back: the archive reads what everybody reads, nothing can be sent to it alone."""
        if letter.stage != "sink":
            return letter.stage == "stream"
        if letter.target in ("", "archive"):
            return False
        return self.targets is None or (self.to or letter.target) in self.targets


ANYWHERE = Way()


class Overtaken(NotReady):
    """Somebody else began to redrive or drop meanwhile."""


async def look(kafka: KafkaSettings, progress: Progress) -> Box:
    """Return every letter there is, without the values."""
    box = Box()
    async for record in scan(kafka, Topics(kafka.topic_prefix).dead_letters, progress=progress):
        box.take(record)
    return box


class Desk:
    """The one place where letters are dealt with; `async with` it takes it over from whoever had it.

    A letter and its entry in the ledger are written in one transaction, and the ledger is read only after the former
    holder of the desk was fenced off: no letter goes out twice, whatever is killed, and however many try.
    """

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._topics = Topics(kafka.topic_prefix)
        self.job = uuid.uuid4().hex[:12]

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(
            **self._kafka.client_options(),
            transactional_id=f"{self._kafka.topic_prefix}dead-letters",
            acks="all",
            max_request_size=4 * 1024 * 1024,
        )
        with kafka_errors.told(self._kafka):
            await self._producer.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._producer.stop()

    async def settle(
        self, wanted: Wanted, fate: Fate, progress: Progress, done: Callable[[int], None], way: Way = ANYWHERE
    ) -> int:
        """Redrive or drop every open letter that is meant; return how many.

        Raises Overtaken, and NotReady while somebody's transaction hides what lies behind it.
        """
        # An open transaction of the stream hides the ledger too.
        await nothing_hidden(self._kafka, self._topics.dead_letters, OPEN_FOR)
        box = await look(self._kafka, progress)
        chosen = {letter.place for letter in box.open(wanted) if fate == "dropped" or way.has(letter)}
        held: list[ConsumerRecord] = []
        settled = 0
        partitions = {place.partition for place in chosen}
        async with aclosing(scan(self._kafka, self._topics.dead_letters, partitions=partitions)) as records:
            async for record in records:
                if Place(record.partition, record.offset) in chosen:
                    held.append(record)
                if len(held) == AT_A_TIME:
                    settled += await self._write(held, fate, way)
                    done(settled)
                    held = []
        settled += await self._write(held, fate, way)
        done(settled)
        return settled

    async def _write(self, records: Sequence[ConsumerRecord], fate: Fate, way: Way = ANYWHERE) -> int:
        if not records:
            return 0
        sent: list[Future[Any]] = []
        try:
            async with self._producer.transaction():
                moves = (move for each in records for move in self._moves(each, fate, way))
                for topic, record, value, headers in moves:
                    sent.append(await self._send(topic, record, value, headers))
                await asyncio.gather(*sent)
        except (ProducerFenced, IllegalOperation):  # the latter where the fence came down between two sends
            await asyncio.gather(*sent, return_exceptions=True)
            raise Overtaken(
                "Somebody else began to redrive or drop letters, so this stops; what was done is done once. "
                "Look with `tocsin dead-letters list` what is left."
            ) from None
        except KafkaError as error:
            await asyncio.gather(*sent, return_exceptions=True)
            raise NotReady(
                f"Kafka at {self._kafka.bootstrap_servers} does not do its part ({error!r}): what was done is done once, "
                "say it again for the rest."
            ) from error
        return len(records)

    async def _send(self, topic: str, record: ConsumerRecord, value: bytes | None, headers: Headers) -> Future[Any]:
        # To the partition of the same number: the topics are keyed alike, and a ledger's entry must lie behind its letter.
        sent: Future[Any] = await self._producer.send(
            topic, value, record.key, partition=record.partition, headers=headers
        )
        return sent

    def _moves(
        self, record: ConsumerRecord, fate: Fate, way: Way
    ) -> list[tuple[str, ConsumerRecord, bytes | None, Headers]]:
        """Return what is written of a letter, all of it or nothing."""
        entry = (self._topics.dead_letters, record, None, self._entry(record, fate))
        if fate == "dropped":
            return [entry]
        topic, headers = route(self._topics, record, self.job, way.to)
        return [(topic, record, record.value, headers), entry]

    def _entry(self, record: ConsumerRecord, fate: Fate) -> Headers:
        values = {FATE: fate, LETTER: str(record.offset), JOB: self.job, "at": isoformat(datetime.now(UTC))}
        return [(name, value.encode()) for name, value in values.items()]


def route(topics: Topics, record: ConsumerRecord, job: str, to: str = "") -> Route:
    """Return where a letter goes: back to raw as it was, or to the one target that refused it, or to another instead."""
    headers = as_text(record.headers)
    if headers["stage"] == "stream":
        return topics.raw, restored(record.headers)
    marks = {"target": to or headers["target"], "cause": "redrive", JOB: job}
    return topics.redeliveries, [(name, value.encode()) for name, value in marks.items()]
