"""How long to wait before the next try."""

import random

FIRST, LONGEST = 0.5, 30.0
"""Seconds before the second try, and between tries once a target has been away for a while."""


def delay(attempt: int, retry_after: float | None, chance: random.Random) -> float:
    """Return the seconds before the next try: doubling with jitter, never less than the target asked for."""
    if retry_after is not None:
        # A little more, so that workers told the same moment do not meet again.
        return retry_after + chance.uniform(0, 0.5)
    ceiling = min(FIRST * 2 ** min(attempt - 1, 10), LONGEST)
    return chance.uniform(ceiling / 2, ceiling)
