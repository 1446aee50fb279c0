"""Trace context from outside: what is one is passed on, anything else is dropped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.trace import child, trace_id, well_formed

GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00-ab-cd-01",
        GIVEN.upper(),
        GIVEN + "\r\nX-Injected: 1",
        GIVEN + "-more",
        " " + GIVEN,
        "ff" + GIVEN[2:],
        GIVEN.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32),
        GIVEN.replace("00f067aa0ba902b7", "0" * 16),
        GIVEN.replace("4b", "\u0664b"),
        "0" * 100_000,
        7,
        None,
    ],
)
def test_what_is_none_is_dropped(text):
    assert well_formed(text) is None
    assert child(str(text)) is None
    assert trace_id(str(text)) is None


def test_a_request_of_ours_is_a_step_of_its_own_in_the_same_trace():
    assert well_formed(GIVEN) == GIVEN
    steps = {child(GIVEN), child(GIVEN), GIVEN}
    assert len(steps) == 3
    assert {trace_id(step) for step in steps} == {"4bf92f3577b34da6a3ce929d0e0e4736"}
    assert {step[-3:] for step in steps} == {"-01"}, "whether it is sampled is the caller's word"
    assert child("cc" + GIVEN[2:])[:3] == "00-", "of a later version we speak the one we know"


@given(st.text())
def test_whatever_comes_is_bounded(text):
    assert len(well_formed(text) or "") in (0, 55)
