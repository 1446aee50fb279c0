"""Marks remember for the window, measured in events."""

import tracemalloc
from collections import deque
from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from stream.marks import Marks, digest

START = datetime(2026, 8, 1, tzinfo=UTC)
WINDOW = timedelta(minutes=10)


def test_a_mark_stays_for_the_window_and_leaves_within_a_minute_after_it():
    marks = Marks(timedelta(hours=24))
    marks.add([digest("a")], START.timestamp())
    marks.expire(START + timedelta(hours=24))
    assert digest("a") in marks
    marks.expire(START + timedelta(hours=24, minutes=1))
    assert digest("a") not in marks
    assert len(marks) == 0


def test_what_comes_late_is_remembered_as_long_as_what_it_came_with():
    marks = Marks(timedelta(hours=24))
    marks.add([digest("now")], START.timestamp())
    marks.add([digest("from a spool")], (START - timedelta(hours=30)).timestamp())
    marks.expire(START)
    assert digest("from a spool") in marks


def test_a_million_marks_take_less_than_150_mb_and_give_it_back():
    marks = Marks(timedelta(hours=24))
    tracemalloc.start()
    for number in range(100_000):
        marks.add([digest(str(number))], START.timestamp() + number / 2)
    taken, _ = tracemalloc.get_traced_memory()
    marks.expire(START + timedelta(days=3))
    left, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken < 15e6
    assert left < taken / 2  # the table of a set shrinks when it grows next


class Dedupe(RuleBasedStateMachine):
    """Events arrive in and out of order, some twice; what was finished last moves the window, the clock does not."""

    def __init__(self):
        super().__init__()
        self.marks = Marks(WINDOW)
        self.last = START
        self.added: deque[tuple[bytes, datetime]] = deque()

    @rule(name=st.text(max_size=3), ahead=st.integers(-30, 15))
    def event(self, name, ahead):
        at = max(self.last + timedelta(minutes=ahead), START)
        if digest(name) not in self.marks:
            self.marks.add([digest(name)], at.timestamp())
            self.added.append((digest(name), at))
        self.last = max(self.last, at)

    @rule(back=st.integers(0, 30))
    def finished(self, back):
        self.marks.expire(self.last - timedelta(minutes=back))

    @invariant()
    def nothing_younger_than_the_window_is_forgotten(self):
        for mark, at in self.added:
            if at >= self.last - WINDOW:
                assert mark in self.marks

    @invariant()
    def memory_is_bounded_by_what_is_remembered(self):
        assert len(self.marks) == sum(len(marks) for _, marks in self.marks._minutes)


TestDedupe = Dedupe.TestCase
TestDedupe.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
