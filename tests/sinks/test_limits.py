"""Whoever keeps to the budget never exceeds a limit, and urgent ones never wait behind others while a reserve exists."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sinks.limits import UNLIMITED, Allowance, Budget, Limit, LimitSettings

ONE = st.builds(Limit, st.integers(4, 12), st.integers(1, 300).map(float), st.integers(0, 3))
LIMITS = st.lists(ONE, min_size=1, max_size=3, unique_by=lambda limit: limit.seconds)


class Connection(RuleBasedStateMachine):
    """A connection that several targets use: posts begin when the budget says so, and end at any later time."""

    @initialize(limits=LIMITS, before=st.lists(st.integers(0, 300).map(lambda n: -float(n)), max_size=12))
    def start(self, limits, before):
        self.limits, self.now, self.paused_until = limits, 0.0, 0.0
        self.budget = Budget(tuple(limits))
        self.budget.restore(before)
        self.flying: list[tuple[float, bool]] = []
        self.posts = [(at, at, True) for at in sorted(before)]
        self.restored = len(before)

    @rule(seconds=st.integers(0, 3000).map(lambda n: n / 10))
    def time_passes(self, seconds):
        self.now += seconds

    @rule(urgent=st.booleans())
    def someone_wants_to_post(self, urgent):
        wait, room = self.budget.wait(self.now, urgent=urgent), self.budget.room(self.now, urgent=urgent)
        assert (wait == 0) == (room > 0)
        if room:
            self.budget.spend()
            self.flying.append((self.now, urgent))

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def one_is_answered(self, data):
        begun, urgent = self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1)))
        self.budget.landed(self.now)
        self.posts.append((begun, self.now, urgent))

    @rule(seconds=st.integers(0, 100).map(float))
    def the_server_asks_for_a_pause(self, seconds):
        self.budget.pause(self.now, seconds)
        self.paused_until = max(self.paused_until, self.now + seconds)

    @invariant()
    def never_more_than_the_limit_whenever_they_arrived(self):
        all_ = [*self.posts, *((begun, self.now, urgent) for begun, urgent in self.flying)]
        for limit in self.limits:
            for begun, _, _ in all_[self.restored :]:
                # The worst case at the server: this one arrived when it began, each earlier one as late as it could.
                within = [1 for start, end, _ in all_ if start <= begun and end + limit.seconds > begun]
                assert sum(within) <= limit.posts or sum(within) <= self._together(begun, limit)

    def _together(self, begun, limit):
        """Posts restored from before may exceed a limit that was narrower then; nothing new is added to them."""
        return sum(1 for start, end, _ in self.posts[: self.restored] if end + limit.seconds > begun)

    @invariant()
    def urgent_ones_go_while_a_reserve_is_there(self):
        if self.now < self.paused_until:
            assert self.budget.room(self.now, urgent=True) == 0
            return
        landed = [end for _, end, _ in self.posts]
        used = [
            sum(end + limit.seconds > self.now for end in landed) + len(self.flying) - limit.posts
            for limit in self.limits
        ]
        assert (self.budget.room(self.now, urgent=True) > 0) == all(left < 0 for left in used)
        assert self.budget.room(self.now, urgent=False) <= self.budget.room(self.now, urgent=True)


TestConnection = Connection.TestCase


@given(LIMITS, st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=120))
def test_what_is_not_urgent_leaves_the_reserve_alone(limits, asked):
    budget, now = Budget(tuple(limits)), 0.0
    made: list[float] = []
    for step, is_urgent in asked:
        now += step
        if budget.wait(now, urgent=is_urgent) == 0:
            for limit in limits:
                before = sum(now < other + limit.seconds for other in made)
                assert before < (limit.posts if is_urgent else limit.posts - limit.reserve)
            budget.spend()
            budget.landed(now)
            made.append(now)


@given(LIMITS, st.integers(0, 40), st.booleans())
def test_after_the_wait_a_post_may_be_made(limits, spent, is_urgent):
    budget = Budget(tuple(limits))
    for _ in range(spent):
        budget.spend()
        budget.landed(0.0)
    seconds = budget.wait(0.0, urgent=is_urgent)
    assert budget.wait(seconds, urgent=is_urgent) == 0
    assert seconds == 0 or budget.wait(seconds / 2, urgent=is_urgent) > 0


def test_without_limits_there_is_always_room():
    budget = Budget(())
    assert budget.room(0, urgent=False) == UNLIMITED
    budget.pause(0, 7)
    assert (budget.room(6.9, urgent=True), budget.wait(1, urgent=True)) == (0, 6)
    assert budget.room(7, urgent=False) == UNLIMITED


def test_one_in_flight_counts_until_the_window_has_passed_since_its_answer():
    budget = Budget((Limit(1, 10),))
    budget.spend()
    assert budget.wait(0, urgent=True) == 1, "look again soon"
    budget.landed(4)
    assert budget.wait(4, urgent=True) == 10


def test_what_the_server_says_is_left_comes_back_little_by_little():
    budget = Budget(())
    budget.told(0, Allowance(100, 11, 89))  # one a second comes back, and ten are kept for urgent ones
    assert budget.room(0, urgent=False) == 1
    budget.spend()
    assert budget.room(0, urgent=False) == 0
    assert budget.room(0, urgent=True) == 10
    assert budget.wait(0, urgent=False) == 1
    assert budget.room(1, urgent=False) == 1
    budget.told(2, Allowance(100, 0, 100))
    assert budget.wait(2, urgent=True) == 1
    assert budget.room(1_000, urgent=True) == 100


def test_a_second_target_of_the_connection_can_only_narrow_it():
    budget = Budget((Limit(25, 300, reserve=5),))
    budget.spend()
    budget.landed(0)
    budget.narrow((Limit(30, 300), Limit(2, 86_400, reserve=1)))
    assert budget.room(0, urgent=False) == 0
    assert budget.room(0, urgent=True) == 1
    budget.narrow((Limit(1, 300),))
    assert budget.room(0, urgent=True) == 0


def test_a_reserve_that_leaves_nothing_is_refused():
    with pytest.raises(ValueError, match="reserve"):
        Limit(5, 1, reserve=5)
    with pytest.raises(ValueError, match="reserve"):
        LimitSettings.model_validate({"posts": 5, "per": "1s", "reserve": 5})
    with pytest.raises(ValueError, match="no length"):
        LimitSettings.model_validate({"posts": 5, "per": "0s"})
