"""The simulated vendor's firewall: its request budget, how it counts errors, and when a block ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.firewall import Firewall, Limits

ME = "192.0.2.1"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def wall(**limits) -> tuple[Firewall, Clock]:
    clock = Clock()
    return Firewall(Limits(**limits), clock=clock), clock


def ask(firewall: Firewall, status: int = 200, client: str = ME) -> bool:
    admitted = firewall.admit(client)
    if admitted:
        firewall.answered(client, status)
    return admitted


def test_a_client_that_keeps_to_the_guidance_is_never_blocked() -> None:
    firewall, clock = wall()
    for number in range(600):
        clock.now += 0.2
        assert ask(firewall, 404 if number % 60 == 0 else 200)
    assert firewall.stats.blocks == 0
    assert firewall.stats.requests == 600
    assert firewall.stats.max_requests_in_any_1s == 5


def test_more_than_five_a_second_for_long_is_too_many() -> None:
    firewall, clock = wall()
    admitted = 0
    while ask(firewall):
        admitted += 1
        clock.now += 1 / 6
    assert admitted == 50
    assert firewall.stats.reasons == {"too many": 1}


def test_one_burst_is_recorded_and_forgiven() -> None:
    firewall, clock = wall()
    assert all(ask(firewall) for _ in range(30))
    clock.now += 20
    assert ask(firewall)
    assert firewall.stats.max_requests_in_any_1s == 30
    assert firewall.stats.blocks == 0


@pytest.mark.parametrize(
    ("arrivals", "most"),
    [
        # As a fault run had them: the fifth was let in after the sixth, and no second held six.
        ((0.0, 0.222, 0.446, 0.666, 1.112, 0.889), 5),
        ((0.0, 0.2, 0.4, 0.6, 0.9, 0.8), 6),
        ((0.0, 0.9, 1.2, 1.3, 0.95), 4),
    ],
)
def test_requests_told_of_out_of_turn_count_by_when_they_arrived(arrivals: tuple[float, ...], most: int) -> None:
    firewall, clock = wall()
    for arrived in arrivals:
        firewall.admit(ME, clock.now + arrived)
    assert firewall.stats.max_requests_in_any_1s == most


def test_a_flood_is_too_fast() -> None:
    firewall, _ = wall(sustained_rate=1000.0)
    assert [ask(firewall) for _ in range(101)] == [True] * 100 + [False]
    assert firewall.stats.reasons == {"too fast": 1}


def test_going_on_after_two_errors_is_no_pause() -> None:
    firewall, clock = wall()
    ask(firewall, 404)
    clock.now += 3
    ask(firewall, 500)
    clock.now += 0.4
    assert ask(firewall), "it was under way already"
    clock.now += 0.2
    assert not ask(firewall)
    assert firewall.stats.reasons == {"no pause": 1}


def test_who_pauses_until_the_errors_are_old_is_not_blocked() -> None:
    firewall, clock = wall()
    ask(firewall, 404)
    clock.now += 3
    ask(firewall, 500)
    clock.now += 7
    assert ask(firewall, 404), "the first error is 10 s old: one is left"
    assert firewall.stats.errors == 3
    clock.now += 10
    assert ask(firewall)
    assert firewall.stats.blocks == 0


def test_many_errors_at_once_block_though_nothing_follows() -> None:
    firewall, clock = wall()
    assert all(firewall.admit(ME) for _ in range(9))
    for _ in range(9):
        clock.now += 0.01
        firewall.answered(ME, 503)
    assert firewall.stats.reasons == {"too many errors": 1}
    assert not firewall.admit(ME)


def test_a_block_lasts_its_time_whatever_the_client_does_and_then_all_is_new() -> None:
    firewall, clock = wall(block_seconds=(30.0, 30.0), burst=1)
    ask(firewall)
    assert not ask(firewall)
    for _ in range(29):
        clock.now += 1
        assert not ask(firewall)
    assert firewall.blocked_for(ME) == pytest.approx(1.0)
    clock.now += 1
    assert firewall.blocked_for(ME) == 0
    assert ask(firewall)
    assert (firewall.stats.blocks, firewall.stats.refused, firewall.stats.requests) == (1, 30, 3)


def test_blocks_last_thirty_seconds_to_ten_minutes_by_the_seed() -> None:
    def lengths(seed: int) -> list[float]:
        clock = Clock()
        firewall = Firewall(Limits(burst=0), seed=seed, clock=clock)
        found = []
        for _ in range(50):
            firewall.admit(ME)
            found.append(firewall.blocked_for(ME))
            clock.now += 600
        return found

    assert lengths(1) == lengths(1) != lengths(2)
    assert all(30 <= length <= 600 for length in lengths(1))
    assert max(lengths(1)) - min(lengths(1)) > 300


def test_clients_are_blocked_one_by_one_and_let_go_on_demand() -> None:
    firewall, _ = wall(burst=1)
    ask(firewall)
    assert not ask(firewall)
    assert ask(firewall, client="192.0.2.2")
    firewall.unblock()
    assert ask(firewall)
    assert firewall.stats.as_dict()["reasons"] == {"too fast": 1}


SMALL = Limits(
    sustained_rate=1.0,
    sustained_seconds=4.0,
    burst=3,
    pause_errors=2,
    pause_seconds=3.0,
    reaction=0.5,
    error_burst=3,
    error_burst_seconds=2.0,
    block_seconds=(5.0, 5.0),
)


class Plain:
    """The rules of the docstring, written down once more over the whole history."""

    def __init__(self) -> None:
        self.arrivals: list[float] = []
        self.errors: list[float] = []
        self.until = 0.0

    def ask(self, now: float, status: int) -> bool:
        if now < self.until:
            return False
        self.arrivals.append(now)
        recent = [at for at in self.errors if now - at < 3]
        broken = (
            len([at for at in self.arrivals if now - at < 1]) > 3
            or len([at for at in self.arrivals if now - at < 4]) > 4
            or (len(recent) >= 2 and now - recent[1] > 0.5)
        )
        if not broken and status >= 400:
            self.errors.append(now)
            broken = len([at for at in self.errors if now - at < 2]) > 3
            if broken:
                self._block(now)
            return True
        if broken:
            self._block(now)
        return not broken

    def _block(self, now: float) -> None:
        self.arrivals, self.errors, self.until = [], [], now + 5


# Steps of a quarter of a second: sums of them are exact, and hit the edges of the windows.
@given(st.lists(st.tuples(st.integers(0, 24), st.sampled_from([200, 200, 404, 503])), max_size=80))
def test_it_does_what_its_docstring_says(steps: list[tuple[int, int]]) -> None:
    clock = Clock()
    firewall, plain = Firewall(SMALL, clock=clock), Plain()
    refused = 0
    for quarters, status in steps:
        clock.now += quarters / 4
        admitted = ask(firewall, status)
        assert admitted == plain.ask(clock.now, status)
        refused += not admitted
        assert (firewall.blocked_for(ME) > 0) == (plain.until > clock.now)
    assert firewall.stats.refused == refused
