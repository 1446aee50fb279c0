"""How much a connection may carry: several windows at once, a reserve for the urgent, and what the server itself says."""

import sys
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, model_validator

from events.settings import Duration
from sinks.parts import Part

UNLIMITED = sys.maxsize
"""Posts where nobody names a limit."""

_HOUR = 3_600.0


@dataclass(frozen=True)
class Limit:
    """At most `posts` within any `seconds`, the last `reserve` of them for urgent ones alone."""

    posts: int
    seconds: float
    reserve: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.reserve < self.posts:
            raise ValueError("the reserve leaves nothing for what is not urgent")


class LimitSettings(BaseModel):
    """One entry of a target's `limits:`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    posts: int = Field(ge=1, le=1_000_000)
    per: Duration = Field(description="The window: 1s, 5m, 24h.")
    reserve: int = Field(0, ge=0, description="How many of them only urgent ones may use.")

    @model_validator(mode="after")
    def _check(self) -> "LimitSettings":
        if self.per.total_seconds() <= 0:
            raise ValueError("the window has no length")
        self.limit()
        return self

    def limit(self) -> Limit:
        """Return it as the budget takes it."""
        return Limit(self.posts, self.per.total_seconds(), self.reserve)


@dataclass(frozen=True)
class Allowance:
    """What a server says is left: of `limit` posts `remaining`, and all of them again after `reset` seconds."""

    limit: int
    remaining: int
    reset: float

    @property
    def each(self) -> float:
        """Seconds until one more post is allowed."""
        return self.reset / max(self.limit - self.remaining, 1)

    @property
    def reserve(self) -> int:
        """Posts kept for urgent ones."""
        return min(max(self.limit // 10, 1), self.limit - 1)


@dataclass(frozen=True)
class Outlook:
    """How many posts may be made soon, and of how many."""

    posts: int
    of: int

    def narrower(self, other: "Outlook") -> "Outlook":
        """Return the one that leaves less; of two the one of more, relatively poorer."""
        return min(self, other, key=lambda one: (one.posts, -one.of))


class Budget:
    """What one connection has left. It knows no clock: each call says now, in seconds.

    Times must not go back. A post counts from `spend` to its `landed`, and from there for as long as each window is: it
    may have arrived at any moment in between, so this way the server never sees more than the limit either.
    """

    def __init__(self, limits: tuple[Limit, ...]) -> None:
        self.limits = limits
        self._landed: tuple[deque[float], ...] = tuple(deque() for _ in limits)
        self._part = Part()
        self._flying = 0
        self._paused_until = 0.0
        self._allowance: Allowance | None = None
        self._told_at, self._since_told = 0.0, 0

    def narrow(self, limits: tuple[Limit, ...]) -> None:
        """Keep to these as well; of two for the same window to the narrower one."""
        for limit in limits:
            index = next((n for n, known in enumerate(self.limits) if known.seconds == limit.seconds), None)
            if index is None:
                longest = max(self._landed, key=len, default=deque[float]())
                self.limits, self._landed = (*self.limits, limit), (*self._landed, deque(longest))
            elif limit.posts < self.limits[index].posts:
                self.limits = (*self.limits[:index], limit, *self.limits[index + 1 :])

    def share(self, now: float, part: float, *, at_once: bool = False) -> None:
        """Keep to a part of each limit from now on: other processes have the rest.

        A larger part holds for a window once that has passed, unless `at_once`: what others posted is counted already.
        """
        self._part.set(now, part, max((limit.seconds for limit in self.limits), default=0.0), at_once=at_once)

    def _mine(self, now: float) -> Iterable[tuple[Limit, deque[float]]]:
        """Return what of each limit is this process's, with the posts that count."""
        return zip((self._part.of(limit, now) for limit in self.limits), self._landed, strict=True)

    def room(self, now: float, *, urgent: bool) -> int:
        """Return how many posts may be made now."""
        if now < self._paused_until:
            return 0
        room = UNLIMITED
        for limit, landed in self._mine(now):
            _forget(landed, limit.seconds, now)
            room = min(room, _usable(limit, urgent=urgent) - len(landed) - self._flying)
        return max(0, min(room, self._allowed(now, urgent=urgent)))

    def wait(self, now: float, *, urgent: bool) -> float:
        """Return the seconds until a post may be made; 0 when it may be made now."""
        until = max(now, self._paused_until)
        for limit, landed in self._mine(now):
            usable = _usable(limit, urgent=urgent) - self._flying
            if usable <= 0:  # one in flight must land first; look again soon
                until = max(until, now + min(limit.seconds, 1.0))
            elif len(landed) >= usable:
                until = max(until, landed[-usable] + limit.seconds)
        if self._allowance and (missing := 1 - self._allowed(now, urgent=urgent)) > 0:
            until = max(until, now + missing * self._allowance.each)
        return until - now

    def outlook(self, now: float, seconds: float, *, urgent: bool) -> "Outlook":
        """Return about how many posts may be made within some seconds, and how many it were with nothing spent."""
        found = Outlook(UNLIMITED, UNLIMITED)
        for limit, landed in self._mine(now):
            windows, rest = divmod(seconds, limit.seconds)
            of = (int(windows) + 1) * _usable(limit, urgent=urgent)
            used = sum(1 for at in landed if at + limit.seconds > now + rest) + self._flying
            found = found.narrower(Outlook(max(of - used, 0), of))
        if self._allowance:
            back = int(seconds / (self._allowance.each or seconds))
            left = max(self._allowed(now, urgent=urgent), 0) + back
            found = found.narrower(Outlook(left, self._allowance.limit + back))
        return Outlook(0, found.of) if now + seconds < self._paused_until else found

    def pace(self, now: float, *, urgent: bool) -> float:
        """Return the seconds between two posts that the windows of up to an hour bear for ever."""
        short = (limit for limit, _ in self._mine(now) if limit.seconds <= _HOUR)
        return max((limit.seconds / _usable(limit, urgent=urgent) for limit in short), default=0.0)

    def spend(self) -> None:
        """Note that a post is made, whatever will come of it: a refused one counts too."""
        self._flying += 1
        self._since_told += 1

    def landed(self, now: float) -> None:
        """Note that a post was answered, or given up."""
        self._flying -= 1
        for limit, landed in self._mine(now):
            landed.append(now)
            _forget(landed, limit.seconds, now)

    def restore(self, times: list[float]) -> None:
        """Count posts that an earlier process made, all before the first one of our own."""
        for limit, landed in zip(self.limits, self._landed, strict=True):
            landed.extendleft(sorted(times, reverse=True)[: limit.posts])

    def pause(self, now: float, seconds: float) -> None:
        """Let nothing go for some seconds: the server asked for it."""
        self._paused_until = max(self._paused_until, now + seconds)

    def told(self, now: float, allowance: Allowance) -> None:
        """Believe what the server says is left."""
        self._allowance, self._told_at, self._since_told = allowance, now, 0

    def _allowed(self, now: float, *, urgent: bool) -> int:
        said = self._allowance
        if said is None:
            return UNLIMITED
        back = int((now - self._told_at) / said.each) if said.each > 0 else said.limit
        left = min(said.limit, said.remaining + back) - self._since_told
        return left if urgent else left - said.reserve


def most_in_any(times: Iterable[float], seconds: float) -> int:
    """Return the most of these times that lie within any span of so many seconds."""
    ordered, most, first = sorted(times), 0, 0
    for last, time in enumerate(ordered):
        while ordered[first] + seconds <= time:
            first += 1
        most = max(most, last - first + 1)
    return most


def _usable(limit: Limit, *, urgent: bool) -> int:
    return limit.posts if urgent else limit.posts - limit.reserve


def _forget(landed: deque[float], seconds: float, now: float) -> None:
    while landed and landed[0] + seconds <= now:
        landed.popleft()
