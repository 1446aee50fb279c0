"""A circuit breaker that keeps the vendor's rule: pause after two errors within ten seconds."""

from collections import deque

PERIOD = 10.0
"""Seconds within which two errors open the breaker (vendor's guidance on its firewall)."""
REST = 11.0
"""Seconds of silence after a single error that is no sign of an outage: the next one then stands alone again."""
FIRST_PAUSE, LONGEST_PAUSE = 30.0, 600.0
"""Seconds; the firewall blocks for 30 s to 10 min, so a shorter pause only prolongs the block."""


class Breaker:
    """Count errors and say when to stay silent; all times are seconds of one monotonic clock."""

    def __init__(self, allowed_errors: int = 1) -> None:
        self.allowed_errors = allowed_errors
        """Errors within PERIOD that do not open it; none where others call from the same address."""
        self._errors: deque[float] = deque()
        self._pause = FIRST_PAUSE
        self._open_until = 0.0
        self._probing = False
        self.reason = ""

    def silent_for(self, now: float) -> float:
        """Return the seconds left in which no call may be made."""
        return max(0.0, self._open_until - now)

    def error(self, now: float, reason: str, retry_after: float | None = None) -> bool:
        """Note a failed call; True when this opened the breaker."""
        while self._errors and now - self._errors[0] > PERIOD:
            self._errors.popleft()
        self._errors.append(now)
        if len(self._errors) <= self.allowed_errors and not self._probing and retry_after is None:
            return False
        self._open(now, reason, max(self._pause, retry_after or 0.0))
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        return True

    def heard(self, now: float, reason: str, retry_after: float | None = None) -> bool:
        """Note an error another worker told of; True when this opened the breaker.

        One that is open already stays so for as long as it would, or longer: it was one incident.
        """
        if self.silent_for(now):
            self._open_until = max(self._open_until, now + (retry_after or 0.0))
            return False
        if retry_after and retry_after <= REST:
            self.rest(now, reason, retry_after)
            return True
        return self.error(now, reason, retry_after)

    def missed(self, now: float, reason: str) -> None:
        """Note a 404: an error to the vendor's firewall, and no reason to hold everything back for long."""
        if self.allowed_errors:
            self.error(now, reason)
        else:
            self.rest(now, reason, REST)

    def rest(self, now: float, reason: str, seconds: float) -> None:
        """Be silent for so long; what happened was one error and no sign of an outage, so no probe is needed afterwards."""
        self._open_until = max(self._open_until, now + seconds)
        self.reason = self.reason or reason

    def refuse(self, now: float, reason: str) -> None:
        """Stop for the longest pause: the key is refused, and asking again cannot help soon."""
        self._open(now, reason, LONGEST_PAUSE)

    def success(self, now: float) -> bool:
        """Note a good answer; True when it closed the breaker, which no answer to an earlier question does."""
        if self.silent_for(now):
            return False
        if not self._probing:
            self.reason = ""
        closed, self._probing = self._probing, False
        if closed:
            self._pause = FIRST_PAUSE
            self._errors.clear()
            self.reason = ""
        return closed

    @property
    def probing(self) -> bool:
        """Whether the breaker has opened and no good answer has come since: one call at a time, and small."""
        return self._probing

    def _open(self, now: float, reason: str, pause: float) -> None:
        self._open_until = now + pause
        self._probing = True
        self.reason = reason
