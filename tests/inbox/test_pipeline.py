"""One look at the pipeline serves everybody who looks at that moment, and says no rate it cannot know."""

import asyncio

import pytest
import respx

from events.settings import KafkaSettings
from inbox.pipeline import Pipeline


class Counting(Pipeline):
    """A pipeline of one room that counts how often it is looked at."""

    looks = 0

    def __init__(self):
        super().__init__({"ingest": "http://ingest.example:8081"}, KafkaSettings(bootstrap_servers="127.0.0.1:9"))

    async def _ask_kafka(self):
        self._asking = None

    async def _look(self):
        self.looks += 1
        return await super()._look()


@pytest.fixture
def pipeline(monkeypatch):
    with respx.mock:
        respx.get("http://ingest.example:8081/healthz").respond(json={"ready": True})
        respx.get("http://ingest.example:8081/metrics").respond(text="tocsin_ingest_accepted_total 10\n")
        yield Counting()


def accepted(glance):
    return next(each.value for each in glance.rooms[0].figures if each.label == "accepted")


def test_many_viewers_are_one_look(pipeline):
    async def scenario():
        await asyncio.gather(*(pipeline.look() for _ in range(50)))
        await pipeline.look()

    asyncio.run(scenario())
    assert pipeline.looks == 1


def test_rates_need_an_earlier_look_that_is_not_long_ago(pipeline, monkeypatch):
    monkeypatch.setattr("inbox.pipeline.LOOK_EVERY", -1.0)

    async def scenario():
        return [accepted(await pipeline.look()) for _ in range(2)]

    assert asyncio.run(scenario()) == ["10", "10 · 0.0/s"]
    monkeypatch.setattr("inbox.pipeline.STALE", -1.0)
    assert accepted(asyncio.run(pipeline.look())) == "10"
