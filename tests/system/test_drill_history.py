"""A small drill with everything in it: every planted gap is named, and mended where a command can."""

import asyncio

import pytest

from sandbox.drill_history import Course, Drilling

pytestmark = [pytest.mark.system, pytest.mark.long]


def test_a_small_past(tmp_path):
    drill = asyncio.run(Drilling(tmp_path, Course(records=6_000, round_s=8.0), lambda _text: None).run())
    assert drill.wrong() == []
    assert len(drill.replayed.expected) > 100
    assert sum(drill.named().values()) > 60
