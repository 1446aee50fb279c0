"""Whoever keeps to the budget never exceeds a limit, and what is not urgent never touches the reserve."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.limits import Budget, Limit

ONE = st.builds(Limit, st.integers(4, 12), st.integers(1, 300).map(float), st.integers(0, 3))
LIMITS = st.lists(ONE, min_size=1, max_size=3)


@given(LIMITS, st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=120))
def test_no_window_is_ever_exceeded(limits, asked):
    budget, now = Budget(tuple(limits)), 0.0
    made: list[tuple[float, bool]] = []
    for step, is_urgent in asked:
        now += step
        if budget.wait(now, urgent=is_urgent) == 0:
            budget.spend(now)
            made.append((now, is_urgent))
    for limit in limits:
        for at, is_urgent in made:
            before = sum(at - limit.seconds < other <= at for other, _ in made[: made.index((at, is_urgent)) + 1])
            assert before <= (limit.posts if is_urgent else limit.posts - limit.reserve)
            assert sum(at - limit.seconds < other <= at for other, _ in made) <= limit.posts


@given(LIMITS, st.integers(0, 40), st.booleans())
def test_after_the_wait_a_post_may_be_made(limits, spent, is_urgent):
    budget = Budget(tuple(limits))
    for _ in range(spent):
        budget.spend(0.0)
    seconds = budget.wait(0.0, urgent=is_urgent)
    assert budget.wait(seconds, urgent=is_urgent) == 0
    assert seconds == 0 or budget.wait(seconds / 2, urgent=is_urgent) > 0


def test_a_reserve_that_leaves_nothing_is_refused():
    with pytest.raises(ValueError, match="reserve"):
        Limit(5, 1, reserve=5)
