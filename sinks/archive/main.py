"""The archive as a process: what it needs, how it ends, and one sentence where it cannot go on."""

import asyncio
import signal
from collections.abc import Collection

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, OffsetOutOfRangeError

from events.errors import NotReady
from events.settings import KafkaSettings
from events.topics import Topics
from sinks import health
from sinks.archive.consumer import Archive
from sinks.archive.manifest import BrokenManifest, Superseded
from sinks.archive.settings import ArchiveSettings
from sinks.archive.shapes import archived
from sinks.archive.signing import Signer, load_signer
from sinks.archive.storage import Store


def run() -> None:
    """Archive until SIGTERM or SIGINT.

    Raises NotReady, also for what stops it later: nothing is committed then, and another start goes on where it was.
    """
    settings, kafka = ArchiveSettings(), KafkaSettings()
    store = settings.store()
    store.check()
    signer = load_signer(settings.signing_key) if settings.signing_key else None
    try:
        asyncio.run(_run(settings, kafka, store, signer))
    except OSError as error:
        reason = error.strerror or error
        raise NotReady(
            f"The archive in {store.name} failed ({reason}): nothing is lost, start again once it is mended."
        ) from error
    except OffsetOutOfRangeError as error:
        raise NotReady("Records left Kafka before they were archived: the next start names their offsets.") from error
    except (Superseded, BrokenManifest) as error:
        raise NotReady(str(error)) from error


async def _run(settings: ArchiveSettings, kafka: KafkaSettings, store: Store, signer: Signer | None = None) -> None:
    topics = Topics(kafka.topic_prefix)
    shapes = archived(topics, settings.topics.split(","))
    await _check(kafka, {*shapes, topics.dead_letters, topics.archive_heads})
    consumer = AIOKafkaConsumer(
        **kafka.client_options(),
        group_id=kafka.group("archive"),
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="none",
        session_timeout_ms=10_000,
        heartbeat_interval_ms=2_500,
        max_partition_fetch_bytes=4 << 20,
    )
    producer = AIOKafkaProducer(**kafka.client_options(), acks="all", enable_idempotence=True, max_request_size=4 << 20)
    archive = Archive(settings, topics, store, consumer, producer, signer)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, archive.stop)
    await producer.start()
    try:
        health.serve(settings.admin_host, settings.admin_port, archive.health)
        await consumer.start()
        consumer.subscribe([*shapes], listener=archive)
        await archive.run()
    finally:
        await consumer.stop()
        await producer.stop()


async def _check(kafka: KafkaSettings, topics: Collection[str]) -> None:
    admin = AIOKafkaAdminClient(**kafka.client_options())
    try:
        await admin.start()
        there = set(await admin.list_topics())
    except KafkaConnectionError as error:
        raise NotReady(f"Kafka does not answer at {kafka.bootstrap_servers}.") from error
    finally:
        await admin.close()
    for topic in sorted(topics):
        if topic not in there:
            raise NotReady(f"Topic {topic} does not exist; run `tocsin topics create`.")
