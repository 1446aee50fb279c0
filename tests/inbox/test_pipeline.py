"""One look at the pipeline serves everybody who looks at that moment, and says no rate it cannot know."""

import asyncio

import pytest
import respx
from aiokafka.errors import KafkaConnectionError

from events.settings import KafkaSettings
from inbox.lag import Lag
from inbox.pipeline import AWAY, Glance, Pipeline, Room, _lateness
from inbox.rendering import Pages


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

    assert asyncio.run(scenario()) == ["10", "0.0/s · 10"]
    monkeypatch.setattr("inbox.pipeline.STALE", -1.0)
    assert accepted(asyncio.run(pipeline.look())) == "10"


@pytest.mark.parametrize(
    ("lag", "state"),
    [
        (Lag("a", 0, None), "well"),
        (Lag("a", 3, None), "well"),
        (Lag("a", 50_000, None), "watch"),
        (Lag("a", 50_000, 2.0), "well"),
        (Lag("a", 1, 31.0), "watch"),
        (Lag("a", 1, 301.0), "wrong"),
        (Lag("a", 0, None, lost=1), "wrong"),
    ],
)
def test_a_group_is_green_only_where_it_is_known_to_keep_up(lag, state):
    assert _lateness(lag) == state


def shown(glance):
    return Pages().page("glance.html", glance=glance, AWAY=AWAY)


def test_kafka_that_is_away_is_red_and_shows_no_lag_of_before(monkeypatch):
    pipeline = Pipeline({}, KafkaSettings(bootstrap_servers="127.0.0.1:9"))
    pipeline._lags = [Lag("inbox", 0, None)]
    monkeypatch.setattr("inbox.pipeline.Lags", lambda _: Refusing())
    glance = asyncio.run(pipeline.look())
    assert (glance.state, glance.lags) == ("wrong", [])
    assert 'class="warning wrong"' in shown(glance)


class Refusing:
    async def __aenter__(self):
        raise KafkaConnectionError("refused")

    async def __aexit__(self, *_): ...


def test_what_left_kafka_unread_is_said_beside_its_group(monkeypatch):
    glance = Glance([Room("ingest", "well", "ready")], [(Lag("sink.soc", 7, 1.0, lost=1200), "wrong")], "")
    assert glance.state == "wrong"
    assert "falls behind, 1,200 left Kafka unread" in shown(glance)


SINKS = """tocsin_sink_delivered_total{target="soc-teams",outcome="delivered"} 40
tocsin_sink_delivered_total{target="mail",outcome="delivered"} 2
tocsin_sink_unavailable{target="soc-teams"} 0
tocsin_sink_unavailable{target="mail"} 1
"""


@respx.mock
def test_each_target_has_a_tile_and_the_one_that_cannot_be_reached_is_named():
    respx.get("http://sinks.example:8083/healthz").respond(json={"ready": True})
    respx.get("http://sinks.example:8083/metrics").respond(text=SINKS)
    pipeline = Counting()
    pipeline._rooms = {"sinks": "http://sinks.example:8083"}
    glance = asyncio.run(pipeline.look())
    assert [each.name for each in glance.rooms] == ["sinks"]
    assert shown(glance).count("what to do") == 2
    tiles = {each.name: each for each in (*glance.rooms, *glance.targets)}
    assert list(tiles) == ["sinks", "mail", "soc-teams"]
    assert (tiles["sinks"].state, tiles["sinks"].says) == ("wrong", "cannot reach mail")
    assert (tiles["mail"].state, tiles["mail"].entry) == ("wrong", "tocsintargetunavailable")
    assert tiles["soc-teams"].state == "well"
    assert ("delivered", "40") in [(each.label, each.value) for each in tiles["soc-teams"].figures]
