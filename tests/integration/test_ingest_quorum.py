"""Three brokers under ingest: a leader moves, then the quorum is lost; senders hear 200 all the while and nothing is lost."""

import asyncio
import importlib.util
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient

from events.settings import KafkaSettings
from events.topics import Topics
from ops import topics

_path = Path(__file__).parents[1] / "ingest" / "processes.py"
_spec = importlib.util.spec_from_file_location("processes", _path)
processes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(processes)

pytestmark = pytest.mark.kafka


async def leader_of_the_first(kafka: KafkaSettings) -> int:
    client = AIOKafkaClient(bootstrap_servers=kafka.bootstrap_servers)
    await client.bootstrap()
    try:
        client.add_topic(Topics(kafka.topic_prefix).raw)
        await client.force_metadata_update()
        return client.cluster.leader_for_partition(TopicPartition(Topics(kafka.topic_prefix).raw, 0))
    finally:
        await client.close()


def test_a_leader_moves_and_the_quorum_is_lost_and_nobody_is_refused(kafka3, topic_prefix):
    kafka = KafkaSettings(
        bootstrap_servers=kafka3.bootstrap, topic_prefix=topic_prefix, partitions=4, replication_factor=3, min_isr=2
    )

    async def scenario():
        await topics.ensure(kafka)
        async with processes.ingest(kafka) as running, processes.Senders(running.port) as senders:
            await senders.until_more(50)
            first = await leader_of_the_first(kafka)
            second = first % 3 + 1
            try:
                await asyncio.to_thread(kafka3.kill, first)
                await senders.until_more(50)  # its partitions find new leaders meanwhile
                await asyncio.to_thread(kafka3.kill, second)
                await senders.until_more(50)
                assert (await running.admin("/healthz")).json()["spool"]["open"]
            finally:
                for node in (first, second):
                    await asyncio.to_thread(kafka3.restart, node)
                await kafka3.ready()
            await processes.until_drained(running)
            await senders.until_more(50)
            assert (senders.refused, senders.unanswered) == ([], 0)
            assert senders.slowest < 2.5  # two seconds, and a busy machine
        return senders, await processes.raw_records(kafka)

    senders, found = asyncio.run(scenario())
    senders.assert_nothing_is_missing(found)
