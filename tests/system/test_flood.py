"""A small flood against a real sink that is killed in the middle: nothing missing, at most one digest repeated."""

import asyncio
import math

import pytest

from sandbox.flood import run

pytestmark = pytest.mark.system


def test_a_flood_with_a_kill(tmp_path):
    flood = asyncio.run(run(tmp_path, 3_000, 5, "middle", 1, lambda _text: None))
    assert flood.wrong() == []
    assert flood.kills == 1
    assert flood.in_digests() > 2_900
    assert max(flood.delays()) < math.inf
    assert len(flood.taken) < 20
