"""What rules keep for a digest of their own until it is due; a crash lets it go, and it is read and kept again."""

from collections.abc import Callable
from datetime import datetime

from sinks.digest import Digest, Prepared
from sinks.hours import NEVER
from sinks.schedule import MOST

GATHER = 10.0
"""Seconds for which more is waited for when a digest that is due was begun late, after an outage."""


class Held:
    """The one digest of a target that rules fill; the offsets of what it holds stay open meanwhile."""

    def __init__(self, named: int, will_tell: Callable[[Prepared], None]) -> None:
        self._named = named
        self._will_tell = will_tell
        self._digest: Digest | None = None
        self._due = NEVER
        self._begun = 0.0

    def keep(self, prepared: Prepared, monotonic: float) -> bool:
        """Take an event in when its rules say so; the digest is due when the first of its events is."""
        due = prepared.decision.digest
        if due is None:
            return False
        if self._digest is None:
            self._digest, self._due, self._begun = Digest(self._named), due, monotonic
        self._digest.fold(prepared)
        self._will_tell(prepared)
        self._due = min(self._due, due)
        return True

    def due(self, now: datetime) -> bool:
        """Say whether there is a digest that should be told."""
        return self._digest is not None and self._due <= now

    def take(self, now: datetime, monotonic: float, *, more: bool, crowded: bool) -> Digest | None:
        """Return the digest, sealed, when it is due and nothing waits that may belong to it, or its offsets must end."""
        if self._digest is None:
            return None
        late = self.due(now) and (not more or monotonic - self._begun >= GATHER)
        if not (late or crowded or len(self._digest) >= MOST):
            return None
        digest, self._digest = self._digest, None
        digest.sealed = True
        return digest

    def forget(self) -> None:
        """Let all go."""
        self._digest = None
