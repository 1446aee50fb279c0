"""The topics on a cluster: created once, compared in full, and clear when the cluster is not there."""

import asyncio
import socket
import time

import pytest

from events.errors import NotReady
from events.settings import KafkaSettings
from events.topics import contract
from ops import topic_shape, topics
from ops.topic_shape import Found


def settings(**given) -> KafkaSettings:
    return KafkaSettings(**{"bootstrap_servers": "127.0.0.1:1", "partitions": 4} | given)


@pytest.mark.parametrize(
    ("brokers", "given", "replication", "min_isr"),
    [
        (1, {}, 1, "1"),
        (2, {}, 2, "1"),
        (3, {}, 3, "2"),
        (9, {}, 3, "2"),
        (3, {"replication_factor": 2}, 2, "1"),
        (5, {"replication_factor": 5, "min_isr": 3}, 5, "3"),
    ],
)
def test_copies_follow_the_brokers_unless_told(brokers, given, replication, min_isr):
    kafka = settings(**given)
    topic = contract(kafka)[0]
    new = topics._new(topic, kafka, brokers)
    assert (new.num_partitions, new.replication_factor) == (4, replication)
    assert new.topic_configs == topic.config | {"min.insync.replicas": min_isr}


def test_more_acknowledgements_than_copies_are_refused():
    kafka = settings(min_isr=2)
    with pytest.raises(NotReady, match="KAFKA_MIN_ISR is 2, but there is one copy"):
        topics._new(contract(kafka)[0], kafka, 1)


def test_every_difference_is_a_line_that_says_what_to_do():
    kafka = settings()
    topic = contract(kafka)[0]
    right = topic.config | {"min.insync.replicas": "2"}
    assert topic_shape.differing(topic, kafka, 3, Found(4, 3), right) == []
    assert topic_shape.differing(topic, kafka, 3, Found(4, 5), right) == []  # more copies are no fault
    assert topic_shape.differing(topic, kafka, 2, Found(4, 3), right) == []  # one of three brokers is down
    wrong = right | {"retention.ms": "1", "min.insync.replicas": "1"}
    alter = "kafka-configs.sh --bootstrap-server 127.0.0.1:1 --alter --entity-type topics --entity-name tocsin.raw.v1"
    alter += " --add-config"
    retention = f"retention.ms={topic.config['retention.ms']}"
    lines = topic_shape.differing(topic, kafka, 3, Found(3, 1), wrong)
    assert [line.partition(": ")[2] for line in lines] == [
        "3 partitions, must be 4 (KAFKA_PARTITIONS): " + topic_shape.OTHER_PARTITIONS,
        "replication 1, must be 3: " + topic_shape.FEWER_COPIES,
        f"retention.ms is 1, must be {topic.config['retention.ms']}: {alter} {retention}",
        f"min.insync.replicas is 1, must be 2: {alter} min.insync.replicas=2",
    ]
    assert {line.partition(": ")[0] for line in lines} == {"tocsin.raw.v1"}


@pytest.mark.parametrize("ask", [topics.ensure, topics.differences])
def test_nobody_listening_is_one_sentence(ask):
    with pytest.raises(NotReady, match=r"Kafka at 127\.0\.0\.1:1 cannot be reached"):
        asyncio.run(ask(settings()))


def test_a_cluster_that_never_answers_does_not_hold_us(monkeypatch):
    monkeypatch.setattr(topics, "WITHIN", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        kafka = settings(bootstrap_servers=f"127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(NotReady, match=r"within 0\.3 s"):
            asyncio.run(topics.differences(kafka))
        assert time.monotonic() - began < 5


def test_a_broker_that_hears_of_a_topic_later_is_asked_again(monkeypatch):
    """Right after their creation in a cluster of three, any of them may still say that a topic is missing."""
    all_of_them = {topic.name: Found(4, 3) for topic in contract(settings())}
    answers = [{}, dict(list(all_of_them.items())[:2]), all_of_them]

    async def found(_admin: object) -> dict[str, Found]:
        return answers.pop(0) if len(answers) > 1 else answers[0]

    monkeypatch.setattr(topics, "_found", found)
    assert asyncio.run(topics._known(None, settings())) == all_of_them


@pytest.mark.kafka
def test_two_creators_at_once_make_each_topic_once(kafka, topic_prefix):
    own = settings(bootstrap_servers=kafka, topic_prefix=topic_prefix)

    async def race() -> list[list[str]]:
        return await asyncio.gather(*(topics.ensure(own) for _ in range(3)))

    created = [name for names in asyncio.run(race()) for name in names]
    assert sorted(created) == sorted(topic.name for topic in contract(own))
    assert asyncio.run(topics.ensure(own)) == []
    assert asyncio.run(topics.differences(own)) == []


@pytest.mark.kafka
def test_create_says_what_it_did_and_warns_about_one_broker(kafka, topic_prefix, capsys):
    own = settings(bootstrap_servers=kafka, topic_prefix=topic_prefix)
    topics.create(own)
    first = capsys.readouterr()
    assert f"created  {topic_prefix}raw.v1: 4 partitions, replication 1" in first.out
    assert "this cluster has 1 broker, not 3" in first.err
    topics.create(own)
    assert f"exists   {topic_prefix}raw.v1: 4 partitions, replication 1" in capsys.readouterr().out
    assert topics.check(own) == 0
    assert "All 7 topics are as they must be." in capsys.readouterr().out


@pytest.mark.kafka
def test_check_sees_other_partitions_and_missing_topics(kafka, topic_prefix, capsys):
    asyncio.run(topics.ensure(settings(bootstrap_servers=kafka, topic_prefix=topic_prefix)))
    assert topics.check(settings(bootstrap_servers=kafka, topic_prefix=topic_prefix, partitions=6)) == 1
    assert f"{topic_prefix}raw.v1: 4 partitions, must be 6" in capsys.readouterr().out
    assert topics.check(settings(bootstrap_servers=kafka, topic_prefix=f"{topic_prefix}x.")) == 1
    assert f"{topic_prefix}x.raw.v1: missing" in capsys.readouterr().out


@pytest.mark.kafka
def test_what_kafka_refuses_is_told_in_its_words(kafka, topic_prefix):
    own = settings(bootstrap_servers=kafka, topic_prefix=topic_prefix, replication_factor=3)
    with pytest.raises(NotReady, match=f"Kafka refuses to create {topic_prefix}.*replication"):
        asyncio.run(topics.ensure(own))


@pytest.mark.kafka
def test_three_brokers_keep_three_copies_and_answer_when_one_is_dead(kafka3, topic_prefix, capsys):
    own = settings(bootstrap_servers=kafka3.bootstrap, topic_prefix=topic_prefix)
    asyncio.run(topics.ensure(own))
    assert "WARNING" not in capsys.readouterr().err
    assert asyncio.run(topics.differences(own)) == []
    kafka3.kill(1)
    try:
        assert asyncio.run(topics.differences(own)) == []
    finally:
        kafka3.restart(1)
        asyncio.run(kafka3.ready())
