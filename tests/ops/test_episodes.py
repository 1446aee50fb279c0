"""The state of a condition: whatever is seen and whenever, what flaps is told once, and what lasts is told."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from ops.episodes import CALM, Episode, Patience, Tally, step

WAITS = st.integers(0, 300)
PATIENCE = st.builds(Patience, WAITS, WAITS)
LOOKS = st.lists(st.tuples(st.integers(0, 120), st.sampled_from([True, False, None])), max_size=60)


def run(looks, patience, episode=CALM):
    """Yield each look with the state before and after it."""
    now = 0.0
    for gap, bad in looks:
        now += gap
        before, episode = episode, step(episode, bad, now, patience)
        yield now, bad, before, episode


def changes(looks, patience):
    return [(now, after.raised) for now, _, before, after in run(looks, patience) if before.raised != after.raised]


@given(LOOKS, PATIENCE)
def test_changes_take_turns_and_are_apart_by_the_patience(looks, patience):
    found = changes(looks, patience)
    assert [raised for _, raised in found] == [number % 2 == 0 for number in range(len(found))]
    for (at, _), (then, raised) in itertools.pairwise(found):
        assert then - at >= (patience.raise_after if raised else patience.clear_after)


@given(LOOKS, PATIENCE)
def test_nothing_is_raised_unless_it_was_bad_without_a_break(looks, patience):
    began = None
    for now, bad, before, after in run(looks, patience):
        if bad is False and not before.raised:
            began = None
        elif bad and not before.raised:
            began = now if began is None else began
        if after.raised and not before.raised:
            assert bad
            assert now - began >= patience.raise_after
            assert after.bad_since == began
        if after.raised:
            began = None


@given(LOOKS, PATIENCE)
def test_not_knowing_changes_nothing(looks, patience):
    for _, bad, before, after in run(looks, patience):
        assert bad is not None or after == before


@given(LOOKS, PATIENCE)
def test_what_lasts_is_told_and_what_is_over_too(looks, patience):
    episode = [CALM, *(after for *_, after in run(looks, patience))][-1]
    end = sum(gap for gap, _ in looks)
    bad = step(step(episode, True, end, patience), True, end + patience.raise_after, patience)
    assert bad.raised
    later = end + patience.raise_after
    assert step(step(bad, False, later, patience), False, later + patience.clear_after, patience) == CALM


@given(LOOKS, PATIENCE, st.integers(0, 60))
def test_a_restart_in_between_makes_no_difference(looks, patience, at):
    whole = [after for *_, after in run(looks, patience)]
    kept = Episode(**vars(whole[at - 1])) if 0 < at <= len(whole) else None
    if kept:
        now = sum(gap for gap, _ in looks[:at])
        rest = []
        for gap, bad in looks[at:]:
            now += gap
            kept = step(kept, bad, now, patience)
            rest.append(kept)
        assert rest == whole[at:]


def test_a_clock_that_was_set_back_makes_it_wait_and_no_more():
    patience = Patience(60, 60)
    suspected = step(CALM, True, 1000.0, patience)
    assert not step(suspected, True, 10.0, patience).raised
    assert step(step(suspected, True, 10.0, patience), True, 70.0, patience).raised


@given(st.lists(st.tuples(st.floats(0, 50), st.integers(0, 5)), min_size=1, max_size=40))
def test_a_tally_counts_each_growth_once_through_restarts(looks):
    tally, now, grown, last = Tally(), 0.0, [], None
    for gap, value in looks:
        now += gap
        tally = tally.take(value, now, within=100)
        if last is not None and value != last and value:
            grown.append(now)
        last = value
    assert tally.lately(now, 100) == sum(at >= now - 100 for at in grown)
    assert tally.lately(now + 101, 100) == 0


def test_the_first_value_of_a_counter_says_nothing():
    assert Tally().take(7, 0.0, within=60).lately(0.0, 60) == 0
    assert Tally().take(0, 0.0, within=60).take(1, 1.0, within=60).lately(1.0, 60) == 1
