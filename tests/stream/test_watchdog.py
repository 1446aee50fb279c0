"""The watchdog ends what lives and does nothing, and lets alone what works or has nothing to do."""

import pytest

from stream.watchdog import BLOCKED, STALL, STOPPING, UNASSIGNED, Pulse, Watchdog


def verdicts(pulses, *, turned=lambda now: now):
    """Return what the watchdog says, one pulse a second."""
    watchdog = Watchdog(0.0)
    return [watchdog.verdict(pulse, turned(now), float(now)) for now, pulse in enumerate(pulses)]


def first(found):
    return next((second for second, why in enumerate(found) if why), None)


BUSY = Pulse(partitions=4, waiting=10, acknowledged=5, stopping=False)


@pytest.mark.parametrize(
    ("pulse", "limit", "why"),
    [
        (BUSY, STALL, "no record was finished"),
        (Pulse(0, 0, 0, stopping=False), UNASSIGNED, "no partition was assigned"),
        (Pulse(4, 0, 0, stopping=True), STOPPING, "the clean stop hangs"),
    ],
)
def test_it_ends_the_process_with_one_reason_and_not_before_its_time(pulse, limit, why):
    found = verdicts([pulse] * (int(limit) + 5))
    assert first(found) == int(limit) + 1
    assert why in found[-1]


def test_a_loop_that_does_not_turn_is_noticed():
    found = verdicts([Pulse(4, 0, 0, stopping=False)] * 100, turned=lambda _: 0.0)
    assert first(found) == int(BLOCKED) + 1
    assert "blocked" in found[-1]


def test_slow_progress_and_an_idle_night_are_fine():
    slow = [Pulse(4, 10, second // 100, stopping=False) for second in range(1000)]
    idle = [Pulse(4, 0, 0, stopping=False)] * 1000
    between = [Pulse(0 if second % 150 else 4, 0, 0, stopping=False) for second in range(1000)]
    assert first(verdicts(slow)) is first(verdicts(idle)) is first(verdicts(between)) is None
