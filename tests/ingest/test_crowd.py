"""Who goes when: the slow by their own clock, the idle by theirs, and in a crowd whoever has been idle for longest."""

import pytest

from ingest.crowd import HEADERS_WITHIN, KEEP_ALIVE, Crowd


class Visitor:
    def __init__(self) -> None:
        self.told: list[str] = []

    def dismiss(self, reason: str) -> None:
        self.told.append(reason)

    def leave(self) -> None:
        self.told.append("leave")


@pytest.fixture
def crowd() -> Crowd:
    return Crowd(3)


def test_one_who_begins_anew_hides_nobody_who_is_slow(crowd):
    early, slow = Visitor(), Visitor()
    crowd.reading(early, 0)
    crowd.reading(slow, 1)
    crowd.reading(early, 9)
    crowd.expire(1.5 + HEADERS_WITHIN)
    assert (early.told, slow.told) == ([], ["slow"])


def test_idle_ones_leave_after_their_time_and_busy_ones_never(crowd):
    idle, busy = Visitor(), Visitor()
    for each in (idle, busy):
        crowd.reading(each, 0)
        crowd.busy(each)
    crowd.idle(idle, 5)
    crowd.expire(4 + KEEP_ALIVE)
    assert idle.told == []
    crowd.expire(6 + KEEP_ALIVE)
    assert (idle.told, busy.told) == (["leave"], [])
    assert not crowd.make_room()


def test_room_is_made_by_the_longest_idle_then_by_the_longest_reading(crowd):
    reading, one, other = Visitor(), Visitor(), Visitor()
    crowd.reading(reading, 0)
    crowd.idle(one, 1)
    crowd.idle(other, 2)
    assert crowd.make_room()
    assert crowd.make_room()
    assert crowd.make_room()
    assert (one.told, other.told, reading.told) == (["crowded"], ["crowded"], ["crowded"])
    assert not crowd.make_room()
