"""Work of its own task: what cancels it from inside, or takes too long, cancels nobody else."""

import asyncio

import pytest

from ops.contained import contained


async def cancelled_from_inside():
    raise asyncio.CancelledError


async def well():
    return 7


async def for_ever():
    await asyncio.Event().wait()


async def broken():
    raise OSError("away")


def run(work, within=60.0):
    async def whole():
        try:
            return await contained(work(), within)
        finally:
            assert len(asyncio.all_tasks()) == 1  # nothing is left behind
            await asyncio.sleep(0)  # and this task goes on

    return asyncio.run(whole())


def test_what_it_returns_and_raises():
    assert run(well) == 7
    with pytest.raises(OSError, match="away"):
        run(broken)


@pytest.mark.parametrize(("work", "within"), [(cancelled_from_inside, 60.0), (for_ever, 0.01)])
def test_a_cancellation_from_inside_is_no_stop_of_ours(work, within):
    with pytest.raises(TimeoutError):
        run(work, within)


def test_a_stop_of_ours_ends_it():
    async def whole():
        task = asyncio.create_task(contained(for_ever(), 60.0))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(whole())
