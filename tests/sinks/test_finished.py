"""Finished records in any order: what is committed never skips one that is open, and a crash forgets none that fits."""

from hypothesis import given
from hypothesis import strategies as st

from sinks.finished import MAX_TEXT, Progress, decode


@given(st.integers(0, 1000), st.lists(st.booleans(), max_size=60), st.data())
def test_base_and_map_say_exactly_what_is_finished(base, there, data):
    progress = Progress(base)
    read = [base + n for n, is_there in enumerate(there) if is_there]
    assert all(progress.read(offset) for offset in read)
    done = data.draw(st.permutations(read)) if read else []
    done = done[: data.draw(st.integers(0, len(done)))]
    for offset in done:
        progress.finish(offset)
    still_open = sorted(set(read) - set(done))
    assert progress.base == (still_open[0] if still_open else progress.position)
    again = Progress(progress.base, progress.encode())
    came_back = [offset for offset in read if offset >= progress.base and again.read(offset)]
    assert came_back == still_open


@given(st.sets(st.integers(1, 50_000), max_size=3000))
def test_a_map_that_grows_too_long_forgets_the_highest_and_still_fits(done):
    progress = Progress(0)
    progress.read(0)
    for offset in sorted(done):
        progress.read(offset)
        progress.finish(offset)
    text = progress.encode(200)
    assert len(text) <= 200 < MAX_TEXT
    assert len(progress.encode()) <= MAX_TEXT
    again = Progress(0, text)
    assert 0 not in again
    assert all(offset not in again or offset in progress for offset in range(60_000))


@given(st.text(max_size=40), st.integers(0, 20))
def test_what_is_no_map_says_nothing(text, base):
    assert all(start >= base and end > start for start, end in decode(base, text))


def test_a_map_for_another_base_is_ignored():
    assert decode(16, "10:1.1") == [(17, 18)]
    assert decode(17, "10:1.1") == []


def test_all_read_and_finished_beyond_the_position_moves_the_base():
    progress = Progress(5, "5:0.3")
    assert progress.base == 8
    assert not progress.read(6)
    assert progress.read(8)
    assert progress.base == 8
