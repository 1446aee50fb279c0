"""The watch on a real Kafka: a change is one record, however often it is told, and what the topics say is seen."""

import asyncio
import time

import pytest
from aiokafka import AIOKafkaProducer

from events.codec import decode_enriched
from events.headers import FATE, LETTER, as_text
from events.state_changes import is_own, told
from events.topics import Topics, contract
from ops import watch_kafka
from ops.scan import scan
from ops.watch_change import Change
from ops.watch_tell import Teller
from sinks import rules_file
from sinks.window import is_urgent

RULES = """\
targets:
  ops-chat: {type: mattermost, url: "http://127.0.0.1:9/hooks/a"}
  ops-log: {type: log}
rules: [{name: all, match: all, notify: ops-chat}]
operators: [ops-chat, ops-log]
"""
pytestmark = pytest.mark.kafka


def change(raised=True, **more):
    now = time.time()
    return Change("target_unavailable/soc", raised=raised, since=1_700_000_000.0, at=now, **more)


def teller(kafka, saved):
    return Teller(kafka, rules_file.parse(RULES, "t.yml", {}), lambda: saved.append(1))


async def records(kafka):
    return [record async for record in scan(kafka, Topics(kafka.topic_prefix).enriched)]


def test_a_watch_that_is_killed_between_kafka_and_its_disk_tells_nothing_twice(kafka_settings):
    async def run():
        saved = []
        told_before_the_kill = change()
        await teller(kafka_settings, saved).tell([told_before_the_kill], carries=True, served={"ops-chat", "ops-log"})
        assert saved  # that it tries is on disk before Kafka has it
        untold = [change(tried=True, told=["ops-log"]), change(raised=False)]
        for _ in range(2):
            await teller(kafka_settings, saved).tell(untold, carries=True, served={"ops-chat", "ops-log"})
        assert untold == []
        return await records(kafka_settings)

    found = asyncio.run(run())
    assert [as_text(one.headers)["event-id"].rpartition("/")[2] for one in found] == ["raised", "recovered"]
    assert len({one.partition for one in found}) == 1
    events = [decode_enriched(one.value) for one in found]
    assert all(is_own(event) for event in events)
    assert all(map(is_urgent, found))
    assert told(events[0]) == ()


def test_what_could_not_be_written_is_not_lost(kafka_settings):
    async def run():
        away = kafka_settings.model_copy(update={"bootstrap_servers": "127.0.0.1:1"})
        untold = [change()]
        await teller(away, []).tell(untold, carries=True, served={"ops-chat", "ops-log"})
        assert [each.tried for each in untold] == [True]
        await teller(kafka_settings, []).tell(untold, carries=True, served={"ops-chat", "ops-log"})
        assert untold == []
        return await records(kafka_settings)

    assert len(asyncio.run(run())) == 1


def test_a_dead_letter_is_seen_with_its_cause_and_what_redrive_writes_is_none(kafka_settings):
    topic = Topics(kafka_settings.topic_prefix).dead_letters
    letter = [("stage", b"sink"), ("target", b"soc"), ("reason", b"HTTP 400\x1b[2J")]

    async def bury(*headers):
        options = kafka_settings.client_options() | {"transactional_id": "letters"}
        async with AIOKafkaProducer(**options) as producer, producer.transaction():
            for each in headers:
                await producer.send(topic, b"x", headers=each, partition=0)

    async def run():
        looks = [await watch_kafka.look(kafka_settings, (), {})]
        for records in ([letter], [letter, letter], [[(FATE, b"redriven"), (LETTER, b"0")]], []):
            if records:
                await bury(*records)
            looks.append(await watch_kafka.look(kafka_settings, (), looks[-1].letters.places))
        return looks

    looks = asyncio.run(run())
    cause = "sink soc (HTTP 400[2J)"
    assert [each.letters.new for each in looks] == [(), [cause], [cause] * 2, [], []]
    assert all(each.lags is not None for each in looks)


def test_a_cluster_that_is_away_says_nothing(kafka_settings):
    away = kafka_settings.model_copy(update={"bootstrap_servers": "127.0.0.1:1"})
    assert asyncio.run(watch_kafka.look(away, (), {})) is None


def test_missing_topics_are_named_and_none_is_created_by_the_question(kafka_settings):
    other = kafka_settings.model_copy(update={"topic_prefix": f"{kafka_settings.topic_prefix}gone."})

    async def run():
        return [await watch_kafka.look(other, (), {}) for _ in range(2)]

    for said in asyncio.run(run()):
        assert list(said.missing) == [each.name for each in contract(other)]
        assert (said.letters, said.lags) == (None, None)
