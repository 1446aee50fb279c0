"""How much a connection may carry: several windows at once, and a reserve for the urgent."""

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True)
class Limit:
    """At most `posts` within any `seconds`, the last `reserve` of them for urgent ones alone."""

    posts: int
    seconds: float
    reserve: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.reserve < self.posts:
            raise ValueError("the reserve leaves nothing for what is not urgent")


class Budget:
    """What one connection has left. It knows no clock: each call says now.

    Times must not go back.
    """

    def __init__(self, limits: tuple[Limit, ...]) -> None:
        self._limits = limits
        self._spent: tuple[deque[float], ...] = tuple(deque(maxlen=limit.posts) for limit in limits)

    def wait(self, now: float, *, urgent: bool) -> float:
        """Return the seconds until a post may be made; 0 when it may be made now."""
        until = now
        for limit, spent in zip(self._limits, self._spent, strict=True):
            usable = limit.posts if urgent else limit.posts - limit.reserve
            if len(spent) >= usable:
                until = max(until, spent[-usable] + limit.seconds)
        return until - now

    def spend(self, now: float) -> None:
        """Note that a post is made, whatever will come of it: a refused one counts too."""
        for spent in self._spent:
            spent.append(now)
