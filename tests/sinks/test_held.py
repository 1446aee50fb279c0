"""What rules keep for a digest of their own: told when it is due, once, and never in the way of what is told at once."""

import asyncio
import importlib.util
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.delivery import Delivery
from sinks.destination import TargetSettings, Unavailable
from sinks.dispatch import Dispatch
from sinks.held import GATHER
from sinks.memory import Memory
from sinks.rules import Rule, Rules, Target
from sinks.schedule import LATEST
from sinks.window import Window, urgent

_spec = importlib.util.spec_from_file_location("sinks_dispatch", Path(__file__).with_name("test_dispatch.py"))
assert _spec
assert _spec.loader
site = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(site)

CALM, URGENT = 20, 90
COLLECTED = {"name": "collected", "match": {"urgency": "< 80"}, "digest": "15m"}
AT_ONCE = {"name": "at once", "match": {"urgency": ">= 80"}}


class Reader(site.Channel):
    """A target whose rules collect, and a runner that asks for a step whenever there is something to do."""

    def __init__(self, *rules: dict[str, Any], answers: tuple[Any, ...] = ()) -> None:
        super().__init__(site.TEAMS, *answers)
        self.outlet.clock = self.clock
        made = [Rule.model_validate({"notify": "t", **rule}) for rule in rules or (COLLECTED, AT_ONCE)]
        use = Rules(made, {"t": Target("t", "x", TargetSettings())}, "v1")
        self.dispatch = Dispatch(Delivery(use, self, self.outlet, Memory()), self)
        self.window = Window(1000, 10**9)
        self.ended: list[int] = []

    def reads(self, *records: Any, until: float, crowded: bool = False) -> None:
        for one in records:
            self.window.add(one, urgent=urgent(one.value))

        async def scenario() -> None:
            while self.now < until:
                if not len(self.window) and self.dispatch.idle and not crowded:
                    self.now += min(LATEST, until - self.now)
                    continue
                self.ended += [one.record.offset for one in await self.dispatch.step(self.window, crowded=crowded)]
                if crowded and not self.held_back:
                    return

        asyncio.run(scenario())

    @property
    def held_back(self) -> bool:
        return self.dispatch._held._digest is not None or not self.dispatch.idle

    @property
    def outcomes(self) -> Counter[str]:
        return Counter(receipt.outcome for receipt in self.receipts)


def test_what_comes_in_within_the_time_is_one_message_at_the_end_of_it():
    reader = Reader()
    reader.reads(*(site.record(n, f"a{n}", CALM) for n in range(30)), until=14 * 60 + 59)
    assert reader.at == []
    assert reader.dispatch.idle, "the runner may rest meanwhile"
    reader.reads(site.record(30, "a30", CALM), until=15 * 60 + 30)
    assert [len(reader.at), reader.outcomes] == [1, {"digested": 31}]
    assert 15 * 60 <= reader.at[0] <= 15 * 60 + LATEST
    assert sorted(reader.ended) == list(range(31))


def test_what_is_told_at_once_is_not_held_up():
    reader = Reader()
    reader.reads(site.record(0, "a", CALM), site.record(1, "b", URGENT), until=10)
    assert reader.told == ["e1"]
    assert reader.ended == [1]
    reader.reads(until=1000)
    assert reader.told == ["e1", "e0"]


def test_after_a_crash_it_is_collected_again_and_told_once():
    first = Reader()
    records = [site.record(n, f"a{n}", CALM) for n in range(5)]
    first.reads(*records, until=60)
    assert first.ended == [], "their places in the topic stay open"
    second = Reader()
    second.now = 3600.0
    second.reads(*records, until=3600 + GATHER + LATEST)
    assert [len(second.at), second.outcomes] == [1, {"digested": 5}]


def test_partitions_that_go_take_what_is_kept_with_them():
    reader = Reader()
    reader.reads(site.record(0, "a", CALM), until=60)
    reader.dispatch.forget()
    reader.reads(until=2000)
    assert reader.told == []
    assert reader.ended == []


def test_it_is_told_early_when_too_much_is_finished_above_it():
    reader = Reader()
    reader.reads(site.record(0, "a", CALM), until=10)
    reader.reads(until=60, crowded=True)
    assert reader.told == ["e0"]
    assert reader.outcomes == {"digested": 1}


def test_a_target_that_is_away_gets_it_when_it_is_back():
    reader = Reader(answers=(Unavailable("HTTP 503"), Unavailable("HTTP 503", retry_after=30)))
    reader.reads(*(site.record(n, f"a{n}", CALM) for n in range(3)), until=1200)
    assert len(reader.at) == 3
    assert reader.outcomes == {"digested": 3}


def test_what_is_kept_counts_as_told_for_what_comes_after_it():
    reader = Reader({"name": "r", "match": "all", "digest": "15m", "min_interval": "10m"})
    reader.reads(site.record(0, "a", CALM), site.record(1, "a", CALM), site.record(2, "b", CALM), until=1200)
    assert reader.outcomes == {"digested": 2, "muted": 1}


@pytest.mark.parametrize(
    "rule", [{"name": "r", "match": "all"}, {"name": "r", "match": "all", "digest": {"hours": "20:00-08:00"}}]
)
def test_outside_of_its_hours_nothing_is_kept(rule):
    reader = Reader(rule)
    reader.reads(site.record(0, "a", CALM), until=10)
    assert reader.told == ["e0"]
    assert reader.outcomes == {"accepted": 1}


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from([CALM, URGENT]), st.integers(0, 400)), max_size=25))
def test_whatever_comes_when_each_is_told_once(steps):
    reader, at = Reader(), 0.0
    for number, (alert, urgency, wait) in enumerate(steps):
        reader.reads(site.record(number, f"a{alert}", urgency), until=(at := at + wait + 1))
    reader.reads(until=at + 3600)
    assert sorted(reader.ended) == list(range(len(steps)))
    assert sorted(reader.told) == sorted(f"e{number}" for number in range(len(steps)))
