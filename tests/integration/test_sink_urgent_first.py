"""Urgent ones first on real Kafka, and a crash in between."""

import asyncio
import importlib.util
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from events.records import EnrichedEvent
from events.topics import Topics
from sinks import positions, reading, runner
from sinks.target import TargetRun

_spec = importlib.util.spec_from_file_location("sink_runner_site", Path(__file__).with_name("test_sink_runner.py"))
assert _spec
assert _spec.loader
site = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(site)

pytestmark = pytest.mark.kafka
script = site.script


def alert(event_id: str, about: str, urgency: int) -> EnrichedEvent:
    made = site.event(event_id, about)
    attributes = {**made.event.attributes, "urgency_current_value": urgency}
    return made.model_copy(update={"event": made.event.model_copy(update={"attributes": attributes})})


def test_urgent_ones_come_first_and_a_crash_between_repeats_none_of_them(kafka_settings, script, monkeypatch):
    """Die while a less urgent one is on its way: the finished one above the committed offset is not sent again."""

    monkeypatch.setattr(runner, "COMMIT_EVERY", 0)

    class Killed(BaseException):
        pass

    class Dying(asyncio.Event):
        async def wait(self) -> bool:
            if script.sent:
                raise Killed
            return True

    async def scenario() -> None:
        await site.publish(kafka_settings, [alert("low0", "a", 20), alert("low1", "a", 20), alert("urgent", "b", 90)])
        script.hold = Dying()
        topic = Topics(kafka_settings.topic_prefix).enriched
        with pytest.raises(Killed):
            await TargetRun(kafka_settings, site.rules(), site.target(), "earliest").run()
        assert script.sent == ["urgent"]
        # Keys a and b share partition 0: nothing below the urgent one is finished, and the map names it.
        places = await positions.committed(kafka_settings, site.NAME, [TopicPartition(topic, 0)])
        assert places[TopicPartition(topic, 0)] == (0, "4 0:2.1")
        script.hold = None
        async with site.running(kafka_settings):
            await site.until_no_lag(kafka_settings)
        assert script.sent == ["urgent", "low0", "low1"]

    asyncio.run(scenario())


def test_an_urgent_one_far_behind_is_lifted_with_those_of_its_alert_before_it(kafka_settings, script, monkeypatch):
    """The window holds 50; 1,200 others wait before the urgent one, and an earlier record of its alert among them."""
    monkeypatch.setattr(reading, "READ_AHEAD", 50)
    monkeypatch.setattr(reading, "AT_A_TIME", 20)

    async def scenario() -> None:
        low = [alert(f"low{n}", f"a{n % 40}", 20) for n in range(1_200)]
        low[900] = alert("earlier", "u", 20)
        await site.publish(kafka_settings, [*low, alert("urgent", "u", 90), alert("later", "u", 20)])
        script.pause = 0.02
        async with site.running(kafka_settings), asyncio.timeout(120):
            while "urgent" not in script.sent:
                await asyncio.sleep(0.05)
            assert script.sent.index("urgent") < 400
            assert script.sent.index("urgent") == script.sent.index("earlier") + 1
            assert "later" not in script.sent
            script.pause = 0
            await site.until_no_lag(kafka_settings, 120)
        assert len(script.sent) == len(set(script.sent)) == 1_202
        assert len(await site.receipts(kafka_settings)) == 1_202

    asyncio.run(scenario())
