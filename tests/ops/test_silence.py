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


class Raw:
    """When webhooks came, instead of the raw topic."""

    def __init__(self) -> None:
        self.webhooks: list[datetime] = []
        self.asked: list[datetime] = []

    async def heard(self, _kafka: KafkaSettings, since: datetime) -> bool:
        self.asked.append(since)
        return any(at >= since for at in self.webhooks)


@pytest.fixture
def raw(monkeypatch: pytest.MonkeyPatch) -> Raw:
    made = Raw()
    monkeypatch.setattr(silence, "heard", made.heard)
    return made


def look(state: Silence, missed: int, missed_at: float, now: float) -> None:
    asyncio.run(state.look(KAFKA, missed, after(missed_at), after(now)))


def test_each_change_is_told_in_one_line(raw: Raw) -> None:
    state = Silence(timedelta(hours=1))
    with capture_logs() as lines:
        look(state, 0, 0, 0)  # a quiet night: nothing happens at the API either
        raw.webhooks.append(after(1))
        look(state, 2, 0, 16)  # two were lost, another came after them
        assert (state.since, metric()) == (None, 0)
        look(state, 1, 60, 75)
        look(state, 3, 61, 76)
        assert (state.since, metric()) == (after(75), 1)
        raw.webhooks.append(after(89))
        look(state, 0, 0, 90)
        look(state, 0, 0, 91)
        assert (state.since, metric()) == (None, 0)
    assert [line["event"] for line in lines] == ["webhooks_silent", "webhooks_back"]
    assert lines[0]["new_alerts_at_the_api"] == 1
    assert lines[1]["silent_for"] == "0:15:00"


def test_an_alert_that_was_missed_is_not_forgotten_for_a_webhook_before_it(raw: Raw) -> None:
    """On Friday the last webhook comes at 18:00, an alert of 18:30 is missed, and the next one is made on Monday."""
    raw.webhooks.append(after(0))
    state = Silence(timedelta(hours=1))
    look(state, 1, 30, 45)
    look(state, 0, 0, 59)
    assert state.since is None
    look(state, 0, 0, 61)
    assert state.since == after(61)


def test_a_webhook_after_a_missed_alert_shows_that_they_come(raw: Raw) -> None:
    state = Silence(timedelta(hours=1))
    raw.webhooks.append(after(40))
    look(state, 1, 30, 45)
    look(state, 0, 0, 200)
    assert state.since is None


@pytest.mark.parametrize(("hours", "missed", "asked"), [(1, 1, [-20, -60]), (1, 0, []), (0, 5, [])])
def test_kafka_is_asked_only_when_something_was_missed(raw: Raw, hours: int, missed: int, asked: list[float]) -> None:
    look(Silence(timedelta(hours=hours)), missed, -20, 0)
    assert raw.asked == [after(each) for each in asked]


def test_a_silence_is_over_by_one_webhook_since_however_long_no_pass_came_to_its_end(raw: Raw) -> None:
    state = Silence(timedelta(hours=1))
    look(state, 1, -15, 0)
    raw.webhooks.append(after(10))
    look(state, 0, 0, 200)
    assert state.since is None


def test_the_job_says_on_its_port_that_it_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    async def heard(*_: object) -> bool:
        return False

    monkeypatch.setattr(silence, "heard", heard)
    job = Job(KAFKA, CatchUpSettings(silence_after=timedelta(hours=1)))
    assert job.health()[1]["webhooks"] == "heard"
    asyncio.run(job.done(Done(3, 2, 1, NOW.timestamp())))
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
