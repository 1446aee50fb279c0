"""Several posts at once on real Kafka: a hand-over repeats nothing, a kill at most what was on its way."""

import asyncio
import contextlib
import importlib.util
from collections import Counter
from pathlib import Path

import pytest

from sinks.target import TargetRun

pytestmark = pytest.mark.kafka

_spec = importlib.util.spec_from_file_location("sink_runner_site", Path(__file__).with_name("test_sink_runner.py"))
assert _spec
assert _spec.loader
site = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(site)

script = site.script
EVENTS = [site.event(f"e{n}", alert=f"alert-{n % 60}") for n in range(300)]


class Flying:
    """What is on its way, and how many were at most."""

    def __init__(self, script, at_once: int, pause: float) -> None:
        self.alerts, self.most, self.pause = [], 0, pause
        script.at_once, script.stay = at_once, self.stay

    async def stay(self, event) -> None:
        alert = event.event.attributes["uuid"]
        assert alert not in self.alerts, "two of an alert at once"
        self.alerts.append(alert)
        self.most = max(self.most, len(self.alerts))
        try:
            await asyncio.sleep(self.pause)
        finally:
            self.alerts.remove(alert)


def in_order(sent: list[str]) -> bool:
    first = list(dict.fromkeys(sent))
    return all(
        (mine := [int(ident[1:]) for ident in first if int(ident[1:]) % 60 == alert]) == sorted(mine)
        for alert in range(60)
    )


def test_two_workers_share_and_hand_over_without_repeating(kafka_settings, script):
    async def scenario() -> None:
        await site.publish(kafka_settings, EVENTS)
        flying = Flying(script, 8, 0.05)
        async with site.running(kafka_settings):
            while len(script.sent) < 20:
                await asyncio.sleep(0.01)
            assert 1 < flying.most <= 8
            async with site.running(kafka_settings):
                await asyncio.sleep(1)
            await site.until_no_lag(kafka_settings)
        assert sorted(script.sent) == sorted(one.event_id for one in EVENTS)
        assert in_order(script.sent)

    asyncio.run(scenario())


def test_a_kill_repeats_at_most_what_was_on_its_way(kafka_settings, script):
    """Cancelled, not stopped: nothing more is written or committed, as after kill -9."""

    async def scenario() -> None:
        await site.publish(kafka_settings, EVENTS)
        flying = Flying(script, 8, 0.02)
        for enough in (40, 120, 200):
            task = asyncio.create_task(TargetRun(kafka_settings, site.rules(), site.target(), "earliest").run())
            while len(script.sent) < enough:
                await asyncio.sleep(0.001)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            assert not flying.alerts, "a post went on after its sink had ended"
        async with site.running(kafka_settings):
            await site.until_no_lag(kafka_settings)
        times = Counter(script.sent)
        assert set(times) == {one.event_id for one in EVENTS}
        assert sum(times.values()) - len(times) <= 3 * 8
        assert in_order(script.sent)
        assert Counter(one.event_id for one in await site.receipts(kafka_settings)).keys() == set(times)

    asyncio.run(scenario())


def test_after_a_kill_the_receipts_say_which_may_have_been_shown_twice(kafka_settings, script):
    async def scenario() -> None:
        await site.publish(kafka_settings, EVENTS[:5])
        flying = Flying(script, 1, 0.2)
        task = asyncio.create_task(TargetRun(kafka_settings, site.rules(), site.target(), "earliest").run())
        while len(script.sent) < 2 or not flying.alerts:
            await asyncio.sleep(0.001)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        Flying(script, 1, 0)
        async with site.running(kafka_settings):
            await site.until_no_lag(kafka_settings)
        repeated = [one.event_id for one in await site.receipts(kafka_settings) if one.may_repeat]
        assert repeated == [script.sent[2]]

    asyncio.run(scenario())
