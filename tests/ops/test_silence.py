"""Webhooks that stop while alerts go on, and how long a catch-up waits for what is late."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from events.settings import KafkaSettings
from ops import catch_up_delay, private_ports, silence
from ops.catch_up_job import Job
from ops.catch_up_pass import Done
from ops.catch_up_settings import CatchUpSettings
from ops.silence import Silence

NOW = datetime(2026, 7, 29, 8, 0, tzinfo=UTC)
KAFKA = KafkaSettings(bootstrap_servers="localhost:1")


def after(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def metric() -> float | None:
    return REGISTRY.get_sample_value("tocsin_catch_up_webhooks_silent")


def test_each_change_is_told_in_one_line() -> None:
    state = Silence(timedelta(hours=1))
    with capture_logs() as lines:
        state.judge(0, after(0), heard=False)  # a quiet night: nothing happens at the API either
        state.judge(2, after(1), heard=True)  # two were lost, others came
        assert (state.since, metric()) == (None, 0)
        state.judge(1, after(70), heard=False)
        state.judge(3, after(71), heard=False)
        assert (state.since, metric()) == (after(70), 1)
        state.judge(0, after(90), heard=True)
        state.judge(0, after(91), heard=True)
        assert (state.since, metric()) == (None, 0)
    assert [line["event"] for line in lines] == ["webhooks_silent", "webhooks_back"]
    assert lines[0]["new_alerts_at_the_api"] == 1
    assert lines[1]["silent_for"] == "0:20:00"


@pytest.mark.parametrize(("hours", "missed", "asked"), [(1, 1, True), (1, 0, False), (0, 5, False)])
def test_kafka_is_asked_only_when_something_was_missed(
    monkeypatch: pytest.MonkeyPatch, hours: int, missed: int, asked: bool
) -> None:
    looks = []

    async def heard(_kafka: KafkaSettings, since: datetime) -> bool:
        looks.append(since)
        return False

    monkeypatch.setattr(silence, "heard", heard)
    asyncio.run(Silence(timedelta(hours=hours)).look(KAFKA, missed, NOW))
    assert looks == ([NOW - timedelta(hours=1)] if asked else [])


def test_a_silence_is_over_by_one_webhook_since_however_long_no_pass_came_to_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    webhooks: list[datetime] = []

    async def heard(_kafka: KafkaSettings, since: datetime) -> bool:
        return any(at >= since for at in webhooks)

    monkeypatch.setattr(silence, "heard", heard)
    state = Silence(timedelta(hours=1))
    asyncio.run(state.look(KAFKA, 1, after(0)))
    webhooks.append(after(10))
    asyncio.run(state.look(KAFKA, 0, after(200)))
    assert state.since is None


def test_the_job_says_on_its_port_that_it_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    async def heard(*_: object) -> bool:
        return False

    monkeypatch.setattr(silence, "heard", heard)
    job = Job(KAFKA, CatchUpSettings(silence_after=timedelta(hours=1)))
    assert job.health()[1]["webhooks"] == "heard"
    asyncio.run(job.done(Done(3, 2, 1)))
    ready, said = job.health()
    assert ready
    assert said["webhooks"].startswith("silent since ")
    job.stopped("status 503")
    assert job.health()[1]["stopped"] == "status 503"


def test_silence_is_set_by_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SILENCE_AFTER", "20m")
    assert CatchUpSettings().silence_after == timedelta(minutes=20)


@pytest.mark.parametrize(
    ("lag", "spool", "expected"), [(0, None, 15), (2, None, 15), (20, None, 25), (0, 30, 35), (20, 30, 55)]
)
def test_what_is_late_is_waited_for_and_five_minutes_more(
    monkeypatch: pytest.MonkeyPatch, lag: float, spool: float | None, expected: float
) -> None:
    async def lagging(*_: object) -> timedelta:
        return timedelta(minutes=lag)

    async def health(_rooms: object) -> list[dict[str, Any]]:
        oldest = {"oldest": after(-spool).isoformat()} if spool is not None else {}
        return [{"ready": True}, {"spool": {"events": 1, **oldest}}, {"spool": {"oldest": "nonsense"}}]

    monkeypatch.setattr(catch_up_delay, "_lag", lagging)
    monkeypatch.setattr(private_ports, "health", health)
    found = asyncio.run(catch_up_delay.delay(KAFKA, timedelta(minutes=15), (), NOW))
    assert found == timedelta(minutes=expected)
