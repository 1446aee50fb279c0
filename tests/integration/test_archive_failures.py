"""What stops the archive on real Kafka is one sentence, commits nothing, and loses nothing."""

import asyncio
import importlib.util
import os
import random
import re
import signal
import time
from datetime import timedelta
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer

from events.errors import NotReady
from sinks.archive import main
from sinks.archive.read import entries, gaps
from sinks.archive.settings import ArchiveSettings
from sinks.archive.storage import Folder

pytestmark = pytest.mark.kafka

_path = Path(__file__).parents[1] / "sinks" / "archive" / "processes.py"
_spec = importlib.util.spec_from_file_location("archive_processes", _path)
processes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(processes)


@pytest.fixture
def site(kafka_settings, tmp_path):
    """Return the site, and end its processes."""
    site = processes.Site(kafka_settings, tmp_path)
    yield site
    site.kill_all()


def test_records_that_left_kafka_need_the_operators_word(site):
    async def scenario() -> None:
        await site.publish(processes.event(0), processes.event(1))
        first = site.start()
        await site.until_archived()
        first.send_signal(signal.SIGSTOP)
        await asyncio.sleep(2)  # until Kafka has answered the read that was under way
        await site.publish(processes.event(2), processes.event(3), processes.event(4))
        await site.drop_records(5)  # offset 2 is the first transaction's marker
        first.send_signal(signal.SIGCONT)
        code, last = site.end(first)
        assert (code, last) == (
            2,
            "tocsin: Records left Kafka before they were archived: the next start names their offsets.",
        )
        code, last = site.end(site.start())
        assert code == 2
        assert re.fullmatch(
            r"tocsin: Offsets 3 to 4 of partition 0 of \S+ left Kafka .*ARCHIVE_ACCEPT_GAP=true.*", last
        )
        process = site.start(ARCHIVE_ACCEPT_GAP="true")
        await site.until_archived()
        site.stop(process)
        assert [(gap.first_offset, gap.next_offset) for gap in gaps(site.root)] == [(3, 5)]
        assert [offset for _, offset, _ in site.archived()] == [0, 1, 5]
        # A quiet partition whose whole log has left: nothing is missing.
        await site.drop_records(7)
        process, claims = site.start(), site.claims()
        await site.until(lambda: site.claims() == claims + 4)
        site.stop(process)
        assert "Traceback" not in site.log.read_text()

    asyncio.run(scenario())


def test_a_full_disk_ends_it_uncommitted(site):
    async def scenario() -> None:
        await site.publish(processes.event(0))
        await site.publish(processes.event(1, names={"noise": random.Random(0).randbytes(100_000).hex()}))
        code, last = site.end(site.start(largest_file=50_000))
        assert code == 2
        assert re.fullmatch(r"tocsin: The archive in \S+ failed \(File too large\): nothing is lost.*", last)
        assert "Traceback" not in site.log.read_text()
        assert not [entry for entry in entries(site.root) if entry.kind != "claim"]
        options = {"group_id": site.kafka.group("archive")}
        async with AIOKafkaConsumer(**site.kafka.client_options(), **options) as consumer:
            assert not await consumer.committed(site.partitions[0])
        process = site.start()
        await site.until_archived()
        site.stop(process)
        assert await site.compare() == 2

    asyncio.run(scenario())


@pytest.mark.long
def test_a_first_start_that_takes_its_time(site, monkeypatch, tmp_path):
    """Nothing is committed in the group yet: that must not matter, the manifest says where to begin."""
    ask = AIOKafkaConsumer.beginning_offsets

    async def slowly(self, partitions):
        await asyncio.sleep(3)
        return await ask(self, partitions)

    monkeypatch.setattr(AIOKafkaConsumer, "beginning_offsets", slowly)

    async def scenario() -> None:
        await site.publish(processes.event(0), processes.event(1))
        settings = ArchiveSettings(flush_every=timedelta(seconds=0.2), admin_port=0, _env_file=None)
        task = asyncio.create_task(main._run(settings, site.kafka, Folder(site.root)))
        await asyncio.wait([task, asyncio.create_task(site.until_archived())], return_when="FIRST_COMPLETED")
        assert not task.done(), task.result()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(task, 30)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {
                "ARCHIVE_URL": "s3://bucket/archive",
                "ARCHIVE_S3_ENDPOINT": "http://127.0.0.1:1",
                "ARCHIVE_S3_ACCESS_KEY_ID": "key",
                "ARCHIVE_S3_SECRET_ACCESS_KEY": "secret",
                "ARCHIVE_S3_PATIENCE": "1s",
            },
            r"bucket s3://bucket/archive cannot be used",
        ),
        ({"ARCHIVE_URL": "file:///dev/null/archive"}, r"folder /dev/null/archive cannot be used \(Not a directory\)"),
        ({"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, "Kafka does not answer at 127.0.0.1:1"),
        ({"KAFKA_TOPIC_PREFIX": "none."}, r"Topic none\.[a-z.-]+v1 does not exist; run `tocsin topics create`"),
        ({"ARCHIVE_ADMIN_PORT": "1", "ARCHIVE_ADMIN_HOST": "192.0.2.1"}, r"port 192\.0\.2\.1:1 cannot be opened"),
    ],
)
def test_what_is_missing_at_the_start_is_one_sentence(kafka_settings, monkeypatch, settings, sentence):
    given = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka_settings.bootstrap_servers,
        "KAFKA_TOPIC_PREFIX": kafka_settings.topic_prefix,
    }
    for name, value in (given | settings).items():
        monkeypatch.setenv(name, value)
    began = time.monotonic()
    with pytest.raises(NotReady, match=sentence):
        main.run()
    assert time.monotonic() - began < 60
