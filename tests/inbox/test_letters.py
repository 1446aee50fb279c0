"""Dead letters are counted as they are now: what was dealt with, or left Kafka, counts no more."""

import asyncio

import pytest
from aiokafka import AIOKafkaProducer

from events.topics import Topics
from inbox.letters import Letters, run
from inbox.pipeline import AWAY, Glance
from inbox.rendering import Pages

SINK = {"stage": "sink", "target": "soc-teams"}


def entry(offset, fate="redriven"):
    return {"ledger": fate, "letter-offset": str(offset)}


def test_what_was_redriven_dropped_or_left_kafka_is_not_open(monkeypatch):
    letters = Letters()
    for offset in range(5):
        letters.take(0, offset, SINK)
    letters.take(1, 0, {"stage": "stream"})
    letters.take(0, 5, entry(3))
    letters.take(0, 6, entry(4, "dropped"))
    letters.take(0, 7, entry("nonsense"))
    letters.take(0, 8, {"of": "nobody"})
    assert letters.counts() == [("sink", "soc-teams", 3), ("stream", "", 1)]
    letters.leave({0: 2, 1: 0})
    assert letters.counts() == [("sink", "soc-teams", 1), ("stream", "", 1)]
    monkeypatch.setattr("inbox.letters.MOST", 2)
    letters.take(0, 9, SINK)
    assert (letters.more, sum(count for *_, count in letters.counts())) == (True, 2)


@pytest.mark.parametrize(
    ("found", "state", "said"),
    [
        (None, "well", "Not counted yet"),
        ([], "well", "None is open"),
        ([("sink", "<b>soc</b>", 1200)], "watch", "<td>&lt;b&gt;soc&lt;/b&gt;</td><td>1,200</td>"),
    ],
)
def test_the_page_says_what_is_open_now(found, state, said):
    glance = Glance([], [], "", letters=found)
    assert glance.state == state
    assert said in Pages().page("glance.html", glance=glance, AWAY=AWAY)


@pytest.mark.kafka
def test_the_topic_is_followed(kafka_settings):
    topic, letters = Topics(kafka_settings.topic_prefix).dead_letters, Letters()

    async def until(condition):
        while not condition():
            await asyncio.sleep(0.05)

    async def scenario():
        async with AIOKafkaProducer(**kafka_settings.client_options()) as producer:

            async def send(headers):
                pairs = [(name, value.encode()) for name, value in headers.items()]
                return (await producer.send_and_wait(topic, b"x", partition=1, headers=pairs)).offset

            first = await send(SINK)
            reading = asyncio.create_task(run(kafka_settings, letters))
            await until(lambda: letters.current)
            assert letters.counts() == [("sink", "soc-teams", 1)]
            await send({"stage": "stream"})
            await until(lambda: len(letters.counts()) == 2)
            await send(entry(first))
            await until(lambda: letters.counts() == [("stream", "", 1)])
            reading.cancel()
            await asyncio.wait([reading])

    asyncio.run(asyncio.wait_for(scenario(), 60))
