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
LONGEST = 600.0
"""Seconds a worker may be silent after one; so far back a new worker listens."""
LAST_WORDS = 3.0
"""Seconds a command that ends waits for the brokers to have its words."""
WAITING = 20
"""Words that wait for the brokers; more would be stale anyway."""

Heard = Callable[[str, float], None]
"""Takes the reason, and the seconds for which the other is silent yet."""


class Gossip:
    """Tell the others, and hear them; best effort, for whoever hears nothing still stops at an error of its own."""

    def __init__(self, kafka: KafkaSettings, heard: Heard) -> None:
        self._client = kafka.client_options()
        topic = Topics(kafka.topic_prefix).marks
        self._partitions = [TopicPartition(topic, number) for number in range(kafka.partitions)]
        self._heard = heard
        self._name = secrets.token_hex(8)
        self._words: asyncio.Queue[bytes] = asyncio.Queue(WAITING)
        self.up_to_date = asyncio.Event()
        """Set when everything was heard that others said before this worker started."""

    def tell(self, reason: str, silent_for: float) -> None:
        """Say that a call has failed, and how many seconds none will follow."""
        now = time.time()
        word = {"worker": self._name, "at": now, "reason": reason, "until": now + silent_for}
        if not self._words.full():
            self._words.put_nowait(orjson.dumps(word))

    async def said(self, running: asyncio.Task[None]) -> None:
        """Wait a moment until everything told is with the brokers; `running` is the task of `run`."""
        if not running.done():
            said = asyncio.create_task(self._words.join())
            await asyncio.wait([said, running], timeout=LAST_WORDS, return_when=asyncio.FIRST_COMPLETED)
            said.cancel()

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
                self._words.task_done()

    async def _send(self, producer: AIOKafkaProducer, partition: TopicPartition, word: bytes) -> bool:
        try:
            await producer.send_and_wait(partition.topic, word, KEY, partition.partition)
        except KafkaError:
            return False
        return True

    async def _listen(self) -> None:
        # On from the end where a partition lost what was only on its leader: that is in another partition.
        consumer = AIOKafkaConsumer(**self._client, auto_offset_reset="latest", enable_auto_commit=False)
        async with consumer:
            ends = await self._go_back(consumer)
            while True:
                if not self.up_to_date.is_set() and all([await consumer.position(p) >= end for p, end in ends.items()]):
                    self.up_to_date.set()
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    for record in records:
                        if record.key == KEY:
                            self.hear(record.value)

    async def _go_back(self, consumer: AIOKafkaConsumer) -> dict[TopicPartition, int]:
        """Read from what may still matter on; a worker that was killed has forgotten its own errors too."""
        places = self._partitions[:COPIES]
        consumer.assign(places)
        since = int((time.time() - LONGEST) * 1000)
        ends: dict[TopicPartition, int] = await consumer.end_offsets(places)
        found = await consumer.offsets_for_times(dict.fromkeys(places, since))
        for place in places:
            consumer.seek(place, found[place].offset if found[place] else ends[place])
        return ends

    def hear(self, word: bytes | None) -> None:
        """Take one word; our own, stale ones and what is none are passed over."""
        try:
            said = orjson.loads(word or b"")
            worker, at, reason, until = (said[name] for name in ("worker", "at", "reason", "until"))
            silent = min(until - time.time(), LONGEST)
            if worker != self._name and (abs(time.time() - at) < FRESH or silent > 0):
                self._heard(str(reason)[:200], max(silent, 0.0))
        except (ValueError, TypeError, KeyError):
            log.warning("gossip_not_understood")
