"""The breaker keeps the vendor's rule, whatever the order of answers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sandbox.firewall import Firewall
from stream.breaker import FIRST_PAUSE, LONGEST_PAUSE, REST, Breaker
from stream.worker import not_asked


def test_one_error_is_tolerated_two_within_ten_seconds_are_not():
    breaker = Breaker()
    assert not breaker.error(0.0, "status 500")
    assert breaker.silent_for(0.0) == 0
    assert breaker.error(9.0, "status 500")
    assert breaker.silent_for(9.0) == FIRST_PAUSE


def test_errors_further_apart_do_not_open_it():
    breaker = Breaker()
    assert not breaker.error(0.0, "x")
    assert not breaker.error(10.5, "x")


def test_a_failed_probe_doubles_the_pause_and_a_good_one_closes():
    breaker = Breaker(allowed_errors=0)
    breaker.error(0.0, "x")
    assert breaker.probing
    breaker.error(30.0, "x")
    assert breaker.silent_for(30.0) == 2 * FIRST_PAUSE
    assert breaker.success(90.0)
    assert not breaker.probing
    breaker.error(1000.0, "x")
    assert breaker.silent_for(1000.0) == FIRST_PAUSE


def test_an_answer_to_what_was_asked_before_it_opened_is_no_probe():
    breaker = Breaker(allowed_errors=0)
    breaker.error(0.0, "status 503")
    assert not breaker.success(0.2)
    assert (breaker.probing, breaker.reason) == (True, "status 503")
    breaker.error(30.0, "status 503")
    assert breaker.silent_for(30.0) == 2 * FIRST_PAUSE


def test_retry_after_opens_it_at_once_and_longer():
    breaker = Breaker()
    assert breaker.error(0.0, "status 429", retry_after=300.0)
    assert breaker.silent_for(0.0) == 300.0


@given(st.lists(st.tuples(st.floats(0, 120), st.booleans()), max_size=60))
def test_it_never_pauses_longer_than_the_vendor_blocks(steps):
    breaker, now = Breaker(), 0.0
    for wait, good in steps:
        now += wait
        if breaker.silent_for(now):
            continue
        if good:
            breaker.success(now)
        else:
            breaker.error(now, "x")
        assert 0 <= breaker.silent_for(now) <= LONGEST_PAUSE


class Caller(RuleBasedStateMachine):
    """Somebody who calls whenever the breaker lets him, through the vendor's firewall, an API that fails as it likes."""

    def __init__(self):
        super().__init__()
        self.now, self.opened, self.pause = 0.0, False, FIRST_PAUSE
        self.breaker = Breaker()
        self.firewall = Firewall(clock=lambda: self.now)

    @rule(seconds=st.sampled_from([0.5, 2.0, 6.0, 9.0, 11.0, 31.0, 120.0, 700.0]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule(status=st.sampled_from([200, 200, 404, 429, 503]), retry_after=st.sampled_from([None, None, 5.0, 3600.0]))
    def calls(self, status, retry_after):
        self.now += 0.25  # the budget
        if self.breaker.silent_for(self.now):
            return
        assert self.firewall.admit("us")
        self.firewall.answered("us", status)
        if status == 200:
            assert self.breaker.success(self.now) == self.opened
            self.opened, self.pause = False, FIRST_PAUSE
        elif self.breaker.error(self.now, f"status {status}", retry_after):
            assert self.breaker.silent_for(self.now) == pytest.approx(max(self.pause, retry_after or 0.0))
            self.opened, self.pause = True, min(2 * self.pause, LONGEST_PAUSE)
        else:
            assert not self.opened, "a probe that fails opens it again"

    @rule()
    def is_refused(self):
        if not self.breaker.silent_for(self.now):
            self.breaker.refuse(self.now, "status 403")
            assert self.breaker.silent_for(self.now) == pytest.approx(LONGEST_PAUSE)
            self.opened = True

    @invariant()
    def the_vendor_never_blocks(self):
        assert self.firewall.stats.blocks == 0

    @invariant()
    def it_says_that_the_next_call_is_a_probe(self):
        assert self.breaker.probing == self.opened


@given(
    st.lists(st.sampled_from([200, 200, 200, 404, 503]), min_size=20, max_size=400),
    st.lists(st.floats(0.0, 0.2), min_size=1, max_size=8),
)
@settings(max_examples=60, deadline=None)
def test_three_workers_who_tell_each_other_are_not_blocked(statuses, delays):
    now, told = 0.0, []
    workers = [Breaker(allowed_errors=0) for _ in range(3)]
    firewall = Firewall(clock=lambda: now)
    for turn, status in enumerate(statuses * 4):
        now += 0.25
        for at, listener in [each for each in told if each[0] <= now]:
            workers[listener].heard(now, "another worker")
            told.remove((at, listener))
        caller = turn % 3
        if workers[caller].silent_for(now):
            continue
        assert firewall.admit("us"), firewall.stats.reasons
        firewall.answered("us", status)
        if status == 200:
            workers[caller].success(now)
        else:
            workers[caller].error(now, f"status {status}")
            told += [(now + delays[turn % len(delays)], other) for other in range(3) if other != caller]


def test_one_incident_that_all_tell_of_opens_once():
    breaker = Breaker(allowed_errors=0)
    assert breaker.error(0.0, "x")
    assert not breaker.heard(0.1, "y")
    assert not breaker.heard(0.2, "z", retry_after=50.0)
    assert breaker.silent_for(0.2) == 50.0
    assert breaker.heard(60.0, "y")
    assert breaker.silent_for(60.0) == 2 * FIRST_PAUSE


TestCaller = Caller.TestCase
TestCaller.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_an_api_that_hangs_is_shown_as_not_asked_all_the_while():
    breaker, now = Breaker(allowed_errors=0), 0.0
    for pause in (FIRST_PAUSE, 2 * FIRST_PAUSE):
        breaker.error(now, "no answer")
        assert not_asked(breaker, now + pause + 9.9)  # the probe hangs until its timeout
        now += pause + 10.0
    assert not not_asked(breaker, now + 30.0)  # nobody asks, so nobody waits
    breaker.success(now)
    assert not not_asked(breaker, now)


def test_a_rest_after_one_error_is_over_when_it_is_over():
    breaker = Breaker(allowed_errors=0)
    breaker.missed(0.0, "404")
    assert not_asked(breaker, REST - 0.1)
    assert not not_asked(breaker, REST + 0.1)
