"""Everything that makes an event durable, put together: Kafka, the spool of this host, and the drain."""

import asyncio
import contextlib
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from events.errors import NotReady
from events.headers import parse_time
from events.settings import KafkaSettings
from events.topics import Topics
from ingest import cluster
from ingest.drain import Drain
from ingest.kafka_publisher import KafkaPublisher
from ingest.metrics import IngestMetrics
from ingest.partitioner import partition_of
from ingest.settings import IngestSettings
from ingest.spool import Spool, path_of
from ingest.spool_writer import SpoolWriter
from ingest.spooled import SpooledPublisher
from ingest.switch import CLOSED, Switch

LOOK_EVERY = 1.0
"""Seconds between looks at the size of the spool."""


@dataclass
class Durable:
    """The publisher, and how it fares."""

    publisher: SpooledPublisher
    kafka: KafkaPublisher
    writer: SpoolWriter
    switch: Switch
    events: int = 0
    bytes: int = 0
    oldest: str | None = None
    """When the first event in the spool was received."""

    def oldest_age(self, now: float) -> float:
        """Return how long that event waits by then (both in seconds); 0 when none does."""
        received_at = parse_time(self.oldest) if self.oldest and self.events else None
        return max(0.0, now - received_at.timestamp()) if received_at else 0.0

    def trouble(self) -> str | None:
        """Why an event would be refused just now, in one line, or None."""
        if self.writer.failing and (self.switch.state != CLOSED or self.kafka.trouble):
            return f"the spool cannot be written and {self.kafka.trouble or 'is not drained yet'}"
        return None

    def detail(self) -> dict[str, object]:
        """Say whether Kafka is away and what the spool holds; neither refuses an event."""
        spool: dict[str, object] = {"open": self.switch.state != CLOSED, "events": self.events, "bytes": self.bytes}
        if self.oldest:
            spool["oldest"] = self.oldest
        return {"kafka": self.kafka.trouble, "spool": spool}


class Files:
    """The spool's files of one topic in one folder."""

    def __init__(self, settings: IngestSettings, kafka: KafkaSettings) -> None:
        """Name them; nothing is made yet."""
        self.folder = settings.spool_folder()
        self.topic = Topics(kafka.topic_prefix).raw
        self._max_bytes = settings.spool_bytes
        self.partitions = kafka.partitions

    @property
    def exist(self) -> bool:
        """Whether this host has reached the topic before."""
        return path_of(self.folder, self.topic).exists()

    @property
    def turn(self) -> Path:
        """The file whose lock says who drains."""
        return self.folder / f"{self.topic}.drain"

    @contextlib.contextmanager
    def opened(self) -> Iterator[tuple[Switch, Callable[[], Spool]]]:
        """Open the switch, and as many views of the spool as asked for.

        Raises NotReady when the folder or file cannot be used.
        """
        with contextlib.ExitStack() as stack:
            with self._usable():
                self.folder.mkdir(parents=True, exist_ok=True)
                switch = Switch(self.folder / f"{self.topic}.switch")
            stack.callback(switch.close)

            def view() -> Spool:
                with self._usable():
                    spool = Spool(self.folder, self.topic, max_bytes=self._max_bytes, switch=switch)
                    stack.enter_context(spool)
                    spool.partitioned(self.partitions, partition_of)
                    return spool

            yield switch, view

    @contextlib.contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise NotReady(
                f"The spool in {self.folder} cannot be used ({error}): give INGEST_SPOOL a folder of this user on a "
                "disk that stays."
            ) from error


@contextlib.asynccontextmanager
async def durable(settings: IngestSettings, kafka: KafkaSettings, metrics: IngestMetrics) -> AsyncIterator[Durable]:
    """Connect, open the spool and drain it; where a spool is, the cluster may be away.

    Raises NotReady.
    """
    files = Files(settings, kafka)
    if not files.exist:  # a first start proves the settings; afterwards the door must open whatever Kafka does
        await (await cluster.connect(kafka)).stop()
    async with contextlib.AsyncExitStack() as stack:
        switch, view = stack.enter_context(files.opened())
        # In this order: when stopping, the drain ends first, then Kafka's last acknowledgements still reach the spool.
        writer = await stack.enter_async_context(SpoolWriter(view()))
        way = await stack.enter_async_context(KafkaPublisher(kafka, must_reach=False))
        drain = Drain(files.turn, view(), writer, way, switch, kafka.partitions, metrics.drained.inc)
        await stack.enter_async_context(drain)
        publisher = SpooledPublisher(
            way, writer, switch, lambda key: partition_of(key, kafka.partitions), metrics.spooled.inc
        )
        metrics.spool_disk_free.set_function(lambda: shutil.disk_usage(files.folder).free)
        found = Durable(publisher, way, writer, switch)
        watching = asyncio.create_task(_watch(found, drain, metrics))
        try:
            yield found
        finally:
            watching.cancel()


async def _watch(found: Durable, drain: Drain, metrics: IngestMetrics) -> None:
    """Keep the figures of the spool fresh."""
    while True:
        opened = found.switch.state != CLOSED
        if opened or found.events:
            found.events, found.bytes = await drain.size()
            found.oldest = await drain.oldest()
        metrics.spool_open.set(opened)
        metrics.spool_events.set(found.events)
        metrics.spool_bytes.set(found.bytes)
        metrics.spool_oldest.set(found.oldest_age(time.time()))
        await asyncio.sleep(LOOK_EVERY)
