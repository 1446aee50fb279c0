"""Marks remember for the window, measured in events."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from stream.marks import Marks

START = datetime(2026, 8, 1, tzinfo=UTC)


def test_a_mark_stays_for_the_window_and_leaves_after_it():
    marks = Marks(timedelta(hours=24))
    marks.add("a", START)
    marks.expire(START + timedelta(hours=24))
    assert "a" in marks
    marks.expire(START + timedelta(hours=24, seconds=1))
    assert "a" not in marks
    assert len(marks) == 0


@given(st.lists(st.tuples(st.text(min_size=1, max_size=5), st.integers(0, 100)), max_size=80))
def test_nothing_younger_than_the_window_is_ever_forgotten(events):
    marks, last = Marks(timedelta(minutes=10)), START
    newest: dict[str, datetime] = {}
    for name, minute in events:
        at = START + timedelta(minutes=minute)
        if name not in marks:
            marks.add(name, at)
            newest[name] = at
        last = max(last, at)
        marks.expire(last)
    for name, at in newest.items():
        if at >= last - timedelta(minutes=10):
            assert name in marks
