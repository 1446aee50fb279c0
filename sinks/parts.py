"""Which part of a connection's limits is one process's, where several workers of a target spend them."""

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sinks.limits import Limit

_NEARLY = 1e-9  # twelve twelfths are a whole


class Part:
    """The part that holds now; a larger one holds for a window once that has passed, for what others posted in it counts."""

    def __init__(self) -> None:
        self._now = 1.0
        self._before: deque[tuple[float, float]] = deque()

    def set(self, now: float, part: float, longest: float, *, at_once: bool) -> None:
        """Keep to a part from now on, to a larger one `at_once` where what others posted is counted already.

        Nothing before the `longest` window (seconds) is remembered.
        """
        while self._before and self._before[0][0] <= now - longest:
            self._before.popleft()
        if part != self._now and not at_once:
            self._before.append((now, self._now))
        self._now = part

    def of(self, limit: "Limit", now: float) -> "Limit":
        """Return what of a limit is this process's: whole posts, or one in a longer time where it is less than one."""
        part = min((part for until, part in self._before if until > now - limit.seconds), default=self._now)
        part = min(part, self._now)
        if part >= 1:
            return limit
        posts = limit.posts * part + _NEARLY
        if posts < 1:
            return replace(limit, posts=1, seconds=limit.seconds / posts, reserve=0)
        return replace(limit, posts=int(posts), reserve=min(int(limit.reserve * part + _NEARLY), int(posts) - 1))
