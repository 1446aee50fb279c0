"""Commands beside the stream: each call in a slot that nobody else on this host has."""

import asyncio
import importlib.util
import sys
import uuid
from pathlib import Path

import pytest

from events.slots import OPEN, OperatorsBudget, Slots, claimed

_spec = importlib.util.spec_from_file_location("virtual_time", Path(__file__).parents[1] / "stream" / "virtual_time.py")
virtual_time = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(virtual_time)

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the names that claims are made of")


@needs_linux
def test_a_name_is_taken_for_as_long_as_its_claim_lives():
    name = uuid.uuid4().hex
    first = claimed(name)
    assert first is not None
    assert claimed(name) is None
    del first
    assert claimed(name) is not None


@needs_linux
def test_commands_at_the_same_time_take_turns():
    async def scenario():
        loop = asyncio.get_running_loop()
        api, calls = uuid.uuid4().hex, []

        budgets = [OperatorsBudget(Slots(4.5, loop.time), api) for _ in range(3)]

        async def command(budget):
            for _ in range(5):
                await budget.leave()
                calls.append(loop.time())

        await asyncio.gather(*map(command, budgets))
        return calls

    calls = virtual_time.run(scenario())
    slots = [int(at * 4.5 + 1e-6) for at in calls]
    assert len(set(slots)) == len(calls) == 15
    assert all(slot % 9 == 8 for slot in slots)
    assert all(at * 4.5 % 1 < OPEN or at * 4.5 % 1 > 1 - 1e-6 for at in calls)
    assert max(at for at in calls) < 15 * 2.0, "and none is left unused"


@needs_linux
def test_commands_against_different_addresses_do_not_wait_for_each_other():
    async def scenario():
        loop = asyncio.get_running_loop()
        budgets = [OperatorsBudget(Slots(4.5, loop.time), uuid.uuid4().hex) for _ in range(3)]
        await asyncio.gather(*(budget.leave() for budget in budgets))
        return loop.time()

    assert virtual_time.run(scenario()) < 2.0
