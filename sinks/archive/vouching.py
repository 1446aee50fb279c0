"""Puts a head over what this process has archived, every hour, and tells its hash where others keep it."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import islice

import structlog
from aiokafka import AIOKafkaProducer

from sinks.archive import heads
from sinks.archive.heads import Tip
from sinks.archive.manifest import BrokenManifest, Manifest
from sinks.archive.signing import Signer
from sinks.archive.storage import Store
from sinks.archive.writer import PartitionWriter

LOOKED_AT = 100
"""Newest heads among which the last one over our partitions is: other processes put theirs in the same chain."""

log = structlog.get_logger()


def _utc() -> datetime:
    return datetime.now(UTC)


class Voucher:
    """Vouches for the newest entries; a hash in the log and in Kafka outlives whoever can write to the archive."""

    def __init__(
        self,
        store: Store,
        every: timedelta,
        writer: str,
        signer: Signer | None,
        producer: AIOKafkaProducer,
        topic: str,
        now: Callable[[], datetime] = _utc,
    ) -> None:
        self._store = store
        self._every = every
        self._writer = writer
        self._signer = signer
        self._producer = producer
        self._topic = topic
        self._now = now
        self._last: datetime | None = None
        self._told: tuple[Tip, ...] = ()

    async def vouch(self, writers: Iterable[PartitionWriter]) -> None:
        """Put a head when it is time and there is something new."""
        if self._last and timedelta(0) <= self._now() - self._last < self._every:
            return
        tips = tuple(writer.tip for writer in writers if writer.tip is not None)
        if not tips:
            return
        if self._last is None:  # who is started anew every half hour vouches every hour all the same
            self._last = min(self._now(), await asyncio.to_thread(self._before, tips))
            return
        self._last = self._now()
        if tips == self._told:
            return
        digest, raw = await asyncio.to_thread(heads.append, self._store, tips, self._writer, self._signer)
        log.info("archive_head", head=digest, partitions=len(tips), signed=self._signer is not None)
        await self._producer.send_and_wait(self._topic, raw, key=digest.encode())
        self._told = tips

    def _before(self, tips: tuple[Tip, ...]) -> datetime:
        """Return when the last head over one of our partitions was put, by whomever, or else its first entry."""
        ours = {(tip.topic, tip.partition) for tip in tips}
        try:
            for number in islice(reversed(heads.numbers(self._store)), LOOKED_AT):
                head, _ = heads.read(self._store, number)
                if any((tip.topic, tip.partition) in ours for tip in head.tips):
                    return head.created_at
            return Manifest(self._store, tips[0].topic, tips[0].partition).read(0)[0].created_at
        except (
            BrokenManifest,
            FileNotFoundError,
        ):  # `tocsin archive verify` names it; here it is a reason to vouch now
            return datetime.min.replace(tzinfo=UTC)
