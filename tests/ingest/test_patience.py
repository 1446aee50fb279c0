"""One timer for many waits: whoever stays too long hears TimeoutError, and nobody else hears anything."""

import asyncio
import time

import pytest

from ingest import patience
from ingest.patience import Patience


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(patience, "EVERY", 0.001)


async def stay(limit: Patience, seconds: float) -> str:
    try:
        with limit.wait():
            await asyncio.sleep(seconds)
    except TimeoutError:
        return "too long"
    return "in time"


def test_who_stays_too_long_is_told_and_others_are_not():
    async def scenario():
        limit = Patience(0.05)
        began = time.monotonic()
        found = await asyncio.gather(*(stay(limit, seconds) for seconds in (30, 0, 0.001, 30, 0)))
        assert 0.05 <= time.monotonic() - began < 10
        assert found == ["too long", "in time", "in time", "too long", "in time"]
        assert await stay(limit, 30) == "too long"  # the timer begins anew
        assert not limit._waiting

    asyncio.run(scenario())


def test_a_task_that_left_is_left_alone():
    async def scenario():
        limit = Patience(0.01)
        assert await stay(limit, 0) == "in time"
        await asyncio.sleep(0.05)
        assert asyncio.current_task().cancelling() == 0

    asyncio.run(scenario())


@pytest.mark.parametrize("seconds", [30, 0.02])
def test_a_task_that_is_cancelled_is_cancelled_even_when_its_time_is_over(seconds):
    async def scenario():
        task = asyncio.create_task(stay(Patience(seconds), 60))
        await asyncio.sleep(0)
        if seconds < 1:  # both in the same turn of the loop
            wait = next(iter(task.get_coro().cr_frame.f_locals["limit"]._waiting))
            wait.expire()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())
