"""Answers are kept while they fit, and none is older than what it is asked for."""

import tracemalloc
from datetime import UTC, datetime, timedelta

from stream.cache import OVERHEAD, Answer, Cache, read

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_cache_keeps_what_was_used_last_within_its_bytes():
    cache = Cache(3 * (1000 + OVERHEAD))
    answers = {name: Answer(b"x" * 1000, LONG_AGO) for name in "abcd"}
    for name in "abc":
        cache.put(name, answers[name])
    assert cache.get("a", LONG_AGO)
    cache.put("d", answers["d"])
    assert [bool(cache.get(name, LONG_AGO)) for name in "abcd"] == [True, False, True, True]
    assert cache.size == 3 * (1000 + OVERHEAD)
    newer = Answer(b"newer", LONG_AGO + timedelta(seconds=1))
    cache.put("a", newer)
    cache.put("a", answers["a"])
    assert cache.get("a", newer.fetched_at) == newer, "an older answer that comes late is not kept"
    cache.put("large", Answer(b"x" * 10_000, LONG_AGO))
    assert cache.size == 0


def test_an_answer_takes_no_more_memory_than_it_is_counted_for():
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    answers = [read({"uuid": str(number), "details": "x" * 1800}, LONG_AGO) for number in range(500)]
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < sum(len(each.alert) + OVERHEAD for each in answers)
