"""What the feeder does beside reading never holds up what came."""

import asyncio
from datetime import timedelta

import pytest
from aiokafka import ConsumerRecord, TopicPartition

from events.codec import encode
from events.settings import KafkaSettings
from inbox.channel import LEAST, MOST, rest
from inbox.feeder import Feeder
from tests.inbox.conftest import PLACE, event

PARTITION = TopicPartition(*PLACE)


async def forever(step):
    while True:
        await step()


class Consumer:
    """Has one record after another; its cluster does not answer commits until told to."""

    def __init__(self):
        self.offset = 0
        self.committed = []
        self.answers = asyncio.Event()
        self.away = False

    async def getmany(self, **_):
        self.offset += 1
        value = encode(event(self.offset))
        record = ConsumerRecord(*PLACE, self.offset - 1, 0, 0, None, value, None, 0, len(value), ())
        return {PARTITION: [record]}

    async def position(self, _):
        return self.offset

    async def commit(self, offsets):
        self.committed.append(offsets)
        await self.answers.wait()
        if self.away:
            raise OSError("away")

    async def stop(self): ...


@pytest.fixture
def feeder(inbox, monkeypatch):
    async def partitions(*_):
        await asyncio.Event().wait()

    monkeypatch.setattr("inbox.feeder._partitions", partitions)
    monkeypatch.setattr("inbox.feeder.TELL_GROUP", 0.0)
    kafka = KafkaSettings(bootstrap_servers="127.0.0.1:9")
    made = Feeder(kafka, inbox.store, history=timedelta(days=1), accept_gap=False)
    made._positions = {PARTITION: 0}
    return made


def test_records_are_written_while_the_cluster_does_not_answer(feeder):
    async def scenario():
        consumer = feeder._consumer = Consumer()
        async with asyncio.timeout(20):
            steps = [await feeder.step() for _ in range(5)]
            assert [each.records for each in steps] == [1] * 5
            assert len(consumer.committed) == 1
            consumer.away = True
            consumer.answers.set()
            with pytest.raises(OSError, match="away"):
                await forever(feeder.step)
            await feeder.__aexit__(OSError, OSError(), None)

    asyncio.run(scenario())


def test_what_is_told_to_the_group_was_written_before(feeder, inbox):
    async def scenario():
        consumer = feeder._consumer = Consumer()
        consumer.answers.set()
        await feeder.step()
        await feeder.step()
        await asyncio.sleep(0)
        await feeder.__aexit__(None, None, None)
        return consumer.committed

    told = [each[PARTITION] for each in asyncio.run(scenario())]
    assert told == [0, 1, 2]
    assert told[-1] == inbox.store.positions()[PLACE]


def test_one_page_rests_little_and_many_views_do_not_take_a_core():
    making, sending = 0.0025, 0.00004
    assert rest(1, 1) < LEAST * 1.1
    assert rest(10_000, 500) == MOST
    for pages, views in ((1, 1), (200, 1), (200, 20), (50, 50)):
        assert (views * making + pages * sending) / rest(pages, views) < 0.5
