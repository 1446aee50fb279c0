"""The firewall before the vendor's API, as its published guidance describes it."""

import random
import time
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Limits:
    """What the firewall tolerates from one client; times are in seconds.

    The guidance says: at most 5 requests/s; pause when 2 responses within 10 s are 4xx or 5xx; over 100 requests/s and
    over 8 error responses/s for 5 s are anomalies; a block lasts a random 30 s to 10 min. Where it leaves room, these
    limits take the stricter reading (8 errors in all within 5 s; a pause lasts until the errors are 10 s old).
    """

    sustained_rate: float = 5.0
    sustained_seconds: float = 10.0
    burst: int = 100
    pause_errors: int = 2
    pause_seconds: float = 10.0
    reaction: float = 0.5
    error_burst: int = 8
    error_burst_seconds: float = 5.0
    block_seconds: tuple[float, float] = (30.0, 600.0)


@dataclass
class Stats:
    """What the firewall saw, over all clients."""

    requests: int = 0
    errors: int = 0
    blocks: int = 0
    refused: int = 0
    max_requests_in_any_1s: int = 0
    busiest: list[float] = field(default_factory=list)
    """When the requests of the fullest second arrived, in seconds after the first of them."""
    reasons: Counter[str] = field(default_factory=Counter)

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as JSON can carry them."""
        return asdict(self) | {"reasons": dict(self.reasons)}


@dataclass
class _Client:
    arrivals: deque[float] = field(default_factory=deque)
    errors: deque[float] = field(default_factory=deque)
    blocked_until: float = 0.0


class Firewall:
    """Count the requests and error responses of each client (an egress IP) and block those that break the rules.

    A window of T seconds that ends now holds what is younger than T. A request is refused and its client blocked when,
    with it counted,

    * `too fast`: the last 1 s holds more than `burst` requests;
    * `too many`: the last `sustained_seconds` hold more than `sustained_rate * sustained_seconds` requests;
    * `no pause`: the last `pause_seconds` hold `pause_errors` error responses or more, and the one that made them so
      many is older than `reaction` (what was under way by then is forgiven);

    and its client is blocked after an error response (status 400 and above) when

    * `too many errors`: the last `error_burst_seconds` hold more than `error_burst` of them.

    A block lasts a random time within `block_seconds`, drawn from the seed. Requests during it are refused, count as
    `refused` only, and do not prolong it; afterwards the client starts with empty windows. `max_requests_in_any_1s`
    is recorded only: over 5 is against the guidance, but one burst is no offence.
    """

    def __init__(
        self, limits: Limits | None = None, *, seed: int = 1, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.limits = limits or Limits()
        self.stats = Stats()
        self._clients: dict[str, _Client] = {}
        self._rng = random.Random(f"firewall {seed}")
        self._clock = clock

    def admit(self, client: str, arrived: float | None = None) -> bool:
        """Count a request that arrives now, or came at `arrived`, be it before others known; False when it must be refused."""
        now = self._clock() if arrived is None else arrived
        known = self._clients.setdefault(client, _Client())
        if now < known.blocked_until:
            self.stats.refused += 1
            return False
        self.stats.requests += 1
        _forget(known.arrivals, now - max(self.limits.sustained_seconds, 1.0))
        known.arrivals.insert(bisect_right(known.arrivals, now), now)
        fullest = _fullest_second(known.arrivals, now)
        if len(fullest) > self.stats.max_requests_in_any_1s:
            self.stats.max_requests_in_any_1s = len(fullest)
            self.stats.busiest = [round(at - fullest[0], 3) for at in fullest]
        reason = self._offence(known, now, len(fullest))
        if reason:
            self._block(known, now, reason)
            self.stats.refused += 1
        return not reason

    def answered(self, client: str, status: int) -> None:
        """Count the response to an admitted request, sent now."""
        now, known = self._clock(), self._clients.setdefault(client, _Client())
        if status < 400 or now < known.blocked_until:  # noqa: PLR2004
            return
        self.stats.errors += 1
        known.errors.append(now)
        _forget(known.errors, now - max(self.limits.pause_seconds, self.limits.error_burst_seconds))
        if _count(known.errors, now - self.limits.error_burst_seconds) > self.limits.error_burst:
            self._block(known, now, "too many errors")

    def blocked_for(self, client: str) -> float:
        """Return how many seconds a client's block will last, 0 when it is not blocked."""
        known = self._clients.get(client)
        return max(0.0, known.blocked_until - self._clock()) if known else 0.0

    def unblock(self) -> None:
        """Lift every block and empty every window; the statistics stay."""
        self._clients.clear()

    def _offence(self, known: _Client, now: float, in_1s: int) -> str | None:
        limits = self.limits
        if in_1s > limits.burst:
            return "too fast"
        if (
            _count(known.arrivals, known.arrivals[-1] - limits.sustained_seconds)
            > limits.sustained_rate * limits.sustained_seconds
        ):
            return "too many"
        recent = [at for at in known.errors if at > now - limits.pause_seconds]
        if len(recent) >= limits.pause_errors and now - recent[limits.pause_errors - 1] > limits.reaction:
            return "no pause"
        return None

    def _block(self, known: _Client, now: float, reason: str) -> None:
        known.blocked_until = now + self._rng.uniform(*self.limits.block_seconds)
        known.arrivals.clear()
        known.errors.clear()
        self.stats.blocks += 1
        self.stats.reasons[reason] += 1


def _forget(times: deque[float], until: float) -> None:
    while times and times[0] <= until:
        times.popleft()


def _fullest_second(times: deque[float], at: float) -> list[float]:
    """Return the most of these sorted times that lie within one second, `at` among them."""
    ends = [time for time in times if at <= time < at + 1.0]
    return max(([time for time in times if end - 1.0 < time <= end] for end in ends), key=len)


def _count(times: deque[float], after: float) -> int:
    return sum(1 for time in times if time > after)
