"""The pause of a partition: the longest time without a record around a change."""

from bench.rebalance import figures, judged, longest


def test_the_longest_pause_in_a_span():
    times = [0.0, 1.0, 2.0, 9.0, 10.0, 30.0, 31.0]
    assert longest(times, 1.5, 15.0) == 20.0
    assert longest(times, 1.5, 9.5) == 7.0
    assert longest(times, 3.0, 8.0) == 7.0  # it began before, and ends after
    assert longest(times, 12.0, 40.0) == float("inf")  # nothing came after it


def test_the_worst_and_the_middle_partition():
    found = [
        (partition, at, f"{partition}/{at}") for partition in (0, 1, 2) for at in (0.0, 5.0 + partition, 9.0, 50.0)
    ]
    assert figures({"joins": 3.0}, found, 5.0) == {"joins_s": 7.0, "joins_median_s": 6.0}


def test_what_is_missing_or_there_twice_is_counted():
    found = [(0, 1.0, "a"), (0, 2.0, "b"), (1, 2.0, "b")]
    assert judged({"a", "b", "c"}, found) == {"missing": 1, "doubled": 1}
