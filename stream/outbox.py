"""What one partition writes: fenced transactions, so that a former owner can never write after us."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer

TIME_LIMIT = 30.0
"""Seconds for a start or a transaction; aiokafka itself may try for ever."""
APART = 0.008
"""Seconds from the end of a transaction to the next one. The brokers write its markers after they have answered, and refuse
another one until then; aiokafka waits 20 ms or more before it tries again (KAFKA-5477). Measured on one broker: back to
back a transaction takes 28 to 41 ms, after a breath 5 to 10."""
MAX_BATCH = 1_000_000
"""Bytes the brokers take at once: under the smallest `max.message.bytes` of the topics written here."""


@dataclass(slots=True)
class Output:
    """One record to write, to the same partition number it came from."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class Outbox:
    """The transactional producer of one partition.

    Every error is fatal for the process: after a failed transaction only a new start can tell what was written.
    """

    def __init__(self, partition: int, transactional_id: str, client: dict[str, Any]) -> None:
        self._partition = partition
        self._transactional_id = transactional_id
        self._client = client
        self._producer: AIOKafkaProducer | None = None
        self._turn = asyncio.Lock()
        self._ended = -APART

    async def fence(self) -> None:
        """Start; from here on the former owner's producer is refused by the brokers."""
        self._producer = AIOKafkaProducer(
            **self._client,
            transactional_id=self._transactional_id,
            acks="all",
            linger_ms=0,
            max_request_size=4 * 1024 * 1024,
            max_batch_size=MAX_BATCH,
            transaction_timeout_ms=int(TIME_LIMIT * 1000),
        )
        async with asyncio.timeout(TIME_LIMIT):
            await self._producer.start()

    async def write(
        self, make: Callable[[], Sequence[Output]], written: Callable[[Sequence[int]], None] = lambda _: None
    ) -> None:
        """Write all that `make` returns or none of it; call `written` with their offsets when the brokers have it.

        Both are called before anybody else may write, so what they note and what they tell agree.
        """
        if self._producer is None:
            raise RuntimeError("write before fence")
        loop = asyncio.get_running_loop()
        async with self._turn, asyncio.timeout(TIME_LIMIT):
            await asyncio.sleep(max(0.0, self._ended + APART - loop.time()))
            if outputs := make():
                await self._producer.begin_transaction()
                offsets = await self._send(self._producer, outputs)
                await self._producer.commit_transaction()
                self._ended = loop.time()
                written(offsets)

    async def _send(self, producer: AIOKafkaProducer, outputs: Sequence[Output]) -> list[int]:
        """Send batch by batch: one record at a time costs more than all the rest of a record's way."""
        places: defaultdict[str, list[int]] = defaultdict(list)
        for place, output in enumerate(outputs):
            places[output.topic].append(place)
        sent: list[tuple[list[int], asyncio.Future[Any]]] = []
        for topic, wanted in places.items():
            batch, start = producer.create_batch(), 0
            for number, place in enumerate(wanted):
                if not self._append(batch, outputs[place]):
                    sent.append((wanted[start:number], await self._send_batch(producer, batch, topic)))
                    batch, start = producer.create_batch(), number
                    self._append(batch, outputs[place])
            sent.append((wanted[start:], await self._send_batch(producer, batch, topic)))
        offsets = [-1] * len(outputs)
        for batched, future in sent:
            first = (await future).offset
            if first < 0:
                raise RuntimeError("the brokers did not say where a record is")
            for number, place in enumerate(batched):
                offsets[place] = first + number
        return offsets

    def _append(self, batch: Any, output: Output) -> bool:
        appended = batch.append(timestamp=None, key=output.key, value=output.value, headers=list(output.headers))
        if appended is None and not batch.record_count():
            raise ValueError(f"a record of {len(output.value or b'')} bytes fits no batch")
        return appended is not None

    async def _send_batch(self, producer: AIOKafkaProducer, batch: Any, topic: str) -> "asyncio.Future[Any]":
        batch.close()
        future: asyncio.Future[Any] = await producer.send_batch(batch, topic, partition=self._partition)
        return future

    async def close(self) -> None:
        """Stop; an open transaction is left to the next owner's fence."""
        if self._producer is not None:
            async with asyncio.timeout(TIME_LIMIT):
                await self._producer.stop()
