"""How long to wait before the next try."""

import random
from dataclasses import dataclass
from datetime import datetime

FIRST, LONGEST = 0.5, 30.0
"""Seconds before the second try, and between tries once a target has been away for a while."""


@dataclass(frozen=True)
class Retry:
    """An event that a target did not take yet: why, and when it is tried again."""

    event_id: str
    revision: int
    attempts: int
    reason: str
    next_at: datetime


def delay(attempt: int, retry_after: float | None, chance: random.Random) -> float:
    """Return the seconds before the next try: doubling with jitter, never less than the target asked for."""
    if retry_after is not None:
        # A little more, so that workers told the same moment do not meet again.
        return retry_after + chance.uniform(0, 0.5)
    ceiling = min(FIRST * 2 ** min(attempt - 1, 10), LONGEST)
    return chance.uniform(ceiling / 2, ceiling)
