"""A checkpoint gives back what was written, and nothing that was not; a damaged one is of no use, and harmless."""

import orjson
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from events.topics import Topics
from stream import checkpoint
from stream.checkpoint import BLOCK, DIGEST, KEEP, LISTED, SEGMENT, Head, Ledger, Stored
from stream.marks import MINUTE, digest

TOPICS = Topics("t.")


def stored(*written):
    """Return the topic as compaction leaves it after these checkpoints."""
    result = Stored()
    for outputs in written:
        for output in outputs:
            assert output.topic == TOPICS.marks
            result.put(output.key, output.value)
    return result


def marks_of(topic):
    head = topic.head(3)
    return {mark for segment in head.segments for mark in topic.marks(3, segment)}


def ledger(**head):
    return Ledger(3, TOPICS, Head(**{"enriched": 0, "letters": 0, "since": 0.0} | head))


def test_it_says_what_was_written_and_where_it_ends():
    first = ledger(enriched=5)
    first.wrote([digest("a"), digest("b")], 1000)
    first.reached(TOPICS.enriched, 9)
    first.reached(TOPICS.enriched, 7)
    first.reached(TOPICS.dead_letters, 2)
    topic = stored(first.checkpoint(0.0, 0.0, [8, 6]))
    head = topic.head(3)
    assert marks_of(topic) == {digest("a"), digest("b")}
    assert (head.enriched, head.letters, head.pending, head.pending_since) == (9, 2, (6, 8), None)
    assert head.segments[0].minute >= 1000
    assert topic.head(4) is None


def test_segments_leave_an_hour_after_the_window_and_the_head_says_so():
    book = ledger()
    book.wrote([digest("old")], 1000)
    first = book.checkpoint(0.0, 0.0, [])
    book.wrote([digest("new")], 5000)
    end = ((1000 | BLOCK) + 1) * MINUTE
    kept = stored(first, second := book.checkpoint(1.0, end + KEEP - 1, []))
    assert marks_of(kept) == {digest("old"), digest("new")}
    assert kept.head(3).since == 0
    book.wrote([digest("newer")], 5001)
    left = stored(first, second, book.checkpoint(2.0, end + KEEP, []))
    assert marks_of(left) == {digest("new"), digest("newer")}
    assert left.head(3).since == end
    assert len(left.values) == 3, "the old segment has left the topic too"


def test_a_new_checkpoint_removes_what_an_unusable_one_left():
    book = ledger()
    book.wrote([digest("x")], 1)
    first = book.checkpoint(0.0, 0.0, [])
    fresh = Ledger(3, TOPICS, Head(0, 0, 0.0, next_segment=1), [0])
    fresh.wrote([digest("y")], 1)
    topic = stored(first, fresh.checkpoint(0.0, 0.0, []))
    assert marks_of(topic) == {digest("y")}
    assert len(topic.values) == 2


def test_it_is_due_by_number_and_by_time_but_never_without_news():
    book = ledger()
    assert not book.due(1e9)
    book.wrote([digest("a")], 1)
    assert book.due(checkpoint.SECONDS + 1)
    book.checkpoint(1000.0, 0.0, [])
    book.wrote([digest("b")], 1)
    assert not book.due(1000.0 + checkpoint.SECONDS)
    book.wrote([digest(str(number)) for number in range(checkpoint.MARKS)], 1)
    assert book.due(1000.0)


def test_no_record_is_larger_than_the_topic_takes():
    book = ledger()
    book.wrote([bytes(DIGEST)] * (2 * SEGMENT + 1), 1)
    outputs = book.checkpoint(0.0, 0.0, range(10**9, 10**9 + LISTED))
    assert max(len(output.value or b"") for output in outputs) < 1_000_000
    assert [each.count for each in stored(outputs).head(3).segments] == [SEGMENT, SEGMENT, 1]


def test_of_too_many_pendings_only_the_first_is_named():
    head = stored(ledger().checkpoint(0.0, 0.0, range(7, LISTED + 8))).head(3)
    assert (head.pending, head.pending_since) == ((), 7)


@pytest.mark.parametrize(
    "damage",
    [
        {b"3/head": None},
        {b"3/head": b"not json"},
        {b"3/head": b"[]"},
        {b"3/head": orjson.dumps({"version": 2})},
        {b"3/head": orjson.dumps({"version": 1})},
        {b"3/0": None},
        {b"3/0": b"short"},
    ],
)
def test_a_checkpoint_that_is_not_whole_is_none(damage):
    book = ledger()
    book.wrote([digest("a")], 1)
    topic = stored(book.checkpoint(0.0, 0.0, []))
    for key, value in damage.items():
        topic.put(key, value)
    assert topic.head(3) is None


class Restarts(RuleBasedStateMachine):
    """Events are written one by one; checkpoints, restarts and losses of the checkpoint come in between."""

    def __init__(self):
        super().__init__()
        self.topic = Stored()
        self.log: list[tuple[bytes, int]] = []  # what the enriched topic holds: the mark and its minute
        self.ledger = ledger()
        self.clock = 0.0
        self.minute = 1

    @rule(names=st.lists(st.integers(0, 10**6), max_size=5), minutes=st.integers(0, 90))
    def write(self, names, minutes):
        self.minute += minutes
        marks = [digest(str(name)) for name in names]
        self.log += [(mark, self.minute) for mark in marks]
        self.ledger.wrote(marks, self.minute)
        self.ledger.reached(TOPICS.enriched, len(self.log))

    @rule(window=st.integers(0, 300))
    def save(self, window):
        self.clock += 1
        for output in self.ledger.checkpoint(self.clock, (self.minute - window) * MINUTE, []):
            self.topic.put(output.key, output.value)

    @precondition(lambda self: self.topic.values)
    @rule()
    def restart(self):
        head = self.topic.head(3)
        self.ledger = Ledger(3, TOPICS, head)
        for mark, minute in self.log[head.enriched :]:
            self.ledger.wrote([mark], minute)
        self.ledger.reached(TOPICS.enriched, len(self.log))

    @invariant()
    def checkpoint_and_tail_are_everything_since_it_says(self):
        if head := self.topic.head(3):
            known = marks_of(self.topic) | {mark for mark, _ in self.log[head.enriched :]}
            assert {mark for mark, minute in self.log if minute * MINUTE >= head.since} <= known
            assert known <= {mark for mark, _ in self.log}


TestRestarts = Restarts.TestCase
TestRestarts.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
