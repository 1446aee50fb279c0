"""What the workers tell each other: errors of the Alert API, because the vendor counts those of one address together."""

import asyncio
import secrets
import time
from collections.abc import Callable

import orjson
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from events.settings import KafkaSettings
from events.topics import Topics

log = structlog.get_logger()

KEY = b"gossip"
"""Key in the topic of the marks; whoever restores marks passes it over."""
COPIES = 3
"""Partitions each word is written to: their leaders are rarely all away at once."""
FRESH = 10.0
"""Seconds for which an error is of interest (the period of the vendor's rule)."""
WAITING = 20
"""Words that wait for the brokers; more would be stale anyway."""

Heard = Callable[[str, float | None], None]
"""Takes the reason, and the pause the vendor asked for in seconds."""


class Gossip:
    """Tell the others, and hear them; best effort, for whoever hears nothing still stops at an error of its own."""

    def __init__(self, kafka: KafkaSettings, heard: Heard) -> None:
        self._client = kafka.client_options()
        topic = Topics(kafka.topic_prefix).marks
        self._partitions = [TopicPartition(topic, number) for number in range(kafka.partitions)]
        self._heard = heard
        self._name = secrets.token_hex(8)
        self._words: asyncio.Queue[bytes] = asyncio.Queue(WAITING)

    def tell(self, reason: str, retry_after: float | None) -> None:
        """Say that a call has failed."""
        word = {"worker": self._name, "at": time.time(), "reason": reason, "retry_after": retry_after}
        if not self._words.full():
            self._words.put_nowait(orjson.dumps(word))

    async def run(self) -> None:
        """Speak and listen until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._speak())
            tasks.create_task(self._listen())

    async def _speak(self) -> None:
        # acks=1: it must be heard now, and nobody misses it later.
        async with AIOKafkaProducer(**self._client, acks=1, linger_ms=0, request_timeout_ms=5000) as producer:
            while True:
                word = await self._words.get()
                sent = [self._send(producer, each, word) for each in self._partitions[:COPIES]]
                if not any(await asyncio.gather(*sent)):
                    log.warning("gossip_unheard")

    async def _send(self, producer: AIOKafkaProducer, partition: TopicPartition, word: bytes) -> bool:
        try:
            await producer.send_and_wait(partition.topic, word, KEY, partition.partition)
        except KafkaError:
            return False
        return True

    async def _listen(self) -> None:
        # From the end, also where a partition lost what was only on its leader: old words are worth nothing.
        consumer = AIOKafkaConsumer(**self._client, auto_offset_reset="latest", enable_auto_commit=False)
        async with consumer:
            consumer.assign(self._partitions[:COPIES])
            await consumer.seek_to_end()
            while True:
                for records in (await consumer.getmany(timeout_ms=60_000)).values():
                    for record in records:
                        if record.key == KEY:
                            self.hear(record.value)

    def hear(self, word: bytes | None) -> None:
        """Take one word; our own, stale ones and what is none are passed over."""
        try:
            said = orjson.loads(word or b"")
            worker, at, reason, pause = (said[name] for name in ("worker", "at", "reason", "retry_after"))
            if worker != self._name and abs(time.time() - at) < FRESH:
                self._heard(str(reason)[:200], None if pause is None else float(pause))
        except (ValueError, TypeError, KeyError):
            log.warning("gossip_not_understood")
