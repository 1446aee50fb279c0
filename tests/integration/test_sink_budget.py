"""What was posted before a crash still counts: the budget is read back from the receipts on real Kafka."""

import asyncio
import importlib.util
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from events.records import EnrichedEvent
from sinks import spent
from sinks.destination import TargetSettings
from sinks.limits import Limit
from sinks.rules import Rule, Rules, Target
from sinks.target import TargetRun

_spec = importlib.util.spec_from_file_location("sink_runner_site", Path(__file__).with_name("test_sink_runner.py"))
assert _spec
assert _spec.loader
site = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(site)

pytestmark = pytest.mark.kafka
script = site.script
TARGET = Target(site.NAME, "scripted", TargetSettings(), limits=(Limit(10, 600, reserve=4),))


def alert(number: int, urgency: int) -> EnrichedEvent:
    made = site.event(f"e{number}", f"a{number}")
    attributes = {**made.event.attributes, "urgency_current_value": urgency}
    return made.model_copy(update={"event": made.event.model_copy(update={"attributes": attributes})})


async def run_until_idle(kafka) -> None:
    rules = Rules([Rule.model_validate({"name": "r", "match": "all", "notify": site.NAME})], {site.NAME: TARGET}, "v1")
    run = TargetRun(kafka, rules, TARGET, "earliest")
    task = asyncio.create_task(run.run())
    await site.until_no_lag(kafka, 120)
    run.stop()
    await asyncio.wait_for(task, 60)


def test_a_flood_before_and_after_a_restart_stays_within_the_budget(kafka_settings, script):
    async def scenario() -> None:
        await site.publish(kafka_settings, [alert(n, 20) for n in range(60)])
        await run_until_idle(kafka_settings)
        first = len(script.sent)
        assert script.sent == [sent for sent in script.sent if sent.startswith("digest-")]
        ages = await spent.ages(kafka_settings, [site.NAME], 600)
        assert len(ages) == first + 1, "and one that may have been made just before a crash"
        assert all(0 <= age < 300 for age in ages)
        assert await spent.ages(kafka_settings, ["other"], 600) == []
        told = [one async for one in spent.posts(kafka_settings, time.time() - 600)]
        assert (len(told), sum(one.count for one in told)) == (60, first)
        await site.publish(kafka_settings, [alert(100 + n, 90) for n in range(3)])
        await run_until_idle(kafka_settings)
        assert len(script.sent) <= 10
        receipts = await site.receipts(kafka_settings)
        assert len(receipts) == len({one.event_id for one in receipts}) == 63
        digested = {one.digest_id for one in receipts if one.outcome == "digested"}
        assert digested <= set(script.sent)

    asyncio.run(scenario())


def test_two_workers_of_a_target_divide_its_budget(kafka_settings, script):
    async def scenario() -> tuple[list[int], list[dict]]:
        rules = Rules(
            [Rule.model_validate({"name": "r", "match": "all", "notify": site.NAME})], {site.NAME: TARGET}, "v1"
        )
        runs = [TargetRun(kafka_settings, rules, TARGET, "earliest") for _ in range(2)]
        with capture_logs() as logs:
            tasks = [asyncio.create_task(run.run()) for run in runs]
            rooms: list[int] = []
            while not (len(rooms) == len(runs) and max(rooms) < 10 and all(run.assigned for run in runs)):
                await asyncio.sleep(0.05)
                outlets = [run._outlet for run in runs]
                rooms = [each.budget.room(time.monotonic(), urgent=True) for each in outlets if each]
            for run in runs:
                run.stop()
            await asyncio.wait_for(asyncio.gather(*tasks), 60)
        return rooms, [line for line in logs if line["event"] == "budget_divided"]

    rooms, said = asyncio.run(scenario())
    assert len(rooms) == 2
    assert min(rooms) > 0
    assert sum(rooms) <= 10
    assert {line["target"] for line in said} == {site.NAME}
