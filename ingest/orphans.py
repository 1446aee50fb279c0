"""`tocsin ingest drain`: bring a spool that no ingest drains any more to the raw topic."""

import contextlib

import structlog
import uvloop
from prometheus_client import CollectorRegistry

from events.errors import NotReady
from events.settings import KafkaSettings
from ingest.drain import Drain, Taken, turn
from ingest.durable import Files
from ingest.kafka_publisher import KafkaPublisher
from ingest.metrics import IngestMetrics
from ingest.settings import IngestSettings
from ingest.spool_writer import SpoolWriter

log = structlog.get_logger()


def run() -> int:
    """Drain INGEST_SPOOL and return how many events it held.

    Raises NotReady when there is no spool, Kafka is away, or a running ingest drains it.
    """
    return uvloop.run(_drain(IngestSettings(), KafkaSettings()))


async def _drain(settings: IngestSettings, kafka: KafkaSettings) -> int:
    files = Files(settings, kafka)
    if not files.exist:
        raise NotReady(f"There is no spool of {files.topic} in {files.folder}: name its folder in INGEST_SPOOL.")
    async with contextlib.AsyncExitStack() as stack:
        try:
            stack.enter_context(turn(files.turn))
        except Taken:
            raise NotReady(f"A running ingest drains the spool in {files.folder} by itself.") from None
        switch, view = stack.enter_context(files.opened())
        writer = await stack.enter_async_context(SpoolWriter(view()))
        way = await stack.enter_async_context(KafkaPublisher(kafka))
        count = IngestMetrics(CollectorRegistry()).drained.inc
        drain = Drain(files.turn, view(), writer, way, switch, kafka.partitions, count)
        return await drain.work(until_empty=True)
