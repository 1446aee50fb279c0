"""Puts a head over what this process has archived, every hour, and tells its hash where others keep it."""

import asyncio
import time
from collections.abc import Iterable
from datetime import timedelta

import structlog
from aiokafka import AIOKafkaProducer

from sinks.archive import heads
from sinks.archive.heads import Tip
from sinks.archive.signing import Signer
from sinks.archive.storage import Store
from sinks.archive.writer import PartitionWriter

log = structlog.get_logger()


class Voucher:
    """Vouches for the newest entries; a hash in the log and in Kafka outlives whoever can write to the archive."""

    def __init__(
        self, store: Store, every: timedelta, writer: str, signer: Signer | None, producer: AIOKafkaProducer, topic: str
    ) -> None:
        self._store = store
        self._every = every.total_seconds()
        self._writer = writer
        self._signer = signer
        self._producer = producer
        self._topic = topic
        self._last = time.monotonic()
        self._told: tuple[Tip, ...] = ()

    async def vouch(self, writers: Iterable[PartitionWriter]) -> None:
        """Put a head when it is time and there is something new."""
        if time.monotonic() - self._last < self._every:
            return
        self._last = time.monotonic()
        tips = tuple(writer.tip for writer in writers if writer.tip is not None)
        if not tips or tips == self._told:
            return
        digest, raw = await asyncio.to_thread(heads.append, self._store, tips, self._writer, self._signer)
        log.info("archive_head", head=digest, partitions=len(tips), signed=self._signer is not None)
        await self._producer.send_and_wait(self._topic, raw, key=digest.encode())
        self._told = tips
