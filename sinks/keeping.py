"""What rules ask to be kept for one message: a digest that waits until it is due, beside the one a short budget opens."""

from datetime import datetime

from sinks.digest import Digest, Prepared
from sinks.window import key_of


class Keeping:
    """The digest of what is kept. An alert is in one of the two digests at most, so either may be posted first."""

    def __init__(self, named: int) -> None:
        self._named = named
        self.digest: Digest | None = None
        self._until: datetime | None = None

    def take(self, prepared: Prepared, other: Digest | None, now: datetime) -> bool:
        """Keep an event if its rules ask for it; one that follows a kept one of its alert goes with it, at once."""
        key, until = key_of(prepared.record), prepared.decision.digest
        follows = self.digest is not None and self.digest.holds(key)
        if not follows and (until is None or until <= now or (other and other.holds(key))):
            return False
        if self.digest is None:
            self.digest = Digest(self._named)
        self.digest.fold(prepared)
        wanted = now if until is None else until
        self._until = wanted if self._until is None else min(self._until, wanted)
        return True

    def swap(self, other: Digest | None, now: datetime, *, crowded: bool) -> Digest | None:
        """Return the digest to go on with: the kept one when it is due and may come before the other."""
        kept, until = self.digest, self._until
        if kept is None or until is None or (now < until and not crowded):
            return other
        if other and (other.sealed or other.urgent or not kept.urgent):
            return other  # its turn comes first
        self.digest, self._until = other, (now if other else None)
        return kept
