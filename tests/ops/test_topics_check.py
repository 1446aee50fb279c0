"""`tocsin topics check` on a cluster somebody set up by hand: each difference, what to do, and a code that is not 0."""

import asyncio

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from events.settings import KafkaSettings
from events.topics import Topics, contract
from ops import topic_shape, topics

pytestmark = pytest.mark.kafka

WRONG = {
    "raw": {"retention.ms": "3600000", "max.message.bytes": "1000"},
    "enriched": {"message.timestamp.type": "CreateTime", "cleanup.policy": "compact"},
    "marks": {"cleanup.policy": "delete"},
    "redeliveries": {"min.insync.replicas": "2"},
    "deliveries": {},
    "archive_heads": {},
}


def own(kafka: str, prefix: str) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=kafka, topic_prefix=prefix, partitions=4)


async def set_up_by_hand(settings: KafkaSettings) -> None:
    """Make the topics, all but the dead letters, each with a mistake; `deliveries` has too few partitions."""
    by_name = {topic.name: topic for topic in contract(settings)}
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    try:
        made = []
        for what, wrong in WRONG.items():
            topic = by_name[getattr(Topics(settings.topic_prefix), what)]
            partitions = 3 if what == "deliveries" else topic.partitions
            config = {"min.insync.replicas": "1"} | topic.config | wrong
            made.append(NewTopic(topic.name, partitions, 1, topic_configs=config))
        answer = await admin.create_topics(made)
        assert [error for _name, error, _text in answer.topic_errors if error] == []
        while not await topics._have_leaders(admin, {topic.name for topic in made}):  # the broker hears of them later
            await asyncio.sleep(0.05)
    finally:
        await admin.close()


def test_each_difference_is_named_with_what_to_do(kafka, topic_prefix, capsys):
    settings = own(kafka, topic_prefix)
    asyncio.run(set_up_by_hand(settings))
    assert topics.check(settings) == 1
    lines = capsys.readouterr().out.splitlines()
    must = {f"{t.name} {name}": value for t in contract(settings) for name, value in t.config.items()}
    must[f"{topic_prefix}redeliveries.v1 min.insync.replicas"] = "1"
    expected = [f"{topic_prefix}dead-letters.v1: missing: run `tocsin topics create`"]
    expected.append(
        f"{topic_prefix}deliveries.v1: 3 partitions, must be 4 (KAFKA_PARTITIONS): {topic_shape.OTHER_PARTITIONS}"
    )
    for what, wrong in WRONG.items():
        name = f"{topic_prefix}{what}.v1"
        for config, value in wrong.items():
            right = must[f"{name} {config}"]
            expected.append(
                f"{name}: {config} is {value}, must be {right}: kafka-configs.sh --bootstrap-server {kafka} "
                f"--alter --entity-type topics --entity-name {name} --add-config {config}={right}"
            )
    assert sorted(lines) == sorted(expected)


def test_what_the_advice_says_mends_it(kafka, topic_prefix, capsys):
    """Every setting named is altered as the line says, and only what cannot be altered is left."""
    settings = own(kafka, topic_prefix)
    asyncio.run(set_up_by_hand(settings))
    topics.check(settings)
    advised: dict[str, dict[str, str]] = {}
    for line in capsys.readouterr().out.splitlines():
        name, _, change = line.partition(" --entity-name ")[2].partition(" --add-config ")
        if change:
            key, _, value = change.partition("=")
            advised.setdefault(name, {})[key] = value
    topics.create(settings)

    async def alter() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
        await admin.start()
        try:
            for name, changes in advised.items():
                whole = {topic.name: topic.config for topic in contract(settings)}[name] | changes
                resource = ConfigResource(ConfigResourceType.TOPIC, name, configs=whole)
                for answer in await admin.alter_configs([resource]):
                    assert [text for code, text, *_ in answer.resources if code] == []
        finally:
            await admin.close()

    async def until_the_broker_has_heard() -> None:
        end = asyncio.get_running_loop().time() + 30
        while len(left := await topics.differences(settings)) > 1:
            assert asyncio.get_running_loop().time() < end, left
            await asyncio.sleep(0.1)

    asyncio.run(alter())
    asyncio.run(until_the_broker_has_heard())
    capsys.readouterr()
    assert topics.check(settings) == 1
    left = capsys.readouterr().out.splitlines()
    assert len(left) == 1, left
    assert left[0].startswith(f"{topic_prefix}deliveries.v1: 3 partitions, must be 4")


def test_a_cluster_of_three_with_one_copy_is_told_so(kafka3, topic_prefix, capsys):
    sloppy = KafkaSettings(
        bootstrap_servers=kafka3.bootstrap, topic_prefix=topic_prefix, partitions=1, replication_factor=1
    )
    topics.create(sloppy)
    assert topics.check(sloppy) == 0
    capsys.readouterr()
    assert topics.check(KafkaSettings(bootstrap_servers=kafka3.bootstrap, topic_prefix=topic_prefix, partitions=1)) == 1
    lines = capsys.readouterr().out.splitlines()
    assert f"{topic_prefix}raw.v1: replication 1, must be 3: {topic_shape.FEWER_COPIES}" in lines
    assert any(line.startswith(f"{topic_prefix}raw.v1: min.insync.replicas is 1, must be 2: ") for line in lines)
