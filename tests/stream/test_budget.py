"""All workers together keep the budget, however partitions move between them."""

import asyncio
import importlib.util
from math import inf
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from events.slots import OperatorsBudget, Slots
from stream.budget import APART, MEMBER, SETTLING, Budget

_spec = importlib.util.spec_from_file_location("virtual_time", Path(__file__).with_name("virtual_time.py"))
virtual_time = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(virtual_time)

ALL, RATE, PARTITIONS = 4.5, 4.0, 12
"""Calls a second of everybody, and of the stream."""


def most_in_any_second(times):
    return max((sum(1 for other in times if at <= other < at + 1.0) for at in times), default=0)


def test_without_a_partition_nothing_may_be_asked():
    assert Budget(Slots(ALL)).delay(0.0) == inf


def test_a_new_share_waits_until_its_former_owner_has_noticed():
    budget = Budget(Slots(ALL, lambda: 0.0))
    budget.share(set(range(12)), 12, 100.0)
    assert budget.delay(100.0) == SETTLING
    assert budget.settling(100.5) == SETTLING - 0.5
    assert budget.delay(100.0 + SETTLING) == 0
    assert budget.rate == RATE
    budget.share(set(range(3)), 12, 103.0)
    assert budget.settling(103.0) == 0, "a share that stays goes on"
    assert budget.rate == 1.0


def test_while_the_group_divides_partitions_anew_nothing_is_asked():
    """The others may have their shares seconds before a worker hears that some of its own are gone."""

    async def scenario():
        loop = asyncio.get_running_loop()
        budget, times = Budget(Slots(ALL, loop.time)), []
        budget.share(set(range(PARTITIONS)), PARTITIONS, loop.time() - SETTLING)
        await budget.take()
        budget.suspend()
        assert budget.delay(loop.time()) == SETTLING

        async def ask():
            while True:
                await budget.take()
                await budget.leave()
                times.append(loop.time())

        asking = asyncio.create_task(ask())
        await asyncio.sleep(60)
        assert times == []
        budget.share({0, 1, 2}, PARTITIONS, loop.time())
        await asyncio.sleep(10)
        asking.cancel()
        # What stayed is used at once, and no more of it than it is.
        assert 8 <= len(times) <= 12
        assert times[0] - 60 <= 1.0 + PARTITIONS / RATE

    virtual_time.run(scenario())


def test_one_worker_calls_at_once_and_then_evenly():
    async def scenario():
        loop = asyncio.get_running_loop()
        budget, times = Budget(Slots(ALL, loop.time)), []
        budget.share({0}, 1, loop.time() - SETTLING)
        for _ in range(9):
            await budget.take()
            times.append(loop.time())
        assert times[0] == 0
        assert times == pytest.approx([number * APART / RATE for number in range(9)])

    virtual_time.run(scenario())


@given(st.lists(st.integers(0, 3), min_size=PARTITIONS, max_size=PARTITIONS))
@settings(max_examples=25, deadline=None)
def test_however_partitions_are_shared_out_a_second_holds_no_more_calls_than_the_vendor_allows(owners):
    async def scenario():
        loop, times = asyncio.get_running_loop(), []

        async def work(owned):
            budget = Budget(Slots(ALL, lambda: loop.time() + 1_700_000_000.1))
            budget.share(owned, PARTITIONS, loop.time() - SETTLING)
            while True:
                await budget.take()
                times.append(loop.time())

        async def command():
            budget = OperatorsBudget(Slots(ALL, lambda: loop.time() + 1_700_000_000.1), claim=str)
            while True:
                await budget.leave()
                times.append(loop.time())

        workers = [asyncio.create_task(command())] + [
            asyncio.create_task(work({number for number, owner in enumerate(owners) if owner == each}))
            for each in set(owners)
        ]
        await asyncio.sleep(30.0)
        for worker in workers:
            worker.cancel()
        assert most_in_any_second(times) <= 5
        assert len(times) >= 0.9 * 30 * ALL, "and the budget is used"

    virtual_time.run(scenario())


class Shares(RuleBasedStateMachine):
    """Three workers and an operator who always have something to ask, while a group hands partitions to and fro."""

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.budgets = [Budget(Slots(ALL, lambda: 1_700_000_000.0 + self.now)) for _ in range(3)]
        self.operators = OperatorsBudget(Slots(ALL, lambda: 1_700_000_000.0 + self.now), claim=str)
        self.times = []

    @rule(owners=st.lists(st.integers(0, 2), min_size=PARTITIONS, max_size=PARTITIONS))
    def rebalance(self, owners):
        for number, budget in enumerate(self.budgets):
            budget.share({p for p, owner in enumerate(owners) if owner == number}, PARTITIONS, self.now)

    @rule(alone=st.integers(0, 2))
    def others_die(self, alone):
        for number, budget in enumerate(self.budgets):
            budget.share(set(range(PARTITIONS)) if number == alone else set(), PARTITIONS, self.now)

    @rule(seconds=st.floats(0.01, 6.0))
    def time_passes(self, seconds):
        end = self.now + seconds
        while self.now < end:
            for budget in self.budgets:
                if budget.delay(self.now) <= 0:
                    budget.used(self.now)
                    self.times.append(self.now)
            if not self.operators.delay():
                asyncio.run(self.operators.leave())
                self.times.append(self.now)
            self.now += 0.01

    @invariant()
    def the_vendor_is_content(self):
        recent = [at for at in self.times if at > self.now - 8.0]
        assert most_in_any_second(recent) <= 5


TestShares = Shares.TestCase
TestShares.settings = settings(max_examples=100, stateful_step_count=15, deadline=None)


def member(now, limit=MEMBER):
    budget = Budget(Slots(ALL, lambda: 1_700_000_000.0), limit)
    budget.share(set(range(PARTITIONS)), PARTITIONS, now - SETTLING)
    budget.vouch(now)
    return budget


def test_a_worker_whose_heartbeats_go_unanswered_asks_nothing_until_one_is_answered():
    """Its group may have given its partitions away, and nobody could tell it."""
    budget = member(100.0)
    assert budget.delay(100.0 + MEMBER) == 0
    assert budget.delay(100.1 + MEMBER) == SETTLING
    budget.vouch(109.0)
    assert budget.delay(109.2) == 0, "it was a member then, so its share was its own all the while"
    budget.vouch(105.0)
    assert budget.delay(109.0 + MEMBER) == 0, "an older answer that comes late takes nothing back"


def test_a_worker_that_slept_asks_nothing_on_the_strength_of_what_it_heard_before():
    async def scenario():
        loop = asyncio.get_running_loop()
        budget = member(loop.time())
        await asyncio.sleep(60.0)
        asking = asyncio.create_task(budget.take())
        await asyncio.sleep(30.0)
        assert not asking.done()
        budget.vouch(loop.time() - 30.0)  # the answer to what was asked before
        await asyncio.sleep(30.0)
        assert not asking.done()
        budget.vouch(loop.time())
        await asking
        return loop.time()

    assert virtual_time.run(scenario()) <= 121.0


@given(
    st.lists(st.integers(0, 2), min_size=PARTITIONS, max_size=PARTITIONS),
    st.lists(st.floats(0.0, 1.2), min_size=1, max_size=10),
)
@settings(max_examples=25, deadline=None)
def test_calls_that_a_busy_loop_makes_late_do_not_arrive_in_a_heap(owners, lateness):
    async def scenario():
        loop, times = asyncio.get_running_loop(), []

        async def call(budget, late):
            await asyncio.sleep(late)
            await budget.leave()
            times.append(loop.time())

        async def work(owned):
            budget = Budget(Slots(ALL, lambda: loop.time() + 1_700_000_000.1))
            budget.share(owned, PARTITIONS, loop.time() - SETTLING)
            async with asyncio.TaskGroup() as calls:
                for number in range(1000):
                    await budget.take()
                    calls.create_task(call(budget, lateness[number % len(lateness)]))

        workers = [
            asyncio.create_task(work({number for number, owner in enumerate(owners) if owner == each}))
            for each in set(owners)
        ]
        await asyncio.sleep(30.0)
        for worker in workers:
            worker.cancel()
        await asyncio.wait(workers)
        assert most_in_any_second(times) <= 5
        assert len(times) >= 0.8 * 30 * RATE

    virtual_time.run(scenario())


def test_it_tells_what_is_left():
    budget = member(0.0, inf)
    for number in range(30):
        budget.used(number / 2)
    assert budget.left(14.5) == pytest.approx(RATE - 2.0)
    assert budget.left(19.5) == pytest.approx(RATE - 1.0)
    assert budget.left(60.0) == RATE
    budget.share(set(), PARTITIONS, 60.0)
    assert budget.left(60.0) == 0


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
def test_a_clock_that_is_set_does_not_stop_the_calls(step):
    wall = [1_700_000_000.0]
    budget = Budget(Slots(ALL, lambda: wall[0]))
    budget.share({0, 1, 2}, PARTITIONS, -SETTLING)
    budget.used(0.0)
    wall[0] += step
    assert budget.delay(1.0) <= PARTITIONS / RATE
