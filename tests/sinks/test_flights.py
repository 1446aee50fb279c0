"""Several posts at once: never more than the target says, in order per alert, within the budget, nothing lost."""

import asyncio
import importlib.util
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from events.errors import NotReady
from sinks import shelf
from sinks.delivery import REFUSED_IN_A_ROW
from sinks.destination import Gone, Unavailable, Undeliverable
from sinks.limits import Limit
from sinks.window import Window, urgent

_spec = importlib.util.spec_from_file_location("sinks_channel", Path(__file__).with_name("test_dispatch.py"))
assert _spec
assert _spec.loader
channel = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(channel)


class Broad(channel.Channel):
    """A target that takes several at once, each of which lands after some turns of the loop."""

    def __init__(self, at_once, limits=(), turns=(), outcomes=()):
        self.at_once, self.turns, self.outcomes = at_once, list(turns), dict(outcomes)
        self.flying, self.most = [], 0
        super().__init__(limits)

    async def deliver(self, event):
        alerts = [one.alert for one in self.dispatch._folding.digest.folded] if event.event.type == "digest" else []
        mine = set(alerts or [event.event.alert_uuid])
        assert not mine & {alert for flying in self.flying for alert in flying}, "two of an alert at once"
        self.at.append(self.now)
        self.flying.append(mine)
        self.most = max(self.most, len(self.flying))
        try:
            for _ in range(self.turns.pop() if self.turns else 0):
                await asyncio.sleep(0)
            if outcome := self.outcomes.pop(event.event_id, None):
                raise outcome
            self.at.pop()
            return await super().deliver(event)
        finally:
            self.flying.remove(mine)

    async def write(self, record, receipt):
        await asyncio.sleep(0)  # the broker takes a while
        await super().write(record, receipt)

    async def work(self, records, *, steps=10**6, crowded=lambda: False):
        """Bring the records to their end, or stop in the middle as a runner that is cancelled does."""
        window, ended = Window(1000, 10**9), []
        for one in records:
            window.add(one, urgent=urgent(one.value))
        while steps and (len(window) or not self.dispatch.idle):
            ended += await self.dispatch.step(window, crowded=crowded())
            steps -= 1
        return ended


ARRIVALS = st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from([10, 50, 90])), min_size=1, max_size=80)
TROUBLE = st.dictionaries(st.integers(0, 79), st.sampled_from(["away", "never"]), max_size=6)


@settings(max_examples=60, deadline=None)
@given(ARRIVALS, TROUBLE, st.integers(1, 5), st.booleans(), st.lists(st.integers(0, 9), max_size=80), st.booleans())
def test_however_many_are_on_their_way(arrivals, trouble, at_once, limited, turns, crowded):
    said = {"away": Unavailable("HTTP 503"), "never": Undeliverable("HTTP 400")}
    outcomes = {f"e{number}": said[what] for number, what in trouble.items()}
    target = Broad(at_once, (Limit(6, 60, reserve=2),) if limited else (), turns, outcomes)
    toggle = iter(range(10**9))
    coming = [channel.record(number, *one) for number, one in enumerate(arrivals)]
    ended = asyncio.run(target.work(coming, crowded=lambda: crowded and next(toggle) % 7 == 3))
    assert sorted(one.record.offset for one in ended) == list(range(len(arrivals)))
    assert target.most <= at_once
    assert channel.most_in_any(target.at, 60) <= (6 if limited else len(target.at))
    buried = {one.event_id for one in target.receipts if one.outcome == "dead_letter"}
    assert Counter(target.told) == Counter(f"e{n}" for n in range(len(arrivals)) if f"e{n}" not in buried)
    assert Counter(one.event_id for one in target.receipts) == Counter(f"e{n}" for n in range(len(arrivals)))
    for alert in "abcde":
        mine = [f"e{number}" for number, one in enumerate(arrivals) if one[0] == alert and f"e{number}" not in buried]
        assert [one for one in target.told if one in mine] == mine


@settings(max_examples=60, deadline=None)
@given(ARRIVALS, st.integers(1, 5), st.lists(st.integers(0, 9), max_size=80), st.integers(0, 25), st.booleans())
def test_nothing_is_lost_when_it_is_cancelled_or_let_go_in_the_middle(arrivals, at_once, turns, steps, cancelled):
    target = Broad(at_once, (), turns)
    coming = [channel.record(number, *one) for number, one in enumerate(arrivals)]

    async def scenario():
        ended = await target.work(coming, steps=steps)
        told, flying = set(target.told), len(target.flying)
        ended += [] if cancelled else await target.dispatch.finish()
        await target.dispatch.cancel()
        target.dispatch.forget()
        assert target.dispatch.idle
        assert not target.flying
        target.held = {(one.event_id, one.revision) for one in target.receipts}
        over = {one.record.offset for one in ended}
        assert over <= {int(ident[1:]) for ident, _ in target.held}, "committed without a receipt"
        await target.work([one for one in coming if one.offset not in over])
        return told, flying

    told, flying = asyncio.run(scenario())
    again = [ident for ident, times in Counter(target.told).items() if times > 1]
    assert set(target.told) == {f"e{number}" for number in range(len(arrivals))}
    assert len(again) <= (at_once if cancelled else 0), "more was told twice than was on its way"
    assert set(again) <= told
    assert flying <= at_once


def test_those_on_their_way_together_are_one_failure_and_one_looks_whether_it_is_over():
    outcomes = {f"e{number}": Unavailable("HTTP 503") for number in range(5)}
    target = Broad(5, (), [3] * 99, outcomes)
    with capture_logs() as logs:
        asyncio.run(target.work([channel.record(n, f"a{n}", 10) for n in range(20)]))
    assert [line["event"] for line in logs] == ["target_unavailable", "target_available"]
    assert target.at.count(0.0) == 5
    first_back = min(at for at in target.at if at)
    assert 0.25 <= first_back <= 0.5, "the first delay, not the fifth"
    assert target.outlet.room == 5


def test_gone_is_said_once():
    target = Broad(4, (), [2] * 9, {f"e{number}": Gone("HTTP 410") for number in range(4)})

    async def scenario():
        await target.work([channel.record(n, f"a{n}", 10) for n in range(9)], steps=3)

    with capture_logs() as logs:
        asyncio.run(scenario())
    assert [line["event"] for line in logs] == ["target_paused"]
    assert len(target.at) == 4


def test_no_more_are_buried_in_a_row_than_stop_it():
    target = Broad(8, (), [3] * 99, {f"e{number}": Undeliverable("HTTP 400") for number in range(40)})

    async def scenario():
        window = Window(1000, 10**9)
        for number in range(40):
            window.add(channel.record(number, f"a{number}", 10), urgent=False)
        while True:
            await target.dispatch.step(window)
            target.dispatch.check()

    with pytest.raises(NotReady, match=f"refused {REFUSED_IN_A_ROW} events in a row"):
        asyncio.run(scenario())
    assert len(target.letters) == REFUSED_IN_A_ROW


def test_what_goes_wrong_in_one_ends_the_step():
    target = Broad(3, (), [1] * 9, {"e1": ZeroDivisionError("a bug")})
    with pytest.raises(ZeroDivisionError, match="a bug"):
        asyncio.run(target.work([channel.record(n, f"a{n}", 10) for n in range(3)]))


def test_each_type_says_how_many_it_bears():
    bears = {name: shelf.find(name).at_once for name in shelf.types()}
    assert bears == dict.fromkeys(shelf.types(), 1) | {"webhook": 32}
