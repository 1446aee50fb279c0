"""What one partition writes: fenced transactions, so that a former owner can never write after us."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer

TIME_LIMIT = 30.0
"""Seconds for a start or a transaction; aiokafka itself may try for ever."""


@dataclass(frozen=True)
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

    async def fence(self) -> None:
        """Start; from here on the former owner's producer is refused by the brokers."""
        self._producer = AIOKafkaProducer(
            **self._client,
            transactional_id=self._transactional_id,
            acks="all",
            linger_ms=0,
            max_request_size=4 * 1024 * 1024,
            max_batch_size=256 * 1024,
            transaction_timeout_ms=int(TIME_LIMIT * 1000),
        )
        async with asyncio.timeout(TIME_LIMIT):
            await self._producer.start()

    async def write(self, outputs: Sequence[Output]) -> None:
        """Write all of them or none, and return when the brokers have them."""
        if self._producer is None:
            raise RuntimeError("write before fence")
        async with self._turn, asyncio.timeout(TIME_LIMIT):
            await self._producer.begin_transaction()
            sent = [
                await self._producer.send(o.topic, o.value, o.key, self._partition, headers=list(o.headers))
                for o in outputs
            ]
            await asyncio.gather(*sent)
            await self._producer.commit_transaction()

    async def close(self) -> None:
        """Stop; an open transaction is left to the next owner's fence."""
        if self._producer is not None:
            async with asyncio.timeout(TIME_LIMIT):
                await self._producer.stop()
