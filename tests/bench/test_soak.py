"""What the soak calls growth, and what it counts as a process's memory."""

import os

import pytest

from bench.soak import growth_pct, rss_mb


@pytest.mark.parametrize(
    ("samples", "grown"),
    [
        ([], 0.0),
        ([100.0] * 4, 0.0),
        ([100.0] * 50, 0.0),
        ([100.0 + each for each in range(50)], 38.3),
        ([100.0] * 25 + [300.0] + [100.0] * 24, 0.0),
        ([100.0] * 40 + [90.0] * 10, -10.0),
    ],
)
def test_growth_is_the_end_over_the_beginning_and_no_single_peak(samples, grown):
    assert growth_pct(samples) == pytest.approx(grown, abs=0.1)


def test_the_memory_of_a_process_is_seen_and_that_of_one_gone_is_none():
    assert rss_mb(os.getpid()) > 10
    assert rss_mb(2**22 + 1) == 0.0
