"""Several workers of one target, each with its part of the budget, never post more together than the limit."""

from hypothesis import example, given
from hypothesis import strategies as st

from sinks.limits import Budget, Limit, most_in_any
from sinks.parts import Part

PARTITIONS = 4
STEPS = st.one_of(
    st.tuples(st.just("wait"), st.integers(1, 40)),
    st.tuples(st.just("post"), st.integers(0, 2)),
    st.tuples(st.just("start"), st.integers(0, 2)),
    st.tuples(st.just("stop"), st.integers(0, 2)),
)


@given(
    st.builds(Limit, st.integers(4, 12), st.integers(5, 100).map(float), st.integers(0, 3)),
    st.lists(STEPS, max_size=150),
)
@example(Limit(4, 10.0), [("start", 0), *[("post", 0)] * 4, ("start", 1), *[("post", 1)] * 4])
@example(Limit(4, 10.0), [("start", 0), ("start", 1), *[("post", 1)] * 2, ("stop", 1), *[("post", 0)] * 4])
def test_together_they_keep_to_the_limit_whoever_comes_and_goes(limit, steps):
    now, made, workers = 0.0, [], {}
    for what, number in steps:
        if what == "wait":
            now += number
        elif what == "post" and number in workers and workers[number].room(now, urgent=True):
            workers[number].spend()
            workers[number].landed(now)
            made.append(now)
        elif (what == "start") != (number in workers) and what != "post":
            if what == "stop":
                del workers[number]
            else:
                workers[number] = Budget((limit,))
                workers[number].restore(made)
            for place, one in enumerate(sorted(workers)):
                owned = len(range(place, PARTITIONS, len(workers)))
                workers[one].share(now, owned / PARTITIONS, at_once=one == number)
    assert most_in_any(made, limit.seconds) <= limit.posts


@given(st.integers(1, 60), st.integers(0, 59), st.lists(st.integers(1, 20), min_size=1, max_size=8))
def test_the_parts_make_no_more_than_the_whole_and_each_may_post(posts, reserve, owned):
    limit, total = Limit(posts, 60.0, min(reserve, posts - 1)), sum(owned)
    mine = []
    for one in owned:
        part = Part()
        part.set(0.0, one / total, 60.0, at_once=True)
        mine.append(part.of(limit, 0.0))
    assert sum(one.posts / one.seconds for one in mine) <= limit.posts / limit.seconds * 1.0001
    assert all(one.posts > one.reserve >= 0 for one in mine)
    assert len(mine) > 1 or mine == [limit]
