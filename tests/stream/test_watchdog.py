"""The watchdog ends what lives and does nothing, and lets alone what works or has nothing to do."""

import pytest

from stream.watchdog import BLOCKED, STALL, STANDBY, STOPPING, UNASSIGNED, Pulse, Watchdog


def verdicts(pulses, *, turned=lambda now: now):
    """Return what the watchdog says, one pulse a second."""
    watchdog = Watchdog(0.0)
    return [watchdog.verdict(pulse, turned(now), float(now)) for now, pulse in enumerate(pulses)]


def first(found):
    return next((second for second, why in enumerate(found) if why), None)


BUSY = Pulse({0: (10, 5)}, known=True, stopping=False)
IDLE = Pulse({0: (0, 5)}, known=True, stopping=False)


@pytest.mark.parametrize(
    ("pulse", "limit", "why"),
    [
        (BUSY, STALL, "no record was finished"),
        (Pulse({}, known=False, stopping=False), UNASSIGNED, "no partition was assigned"),
        (Pulse({}, known=True, stopping=False), STANDBY, "no partition was assigned"),
        (Pulse({0: (0, 5)}, known=True, stopping=True), STOPPING, "the clean stop hangs"),
    ],
)
def test_it_ends_the_process_with_one_reason_and_not_before_its_time(pulse, limit, why):
    found = verdicts([pulse] * (int(limit) + 5))
    assert first(found) == int(limit) + 1
    assert why in found[-1]


def test_a_loop_that_does_not_turn_is_noticed():
    found = verdicts([IDLE] * 100, turned=lambda _: 0.0)
    assert first(found) == int(BLOCKED) + 1
    assert "blocked" in found[-1]


def test_slow_progress_and_an_idle_night_are_fine():
    slow = [Pulse({0: (10, second // 100)}, known=True, stopping=False) for second in range(1000)]
    idle = [IDLE] * 1000
    between = [Pulse({} if second % 150 else {0: (0, 0)}, known=False, stopping=False) for second in range(1000)]
    assert first(verdicts(slow)) is first(verdicts(idle)) is first(verdicts(between)) is None


def test_one_partition_that_stands_still_is_noticed_while_others_move():
    found = verdicts([Pulse({0: (10, second), 1: (1, 7)}, known=True, stopping=False) for second in range(200)])
    assert first(found) == int(STALL) + 1
    moved = [Pulse({0: (10, second), 1 + second // 100: (1, 7)}, known=True, stopping=False) for second in range(200)]
    assert first(verdicts(moved)) is None, "one that was given away is somebody else's"
