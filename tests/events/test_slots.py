"""Commands beside the stream: each call in a slot that nobody else on this host has."""

import asyncio
import importlib.util
import sys
import uuid
from pathlib import Path

import pytest

from events.errors import NotReady
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
        api, calls = f"https://{uuid.uuid4()}.example", []

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
        budgets = [OperatorsBudget(Slots(4.5, loop.time), f"https://{uuid.uuid4()}.example") for _ in range(3)]
        await asyncio.gather(*(budget.leave() for budget in budgets))
        return loop.time()

    assert virtual_time.run(scenario()) < 2.0


def test_all_ways_to_the_vendor_share_their_slots_and_a_command_gives_up_in_the_end():
    async def scenario():
        loop, asked = asyncio.get_running_loop(), []

        def taken(name):
            asked.append(name.partition("/")[0])

        for api in ("https://api.sekoia.io", "https://app.sekoia.io/api", "https://app.fra2.sekoia.io/api/"):
            with pytest.raises(NotReady, match="one after the other"):
                await OperatorsBudget(Slots(4.5, loop.time), api, taken).leave()
        return asked, loop.time()

    asked, seconds = virtual_time.run(scenario())
    assert len(set(asked)) == 1
    assert seconds == pytest.approx(3 * 120, abs=10)
