"""Kafka goes away under ingest: senders hear 200 all the same, and every event arrives, in order."""

import asyncio
import importlib.util
import json
import re
import subprocess
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from events.settings import KafkaSettings
from ingest.accept import RawRecord, accept
from ingest.kafka_publisher import KafkaPublisher
from ingest.publisher import NotPublished
from ops import topics
from sandbox.kafka import EmbeddedKafka

_path = Path(__file__).parents[1] / "ingest" / "processes.py"
_spec = importlib.util.spec_from_file_location("processes", _path)
processes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(processes)

pytestmark = pytest.mark.kafka


@pytest.fixture
def broker(tmp_path) -> Iterator[EmbeddedKafka]:
    """A broker of this test's own, to be killed."""
    own = EmbeddedKafka(tmp_path / "kafka")
    asyncio.run(own.start())
    yield own
    asyncio.run(own.stop())


def record(ident: str) -> RawRecord:
    content = json.dumps({"type": "test", "action": "sent", "id": ident}).encode()
    return accept(content, "soc", delivery_id=uuid.uuid4().hex, received_at=datetime.now(UTC))


@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_while_the_broker_is_away_events_are_accepted_and_kept_though_ingest_is_killed(broker, fault):
    kafka = KafkaSettings(bootstrap_servers=broker.bootstrap, partitions=4)

    async def scenario():
        await topics.ensure(kafka)
        async with processes.ingest(kafka) as first, processes.Senders(first.port) as senders:
            await senders.until_more(50)
            await asyncio.to_thread(broker.kill if fault == "kill" else broker.pause)
            await senders.until_more(50)
            health = await first.admin("/healthz")
            assert health.status_code == 200
            assert health.json()["kafka"]
            assert health.json()["spool"]["open"]
            assert senders.unanswered == 0
            first.process.kill()
            async with processes.ingest(kafka, first.port) as second:
                await senders.until_more(50)
                await asyncio.to_thread(broker.restart if fault == "kill" else broker.resume)
                await broker.ready()
                await processes.until_drained(second)
                await senders.until_more(50)
                # A broker just started may be slow once more: the spool opens again, as it should, and closes again.
                await processes.until_drained(second)
                metrics = (await second.admin("/metrics")).text
                assert await second.stop() == 0
                log = second.log
        assert senders.refused == []
        assert senders.slowest < 5.0  # two seconds, and a busy machine
        assert "tocsin_ingest_spool_open 0.0" in metrics
        told = {word: log.count(f'"{word}"') for word in ("kafka_away", "spooling", "kafka_back", "spool_drained")}
        assert all(1 <= count <= 3 for count in told.values()), told  # a line per change of state, not per event
        return senders, await processes.raw_records(kafka)

    senders, found = asyncio.run(scenario())
    senders.assert_nothing_is_missing(found)


@pytest.mark.skipif(
    subprocess.run([*processes.NAMESPACE, "true"], check=False, capture_output=True).returncode != 0,
    reason="this machine lets nobody make a small disk",
)
def test_with_a_full_disk_and_no_broker_it_refuses_politely_and_recovers(broker):
    kafka = KafkaSettings(bootstrap_servers=broker.bootstrap, partitions=4)

    async def scenario():
        await topics.ensure(kafka)
        async with processes.ingest(kafka, disk="24m") as running, processes.Senders(running.port, 100_000) as senders:
            await senders.until_more(20)
            await asyncio.to_thread(broker.pause)
            async with asyncio.timeout(60):
                while len(senders.refused) < 20:
                    await asyncio.sleep(0.05)
            assert (await running.admin("/healthz")).status_code == 503
            await asyncio.to_thread(broker.resume)
            await processes.until_drained(running)
            await senders.until_more(20)
            assert senders.unanswered == 0
            assert await running.stop() == 0
            assert 1 <= running.log.count('"spool_not_writable"') <= 3  # at the brink, room comes and goes
        assert {(answer.status_code, answer.headers["retry-after"]) for answer in senders.refused} == {(503, "5")}
        return senders, await processes.raw_records(kafka)

    senders, found = asyncio.run(scenario())
    senders.assert_nothing_is_missing(found)


def test_a_record_refused_while_the_broker_hangs_arrives_once_when_it_goes_on(broker):
    kafka = KafkaSettings(bootstrap_servers=broker.bootstrap, partitions=4)
    before, late, after = map(record, ("before", "late", "after"))

    async def scenario():
        await topics.ensure(kafka)
        async with KafkaPublisher(kafka, ack_within=2) as publisher:
            await publisher.publish(before)
            broker.pause()
            try:
                with pytest.raises(NotPublished):
                    await publisher.publish(late)
                assert publisher.trouble
            finally:
                broker.resume()
            async with asyncio.timeout(60):
                while publisher.trouble:
                    await asyncio.sleep(0.05)
            await publisher.publish(after)
        return [found.value for found in await processes.raw_records(kafka)]

    values = asyncio.run(scenario())
    assert len(values) == 3
    assert {late.value, after.value} < set(values)


def test_the_spool_of_a_host_that_is_gone_is_drained_by_hand(broker):
    kafka = KafkaSettings(bootstrap_servers=broker.bootstrap, partitions=4)

    async def scenario():
        await topics.ensure(kafka)
        async with processes.ingest(kafka, INGEST_SPOOL="spool") as running:
            busy = await processes.drain(kafka)
            async with processes.Senders(running.port) as senders:
                await senders.until_more(20)
                broker.pause()
                await senders.until_more(20)
            running.process.kill()
            broker.resume()
        return senders, busy, await processes.drain(kafka), await processes.raw_records(kafka)

    senders, busy, done, found = asyncio.run(scenario())
    assert busy[0] == 2
    assert "A running ingest drains the spool" in busy[1]
    assert done[0] == 0
    assert re.search(r"^[1-9]\d* events were brought to Kafka; the spool is empty\.", done[1], re.MULTILINE)
    senders.assert_nothing_is_missing(found)
