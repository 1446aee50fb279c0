"""What was told is known again from the receipts alone."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.codec import decode_receipt, encode
from events.records import Receipt
from sinks.memory import Memory

START = datetime(2026, 7, 29, tzinfo=UTC)
KEYS = st.sampled_from([b"a", b"b", None])
RULES = st.sampled_from(["r", "s"])
RECEIPTS = st.builds(
    lambda outcome, rules, second, similar, replay: Receipt(
        event_id="e",
        target="t",
        outcome=outcome,
        rules=tuple(rules),
        replay_id=replay,
        received_at=None if second is None else START + timedelta(seconds=second),
        similar=similar,
    ),
    st.sampled_from(["delivered", "accepted", "digested", "by_fallback", "muted", "dead_letter", "skipped_replay"]),
    st.lists(RULES, unique=True, max_size=2),
    st.none() | st.integers(0, 1000),
    st.none() | st.integers(0, 1000),
    st.sampled_from([None, None, "job"]),
)


@given(st.lists(st.tuples(KEYS, RECEIPTS), max_size=30))
def test_it_knows_the_last_and_the_highest_that_was_told(written):
    """Law: whatever is written, the memory says what looking through all receipts would say."""
    memory = Memory()
    for key, receipt in written:
        memory.note(key, decode_receipt(encode(receipt)))
    for key in (b"a", b"b", None):
        for rule in ("r", "s"):
            told = [
                one
                for at, one in written
                if at == key and key is not None and rule in one.rules and one.received_at and not one.replay_id
                and one.outcome in {"delivered", "accepted", "digested", "by_fallback"}
            ]  # fmt: skip
            last = memory.of(key)(rule)
            assert (last is None) is (not told)
            if last:
                assert last.at == max(one.received_at for one in told)
                assert last.similar == max(-1 if one.similar is None else one.similar for one in told)


def test_it_is_bounded_and_forgets_what_was_told_longest_ago():
    memory = Memory(kept=2)
    for key in (b"a", b"b", b"a", b"c"):
        memory.tell(key, ("r",), START, 1)
    assert len(memory) == 2
    assert memory.of(b"b")("r") is None
    assert memory.of(b"a")("r")
    memory.clear()
    assert memory.of(b"a")("r") is None


@pytest.mark.parametrize("receipt", [Receipt(event_id="e", target="t", outcome="delivered", rules=("r",))])
def test_a_receipt_of_before_there_was_a_memory_is_passed_over(receipt):
    memory = Memory()
    memory.note(b"a", receipt)
    assert len(memory) == 0
