"""A post that a crash cuts off is known afterwards, where a repeat would be seen twice."""

import importlib.util
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.life_targets import Slip, from_receipts
from sinks import shelf
from sinks.finished import MAX_TEXT, Progress, decode

_spec = importlib.util.spec_from_file_location("sinks_channel", Path(__file__).with_name("test_dispatch.py"))
assert _spec
assert _spec.loader
channel = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(channel)


class Chat(channel.Channel):
    """A target that shows a message twice when it is posted twice."""

    marks_attempts = True

    async def deliver(self, event):
        for one in self.dispatch._folding.digest.folded if event.event.type == "digest" else [event]:
            assert int(one.event_id[1:]) in self.marked, "posted before it was written down"
        return await super().deliver(event)


@given(st.sets(st.integers(0, 3000)), st.sets(st.integers(0, 3000)), st.integers(0, 50))
def test_the_commit_says_what_is_being_posted(finished, posting, base):
    progress = Progress(base)
    for offset in range(base, 3001):
        progress.read(offset)
    for offset in posting:
        progress.post(offset)
    for offset in finished:
        progress.finish(offset)
    text = progress.encode()
    assert len(text) <= MAX_TEXT
    again = Progress(progress.base, text)
    runs = decode(progress.base, text)
    known = {offset for start, end in runs for offset in range(start, end)}
    assert known <= finished
    if len(text) < MAX_TEXT - 20:
        assert known == {offset for offset in finished if offset > progress.base}
        assert {one for one in range(3001) if again.was_posting(one)} == posting - finished - set(range(progress.base))


def test_what_older_commits_say_is_still_understood():
    assert decode(5, "5:1.2,3.4") == [(6, 8), (11, 15)]
    assert not Progress(5, "5:1.2").was_posting(6)
    assert not Progress(5, "4:!1.2").was_posting(5), "made for another base"
    assert Progress(5, "5:!0.1").was_posting(5)


def test_it_is_written_down_before_each_post_and_each_digest():
    few, many = Chat(), Chat()
    few.run(*((0.0, channel.record(n, f"a{n}", 10)) for n in range(4)))
    assert few.marked == [0, 1, 2, 3]
    many.run(*((0.0, channel.record(n, f"a{n}", 10)) for n in range(100)))
    assert sorted(set(many.marked)) == list(range(100))
    assert len(many.at) < 100
    assert channel.Channel().run((0.0, channel.record(0, "a", 10))) == {"accepted": 1}


@pytest.mark.parametrize(("limits", "count"), [((), 3), (channel.TEAMS, 60)])
def test_receipts_say_it_of_those_that_were_cut_off_and_why_tells(limits, count, monkeypatch):
    add = channel.Window.add
    monkeypatch.setattr(
        channel.Window,
        "add",
        lambda self, record, *, urgent: add(self, record, urgent=urgent, again=record.offset == 1),
    )
    target = Chat(limits)
    target.run(*((0.0, channel.record(n, f"a{n}", 10)) for n in range(count)))
    said = {one.event_id: from_receipts("t", 0, None, [Slip(one, datetime.now(UTC))]) for one in target.receipts}
    assert {name for name, told in said.items() if told.twice} == {"e1"}
    assert said["e1"].twice == "a sink was cut off while it posted this, and it was posted again"


@pytest.mark.parametrize(("limits", "count"), [((), 1), (channel.TEAMS, 30)])
def test_what_goes_to_a_fallback_is_written_down_before_it_too(limits, count):
    class Chatty(channel.Mail):
        marks_attempts = True

        async def deliver(self, event):
            assert target.marked, "posted before it was written down"
            return await super().deliver(event)

    mail = Chatty()
    target = channel.Channel(limits, *[channel.Unavailable("HTTP 503") for _ in range(60)], standby=mail)
    outcomes = target.run(*((0.0, channel.record(n, f"u{n}", 95)) for n in range(count)))
    assert outcomes["by_fallback"] == count
    assert sorted(set(target.marked)) == list(range(count))


def test_only_types_without_a_stable_id_pay_for_it():
    marked = {name for name in shelf.types() if shelf.find(name).marks_attempts}
    assert marked == set(shelf.types()) - {"webhook", "email", "log"}
