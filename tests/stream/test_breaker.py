"""The breaker keeps the vendor's rule, whatever the order of answers."""

from hypothesis import given
from hypothesis import strategies as st

from stream.breaker import FIRST_PAUSE, LONGEST_PAUSE, Breaker


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
    assert breaker.success()
    assert not breaker.probing
    breaker.error(1000.0, "x")
    assert breaker.silent_for(1000.0) == FIRST_PAUSE


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
            breaker.success()
        else:
            breaker.error(now, "x")
        assert 0 <= breaker.silent_for(now) <= LONGEST_PAUSE
