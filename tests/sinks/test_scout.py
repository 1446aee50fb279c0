"""What was seen ahead is lifted once, in order, and forgotten when reading has reached it."""

from hypothesis import given
from hypothesis import strategies as st

from sinks.scout import Trail

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("see"), st.integers(0, 1), st.sampled_from([b"a", b"b", b"c"])),
        st.tuples(st.just("lift"), st.integers(0, 1), st.sampled_from([b"a", b"b", b"c"])),
        st.tuples(st.just("pass"), st.integers(0, 1), st.integers(0, 60)),
    ),
    max_size=100,
)


@given(STEPS)
def test_the_trail(steps):
    trail, ends, reached, seen = Trail(), [0, 0], [0, 0], {}
    for what, partition, value in steps:
        if what == "see":
            trail.see(partition, ends[partition], (partition, value))
            seen.setdefault((partition, value), []).append(ends[partition])
            ends[partition] += 1
        elif what == "pass":
            reached[partition] = min(max(reached[partition], value), ends[partition])
            trail.pass_to(partition, reached[partition])
        else:
            found = trail.lift((partition, value))
            assert found == [one for one in seen.pop((partition, value), []) if one >= reached[partition]]
    trail.pass_to(0, 10**9)
    trail.pass_to(1, 10**9)
    assert len(trail) == 0
    assert trail._offsets == {}
