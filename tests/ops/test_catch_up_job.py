"""With CATCH_UP_EVERY passes follow one another, and an error of the API ends none but its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from events.settings import KafkaSettings
from ops import catch_up_cli, catch_up_job
from ops import catch_up_metrics as metrics
from ops.catch_up_pass import Done, Point
from ops.catch_up_settings import CatchUpSettings
from stream.alert_api import Unavailable
from stream.settings import SekoiaSettings


class Over(Exception):
    """The test has seen enough."""


@pytest.fixture(autouse=True)
def _nobody_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def alert_api(*_args: object) -> AsyncIterator[None]:
        yield None

    monkeypatch.setattr(catch_up_cli, "alert_api", alert_api)


class Job:
    """Knows of nothing that is late, and remembers what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    async def delay(self) -> timedelta:
        return timedelta(minutes=15)

    async def done(self, done: Done) -> None:
        self.told.append(f"created {done.created}")

    def stopped(self, reason: str, *, refused: bool = False) -> None:
        self.told.append(reason)


def run(settings: CatchUpSettings, job: Job | None = None, *, dry_run: bool = False) -> int:
    kafka, sekoia = KafkaSettings(bootstrap_servers="localhost:1"), SekoiaSettings(api_key="k")
    return asyncio.run(catch_up_cli._run(settings, kafka, sekoia, None, dry_run=dry_run, job=job or Job()))  # type: ignore[arg-type]


def test_passes_follow_one_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = iter([Unavailable("status 503"), Done(3, 2, 1), Over()])

    async def sweep(*_args: object, **_options: object) -> Done:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(catch_up_cli, "sweep", sweep)
    job = Job()
    with pytest.raises(Over):
        run(CatchUpSettings(every=timedelta(milliseconds=1), data=tmp_path), job)
    assert job.told == ["status 503", "created 2"]
    assert "listed=3 fed created=2 states=1" in capsys.readouterr().out
    assert Point.load(tmp_path) is not None


def test_one_pass_says_with_its_exit_code_that_the_api_was_away(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def sweep(*_args: object, **_options: object) -> Done:
        raise Unavailable("status 503")

    monkeypatch.setattr(catch_up_cli, "sweep", sweep)
    assert run(CatchUpSettings(data=tmp_path), dry_run=True) == 1
    assert Point.load(tmp_path) is None  # a dry run writes nothing


def test_a_refused_key_is_told_until_a_pass_comes_to_its_end() -> None:
    job = catch_up_job.Job(KafkaSettings(bootstrap_servers="127.0.0.1:1"), CatchUpSettings(silence_after=timedelta(0)))
    told = []
    job.stopped("the API is away")
    told.append(metrics.KEY_REFUSED._value.get())
    job.stopped("401", refused=True)
    job.stopped("silent for 500 s more")
    told.append(metrics.KEY_REFUSED._value.get())
    asyncio.run(job.done(Done()))
    told.append(metrics.KEY_REFUSED._value.get())
    assert told == [0, 1, 0]
