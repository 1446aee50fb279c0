"""What every test gets: no setting of the machine it runs on, and Kafka when it asks."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import settings

from events.settings import KafkaSettings
from ops import topics
from sandbox.kafka import EmbeddedKafka

# A busy machine is no finding: what is slow is measured in bench/, not by a test's own time.
settings.register_profile("tocsin", deadline=None)
settings.load_profile("tocsin")

OURS = (
    *(
        "ARCHIVE_",
        "CATCH_UP_",
        "HEARTBEAT_",
        "INBOX_",
        "INGEST_",
        "KAFKA_",
        "SEKOIA_",
        "SILENCE_",
        "SINKS_",
        "STREAM_",
        "TEAMS_",
        "TOCSIN_",
        "WATCH_",
    ),
)


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Run in an empty folder (no .env, no data) without our variables."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.upper().startswith(OURS):
            monkeypatch.delenv(name)
    monkeypatch.setenv("SINKS_ALLOW_NETWORKS", "127.0.0.0/8,::1/128")  # where all the servers of the tests are


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One broker for the whole run; its address. Use a topic prefix of your own."""
    broker = EmbeddedKafka(tmp_path_factory.mktemp("kafka"))
    asyncio.run(broker.start())
    yield broker.bootstrap
    asyncio.run(broker.stop())


@pytest.fixture(scope="session")
def kafka3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """Three brokers for the whole run, started when first asked for; leave all three running and `ready`."""
    cluster = EmbeddedKafka(tmp_path_factory.mktemp("kafka3"), nodes=3)
    asyncio.run(cluster.start())
    yield cluster
    asyncio.run(cluster.stop())


@pytest.fixture
def topic_prefix() -> str:
    """A prefix no other test has."""
    return f"t{uuid4().hex[:8]}."


@pytest.fixture
def kafka_settings(kafka: str, topic_prefix: str) -> KafkaSettings:
    """Settings for the broker, with all topics of the contract there, four partitions each."""
    settings = KafkaSettings(bootstrap_servers=kafka, topic_prefix=topic_prefix, partitions=4)
    asyncio.run(topics.ensure(settings))
    return settings


@pytest.fixture
def kafka3_settings(kafka3: EmbeddedKafka, topic_prefix: str) -> KafkaSettings:
    """Like `kafka_settings`, on three brokers: three copies, of which two must be in sync."""
    settings = KafkaSettings(bootstrap_servers=kafka3.bootstrap, topic_prefix=topic_prefix, partitions=4)
    asyncio.run(topics.ensure(settings))
    return settings
